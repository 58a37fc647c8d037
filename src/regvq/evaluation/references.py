"""The features of real images, kept so that they need not be computed again."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch.utils.data import Dataset

from regvq import ranks
from regvq.data import Sample
from regvq.data.annotated import AnnotatedImages
from regvq.evaluation.distributions import FeatureSet, features_of, joined
from regvq.evaluation.image_batches import image_batches
from regvq.evaluation.parts import Tensors, in_parts, names_from_bytes, names_to_bytes
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
        images: hash of the number of images, of some of their pixels, and of the names and sizes of the
            files that they are, or that they lie in; another when these change.
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
    mark = dataset.mark() if isinstance(dataset, AnnotatedImages) else ""
    digest = hashlib.sha256(f"{count}{mark}".encode())
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


def reference_features(
    folder: Path,
    reference: Reference,
    net: FeatureNet,
    dataset: Dataset[Sample],
    items: Sequence[int],
    batch_size: int,
    workers: int = 0,
    damaged: set[str] | None = None,
) -> FeatureSet:
    """The features of a reference from its file, or computed and written there.

    A file that cannot be read is written anew. Processes that work together share the images.

    Args:
        folder: keeps the file.
        reference: what it is.
        net: whose features are taken.
        dataset: holds the images.
        items: their places in it.
        batch_size: images at once.
        workers: processes that read images.
        damaged: gets the names of images that could not be read.

    Raises:
        RegvqError: the folder cannot be written.
    """
    path = folder / f"{reference.key}.safetensors"
    found = _read(path)
    # Together: the cache may be a folder of one machine, and those without the file need the others.
    if str(False) not in ranks.gather(str(found is not None)):
        assert found is not None
        features, names = found
        if damaged is not None:
            damaged |= names
        return features

    def part(numbers: Sequence[int]) -> Tensors:
        met: set[str] = set()
        places = [items[number] for number in numbers]
        images = image_batches(dataset, places, batch_size, workers, met)
        return {**features_of(net, images).tensors(), "damaged": names_to_bytes(met)}

    parts = in_parts(folder / f"{reference.key}.parts", len(items), part)
    names = names_from_bytes(one["damaged"] for one in parts)
    if damaged is not None:
        damaged |= names
    features = joined(parts)
    if ranks.rank() == 0:
        tensors = {"rows": features.rows.contiguous()}
        if features.logits is not None:
            tensors["logits"] = features.logits.contiguous()
        # One entry: several are written in an order of chance, and the same features are the same file.
        facts = asdict(reference) | {"damaged": sorted(names)}
        write_bytes(path, save(tensors, {"reference": json.dumps(facts)}))
    return features


def _read(path: Path) -> tuple[FeatureSet, set[str]] | None:
    """The features that a file holds, and the names of the images that could not be read for them."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            logits = file.get_tensor("logits") if "logits" in set(file.keys()) else None
            facts = json.loads((file.metadata() or {})["reference"])
            return FeatureSet(file.get_tensor("rows"), logits), set(facts["damaged"])
    except (SafetensorError, OSError, RuntimeError, KeyError, ValueError):
        return None
