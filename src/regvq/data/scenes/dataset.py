"""The scenes as data sets."""

import numpy as np
import torch

from regvq.data.base import ImageData, ImageDataset, Sample
from regvq.data.scenes.render import SMALLEST, render
from regvq.data.scenes.scene import SPLITS, Scene, Split, caption, sample_scene
from regvq.data.scenes.vocabulary import LABELS, SCENE_CLASSES
from regvq.errors import RegvqError


class Scenes(ImageDataset):
    """Procedural scenes; scene ``i`` is a pure function of split, seed and ``i``.

    A sample holds ``image`` (float32 ``[3, size, size]`` in [-1, 1]), ``class_label`` (int, see
    ``SCENE_CLASSES``), ``label_map`` (int64 ``[size, size]``, see ``LABELS``), ``caption`` (str) and
    ``attributes`` (str by name).

    Training and validation draw from the same scenes by different numbers and never show the
    combinations of ``HELD_OUT``; ``"heldout"`` shows only scenes with such a combination. Every training
    epoch has new scenes.

    Args:
        split: ``"train"``, ``"val"`` or ``"heldout"``.
        size: side of the picture in pixels.
        length: scenes in an epoch; default 16384 for training, 1024 otherwise.
        seed: another seed, other scenes.

    Raises:
        RegvqError: there is no such split, or size or length is too small.
    """

    def __init__(
        self, split: Split = "train", size: int = 64, length: int | None = None, seed: int = 0
    ) -> None:
        if split not in SPLITS:
            raise RegvqError(
                f"scenes have the splits train, val and heldout, not {split!r}: choose one of them"
            )
        if length is None:
            length = 16384 if split == "train" else 1024
        if size < SMALLEST or length < 1:
            raise RegvqError(f"scenes need size >= {SMALLEST} and length >= 1, got {size} and {length}")
        super().__init__(length, seed, stream=SPLITS.index(split))
        self.split = split
        self.size = size

    class_names = SCENE_CLASSES
    """Names of the values of ``class_label``."""
    label_names = tuple(label.name for label in LABELS)
    """Names of the values of ``label_map``."""

    def captions(self, index: int) -> tuple[str, ...]:
        """The caption of picture ``index``, without drawing it."""
        return (caption(self.scene(index)),)

    def scene(self, index: int) -> Scene:
        """What picture ``index`` shows."""
        return sample_scene(self.rng(index), self.split)

    def sample(self, item: int, rng: np.random.Generator) -> Sample:
        """See the class; an item of a later epoch is another scene."""
        scene = sample_scene(rng, self.split)
        colours, labels = render(scene, self.size)
        return {
            "image": torch.from_numpy(colours.transpose(2, 0, 1) / np.float32(127.5) - 1),
            "class_label": scene.class_label,
            "label_map": torch.from_numpy(labels),
            "caption": caption(scene),
            "attributes": scene.attributes,
        }


class ScenesData(ImageData):
    """Procedural scenes: see ``Scenes``.

    Args:
        size: side of the pictures in pixels.
        train_length: training scenes in an epoch.
        val_length: validation scenes.
    """

    def __init__(self, size: int = 64, train_length: int = 16384, val_length: int = 1024) -> None:
        self.size = size
        self.train_length = train_length
        self.val_length = val_length

    def train(self, seed: int) -> Scenes:
        """Scenes without held-out combinations, new ones in every epoch."""
        return Scenes("train", self.size, self.train_length, seed)

    def val(self) -> Scenes:
        """Other scenes without held-out combinations."""
        return Scenes("val", self.size, self.val_length)
