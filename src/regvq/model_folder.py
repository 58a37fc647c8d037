"""A model as a folder: ``config.json`` says how to build it, ``model.safetensors`` holds its weights.

The weights file carries the configuration too, in its metadata. So a save that dies between the two
renames leaves a folder that is known to be mixed, and a weights file that is a whole model. A checksum
over both lies beside it: a bit that has flipped since is noticed.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

import regvq
from regvq.checksums import checksum
from regvq.configurable import Configurable, build, describe
from regvq.errors import RegvqError
from regvq.files import write_together

CONFIG = "config.json"
WEIGHTS = "model.safetensors"


def save_model(model: nn.Module, path: Path) -> None:
    """Writes the two files; an old model in the folder stays whole until both lie beside it.

    Raises:
        RegvqError: the folder cannot be written (no right, no space).
    """
    config = {"regvq_version": regvq.__version__, "model": describe(model)}
    text = json.dumps(config, indent=2) + "\n"
    weights = _weights(model)
    metadata = {"format": "pt", "config": text, "sha256": checksum(weights, text)}
    write_together({path / WEIGHTS: save(weights, metadata), path / CONFIG: text.encode()})


def load_model(path: Path) -> Any:
    """Rebuilds a model and loads its weights, nothing unpickled, nothing foreign executed.

    Raises:
        RegvqError: a file is missing, damaged, or does not fit the other.
    """
    config_path, weights_path = path / CONFIG, path / WEIGHTS
    if not weights_path.is_file():
        raise RegvqError(f"{weights_path} is missing: {_advice(path)}")
    weights, carried = _read_weights(weights_path)
    model = _build(_read_config(config_path, carried), config_path)
    try:
        model.load_state_dict(weights)
    except (RuntimeError, ValueError) as error:
        # The first line names the class, the second one the first kind of misfit and all that have it.
        reason = str(error).splitlines()[:2][-1].strip()
        if len(reason) > 200:
            reason = f"{reason[:200]} …"
        raise RegvqError(
            f"{weights_path} does not fit {config_path}: {reason}; give a folder that save_pretrained wrote"
        ) from None
    return model


def fingerprint(model: nn.Module) -> str:
    """16 hexadecimal digits of a hash over configuration and weights.

    Floating-point weights count by their float32 value, which is what a loaded model holds: a model
    saved in bfloat16 has the same fingerprint before and after.
    """
    digest = hashlib.sha256(json.dumps(describe(model), sort_keys=True).encode())
    for name, tensor in sorted(_weights(model).items()):
        digest.update(name.encode())
        values = tensor.float() if tensor.is_floating_point() else tensor
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()[:16]


def _weights(model: nn.Module) -> dict[str, torch.Tensor]:
    # What only a training needs stays in its checkpoints: a model means the same without it.
    left_out = tuple(
        f"{name}." for name, module in model.named_modules() if getattr(module, "training_only", False)
    )
    return {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
        if not name.startswith(left_out)
    }


def _advice(path: Path) -> str:
    for name in ("tokenizer", "generator"):
        if (path / name / WEIGHTS).is_file():
            return f"the {name} of this run is {path / name}"
    return "give a folder that save_pretrained wrote"


def _read_weights(path: Path) -> tuple[dict[str, torch.Tensor], str | None]:
    """The tensors, and the configuration they were saved with (``None`` in a foreign file)."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise RegvqError(f"{path} is damaged or cannot be read ({error}): save the model again") from None
    carried = metadata.get("config")
    if "sha256" in metadata and metadata["sha256"] != checksum(weights, carried or ""):
        raise RegvqError(f"{path} is damaged (its checksum does not match): save the model again")
    return weights, carried


def _read_config(path: Path, carried: str | None) -> Any:
    """The model's description.

    Raises:
        RegvqError: the file is missing, damaged, or not the one that the weights were saved with.
    """
    if carried is not None and not path.exists():
        text = carried
    else:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise RegvqError(f"{path} is missing: give a folder that save_pretrained wrote") from None
        except (UnicodeDecodeError, OSError) as error:
            raise RegvqError(f"{path} cannot be read ({error})") from None
    try:
        description = json.loads(text)["model"]
        if carried is not None and json.dumps(json.loads(carried)["model"]) != json.dumps(description):
            raise RegvqError(
                f"{path} is not what {WEIGHTS} beside it was saved with (a save was cut short, or the "
                f"file was edited): delete {CONFIG} to use the configuration inside {WEIGHTS}"
            )
    except (json.JSONDecodeError, KeyError, TypeError, RecursionError):
        raise RegvqError(
            f"{path} is damaged or not a model of this package: save it again, or get it anew"
        ) from None
    return description


def _build(description: Any, path: Path) -> nn.Module:
    try:
        model = build(description)
    except RegvqError as error:
        raise RegvqError(f"{path} cannot be used: {error}") from None
    except Exception as error:  # what a constructor makes of damaged arguments can be anything
        raise RegvqError(f"{path} describes a model that cannot be built: {error}") from None
    if not (isinstance(model, nn.Module) and isinstance(model, Configurable)):
        raise RegvqError(f"{path} does not describe a model")
    return model
