"""The features of real images, kept so that they need not be computed again."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch.utils.data import Dataset

from regvq.data import Sample
from regvq.errors import RegvqError
from regvq.evaluation.distributions import FeatureSet
from regvq.files import write_bytes
from regvq.nets import FeatureNet

_FORMAT = "1"
_PROBES = 8


@dataclass(frozen=True)
class Reference:
    """Where a set of reference features comes from.

    Attributes:
        data: the data set's class and arguments.
        split: ``"train"`` or ``"val"``.
        count: number of images.
        size: height and width in pixels.
        resize: how images got that size.
        features: name of the net.
        weights: hash of the net's weights.
        images: hash of the numbers of images and of some of their pixels; another when the files change.
    """

    data: Any
    split: str
    count: int
    size: tuple[int, int]
    resize: str
    features: str
    weights: str
    images: str

    @property
    def key(self) -> str:
        """Sixteen hexadecimal digits that change with any of it."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(f"{_FORMAT} {text}".encode()).hexdigest()[:16]


def describe_reference(
    description: Any, dataset: Dataset[Sample], split: str, count: int, net: FeatureNet
) -> Reference:
    """What is known of a reference before its features are computed.

    Args:
        description: the data set's class and arguments, JSON-ready.
        dataset: the data itself; a few images are looked at.
        split: which half it is.
        count: how many of its images count.
        net: whose features are taken.
    """
    digest = hashlib.sha256(str(count).encode())
    first = dataset[0]["image"]
    for number in range(_PROBES):
        image = dataset[number * (count - 1) // (_PROBES - 1)]["image"]
        digest.update(image.mul(127.5).round().to(torch.int16).numpy().tobytes())
    return Reference(
        data=description,
        split=split,
        count=count,
        size=tuple(first.shape[1:]),
        resize=getattr(dataset, "resize", "unknown"),
        features=net.name,
        weights=net.weights_hash(),
        images=digest.hexdigest()[:12],
    )


def cached_features(folder: Path, reference: Reference, compute: Callable[[], FeatureSet]) -> FeatureSet:
    """The features of a reference from its file, or computed and written there.

    A file that cannot be read is written anew.

    Raises:
        RegvqError: the folder cannot be written.
    """
    path = folder / f"{reference.key}.safetensors"
    found = _read(path)
    if found is not None:
        return found
    features = compute()
    tensors = {"rows": features.rows.contiguous()}
    if features.logits is not None:
        tensors["logits"] = features.logits.contiguous()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, save(tensors, {"reference": json.dumps(asdict(reference))}))
    except OSError as error:
        raise RegvqError(f"{path} cannot be written ({error.strerror}): give another --cache") from None
    return features


def _read(path: Path) -> FeatureSet | None:
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            names = set(file.keys())
            return FeatureSet(
                file.get_tensor("rows"), file.get_tensor("logits") if "logits" in names else None
            )
    except (SafetensorError, OSError, RuntimeError):
        return None
