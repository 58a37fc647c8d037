"""Pretrained weights from a file of the user's: never from the network, never unpickled."""

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from regvq.errors import RegvqError


def weights_file(path: str | Path | None, cached_name: str) -> Path:
    """The file that ``path`` names, or the one of torch's own cache where it is None; it may be missing."""
    return (
        Path(torch.hub.get_dir()) / "checkpoints" / cached_name if path is None else Path(path).expanduser()
    )


def load_weights(path: str | Path | None, cached_name: str, net: str) -> dict[str, Tensor]:
    """A state dict from ``path``, or from torch's own cache of downloaded checkpoints.

    Args:
        path: a ``.safetensors`` file or a ``.pth`` file that torch wrote; None looks into the cache.
        cached_name: the name torchvision gives the file in torch's cache.
        net: what to call the net in an error.

    Raises:
        RegvqError: there is no such file, or it cannot be read.
    """
    advice = (
        f"put {cached_name} there or give the path of a copy of it as weights"
        if path is None
        else "give the path of a .safetensors or .pth file"
    )
    path = weights_file(path, cached_name)
    if not path.is_file():
        raise RegvqError(f"no weights of {net} at {path} (nothing is downloaded): {advice}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise RegvqError(f"{path} cannot be read as weights of {net} ({reason}): {advice}") from None
    if not isinstance(weights, dict) or not all(isinstance(v, Tensor) for v in weights.values()):
        raise RegvqError(f"{path} holds no state dict of {net}: {advice}")
    return weights


def fill(module: nn.Module, weights: dict[str, Tensor], prefix: str, net: str) -> None:
    """Gives ``module`` (built on the meta device) those of ``weights`` that start with ``prefix``.

    Raises:
        RegvqError: a weight is missing or has another shape.
    """
    needed = {key: weights.get(f"{prefix}{key}") for key in module.state_dict()}
    missing = [f"{prefix}{key}" for key, value in needed.items() if value is None]
    if missing:
        raise RegvqError(f"these are not the weights of {net}: {missing[0]} is missing")
    try:
        module.load_state_dict({k: v.float() for k, v in needed.items() if v is not None}, assign=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise RegvqError(f"these are not the weights of {net}: {reason}") from None
