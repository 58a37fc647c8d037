"""A diffusers ``VQModel`` folder as a tokenizer."""

import inspect
import json
from pathlib import Path
from typing import Any

from diffusers.models.autoencoders.vq_model import VQModel

from regvq import hub
from regvq.errors import RegvqError
from regvq.exchange.vq_model_options import backbone_of
from regvq.exchange.weights import fill, read_weights, rename
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import ImageTokenizer

WEIGHTS = "diffusion_pytorch_model.safetensors"

_RULES = (
    (r"^(encoder|decoder)\.", r"backbone.\1."),
    (r"^quantize\.embedding\.", "quantizer.embeddings."),
    # What diffusers called its attention's maps before 2023.
    (r"\.query\.", ".to_q."),
    (r"\.key\.", ".to_k."),
    (r"\.value\.", ".to_v."),
    (r"\.proj_attn\.", ".to_out.0."),
)
_FIXED = {"in_channels": 3, "out_channels": 3, "act_fn": "silu", "norm_type": "group"}
"""Options of ``VQModel`` for which a tokenizer has but one value."""


def load_vq_model(path: str | Path) -> ImageTokenizer:
    """Reads ``config.json`` and ``diffusion_pytorch_model.safetensors``; in eval mode, on the CPU.

    Codes and images are those of ``VQModel``; images are clamped to [-1, 1] by ``decode``.

    Args:
        path: a folder, or ``owner/name`` on the Hugging Face Hub, whose cache is asked first.

    Raises:
        RegvqError: the folder is no ``VQModel``'s, is damaged, or has parts that no tokenizer has.
    """
    folder = hub.local_folder(path, files=("config.json", WEIGHTS))
    config = _read_config(folder / "config.json")
    weights = read_weights(folder / WEIGHTS)
    dim = config["vq_embed_dim"] or config["latent_channels"]
    try:
        tokenizer = ImageTokenizer(backbone_of(config), VectorQuantizer(config["num_vq_embeddings"], dim))
    except TypeError as error:
        raise RegvqError(f"{folder / 'config.json'} is damaged ({error}): get it anew") from None
    return fill(tokenizer, weights, rename(list(weights), _RULES), folder / WEIGHTS)


def _read_config(path: Path) -> dict[str, Any]:
    """All of ``VQModel``'s options, its own defaults where the file says nothing.

    Raises:
        RegvqError: the file is missing, damaged, of another model, or says what no tokenizer can be.
    """
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RegvqError(f"there is no {path}: give the folder of a diffusers VQModel") from None
    except (ValueError, OSError) as error:
        raise RegvqError(f"{path} cannot be read ({error}): get it anew") from None
    if not isinstance(given, dict) or given.get("_class_name") != VQModel.__name__:
        kind = given.get("_class_name", "no diffusers model") if isinstance(given, dict) else "no model"
        raise RegvqError(f"{path} describes {kind}, not a VQModel: give the folder of one")
    signature = inspect.signature(VQModel.__init__).parameters
    config = {name: one.default for name, one in signature.items() if name != "self"}
    config |= {name: value for name, value in given.items() if name in config}
    for name, value in _FIXED.items():
        if config[name] != value:
            raise RegvqError(f"{path} has {name} {config[name]!r}: a tokenizer's is {value!r} and no other")
    return config
