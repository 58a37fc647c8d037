"""Weights of others: read without running anything, and put where they belong, all of them."""

import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from regvq.errors import RegvqError
from regvq.tokenizers import ImageTokenizer


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file or of a file that ``torch.save`` wrote.

    Of the latter nothing is unpickled but tensors and plain values. Where a training's checkpoint holds
    its weights under ``state_dict``, those are taken.

    Raises:
        RegvqError: the file is missing or damaged, holds other objects, or no tensors.
    """
    if not path.is_file():
        raise RegvqError(f"there is no weights file {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f" ({named.group(1)})" if named else ""
        raise RegvqError(
            f"{path} holds objects other than tensors{what} or is damaged, and no foreign code is run: "
            "where you trust it, save its state_dict alone with torch.save or safetensors"
        ) from None
    except (SafetensorError, RuntimeError, OSError, EOFError, KeyError, ValueError):
        raise RegvqError(f"{path} is damaged or no weights file: get it anew") from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    tensors = content if isinstance(content, dict) else {}
    if not tensors or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise RegvqError(f"{path} holds no state_dict of tensors: give a checkpoint of the model itself")
    return tensors


def rename(names: Sequence[str], rules: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Old names to new ones: every rule, a pattern and its replacement, is applied in turn."""
    renamed = {}
    for name in names:
        new = name
        for pattern, replacement in rules:
            new = re.sub(pattern, replacement, new)
        renamed[name] = new
    return renamed


def fill(
    tokenizer: ImageTokenizer, weights: Mapping[str, Tensor], renamed: Mapping[str, str], source: Any
) -> ImageTokenizer:
    """Puts every one of ``weights`` into the tokenizer, which then is in eval mode.

    Args:
        tokenizer: its parameters must all be given; its buffers need not be.
        weights: by their old names. 1x1 convolutions and linear maps stand for each other.
        renamed: old names to the tokenizer's.
        source: where they come from, for messages.

    Raises:
        RegvqError: a weight is unknown, missing, or has another shape.
    """
    own = tokenizer.state_dict()
    state = dict(own)
    for name, value in weights.items():
        place = own.get(renamed[name])
        if place is None:
            raise RegvqError(
                f"{source} holds {name}, which no part of this model takes: it is another model"
            )
        one_by_one = value.ndim == place.ndim + 2 and value.shape[place.ndim :] == (1, 1)
        fitting = value.flatten(place.ndim - 1) if one_by_one else value
        if fitting.shape != place.shape:
            raise RegvqError(
                f"{source}: {name} is {list(value.shape)}, but {list(place.shape)} by the configuration: "
                "give the configuration that the model was trained with"
            )
        state[renamed[name]] = fitting
    needed = {name for name, _ in tokenizer.named_parameters()}
    missing = sorted(needed - {renamed[name] for name in weights})
    if missing:
        raise RegvqError(
            f"{source} lacks weights of this model ({missing[0]}, {len(missing)} in all): it is cut short "
            "or another model"
        )
    tokenizer.load_state_dict(state)
    return tokenizer.eval()
