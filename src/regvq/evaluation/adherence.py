"""Whether generated scenes show what was asked for, as the scenes' oracle reads them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regvq.conditions import Caption, ClassLabel, LabelMap
from regvq.data import Sample
from regvq.data.scenes import LABELS, SceneOracle, SceneReading, Scenes
from regvq.errors import RegvqError
from regvq.evaluation.tokenizer import EvalMode
from regvq.generators import Generator
from regvq.generators.batches import sample_in_batches
from regvq.tokenizers import ImageTokenizer
from regvq.types import SamplingOptions

FIGURES = {LabelMap: "mean IoU", Caption: "attribute accuracy", ClassLabel: "class accuracy"}
"""What is measured under each condition."""


@dataclass(frozen=True)
class Adherence:
    """How well samples follow their conditions.

    Attributes:
        condition: name of the condition's class.
        figure: what ``value`` is, one of ``FIGURES``.
        value: of the samples, in [0, 1].
        ceiling: the same of the tokenizer's reconstructions of real scenes: what is lost to tokenizer and
            oracle, whatever the generator does.
        images: number of samples.
        samples: ``[K, 3, H, W]`` in [-1, 1], the first few.
    """

    condition: str
    figure: str
    value: float
    ceiling: float
    images: int
    samples: Tensor


@torch.no_grad()
def adherence(
    generator: Generator,
    tokenizer: ImageTokenizer,
    scenes: Sequence[Sample],
    options: SamplingOptions = SamplingOptions(),  # noqa: B008 - frozen
    batch_size: int = 32,
    keep: int = 8,
    report: Callable[[int], None] = lambda images: None,
) -> Adherence:
    """Samples an image for the condition of every scene and reads it back.

    Args:
        generator: in any mode.
        tokenizer: its tokenizer.
        scenes: samples of ``Scenes``, best of the split ``heldout``.
        options: how to sample.
        batch_size: images at once.
        keep: how many samples the result holds.
        report: called with the number of images so far.

    Raises:
        RegvqError: the generator has no condition that can be read back.
    """
    condition = generator.condition
    if type(condition) not in FIGURES:
        raise RegvqError(f"the oracle cannot read a {type(condition).__name__} back from an image")
    figure = FIGURES[type(condition)]
    ids = torch.cat([condition.of(_as_batch(scene)) for scene in scenes])
    originals = torch.stack([scene["image"] for scene in scenes])
    with EvalMode(tokenizer):
        device = generator.device
        samples = sample_in_batches(
            generator, ids, options, batch_size, finish=tokenizer.decode, report=report
        )
        rebuilt = torch.cat(
            [tokenizer.reconstruct(part.to(device)).cpu() for part in originals.split(batch_size)]
        )
    return Adherence(
        condition=type(condition).__name__,
        figure=figure,
        value=score(figure, samples, scenes),
        ceiling=score(figure, rebuilt, scenes),
        images=len(scenes),
        samples=samples[:keep],
    )


def held_out_scenes(count: int, size: int) -> list[Sample]:
    """Scenes with combinations that training never shows."""
    scenes = Scenes("heldout", size, count)
    return [scenes[index] for index in range(count)]


def mean_iou(read: Tensor, wanted: Tensor, labels: int) -> float:
    """Intersection over union of each label over all maps [M, H, W]; mean over labels that occur."""
    ratios = []
    for label in range(labels):
        mine, theirs = read == label, wanted == label
        union = int((mine | theirs).sum())
        if union:
            ratios.append(int((mine & theirs).sum()) / union)
    return sum(ratios) / len(ratios)


def attribute_accuracy(readings: Sequence[SceneReading], wanted: Sequence[dict[str, str]]) -> float:
    """Share of all attributes of all scenes that are as wanted."""
    hits = [
        reading.attributes[name] == value
        for reading, attributes in zip(readings, wanted, strict=True)
        for name, value in attributes.items()
    ]
    return sum(hits) / len(hits)


def score(figure: str, images: Tensor, scenes: Sequence[Sample]) -> float:
    """One of ``FIGURES`` of images ``[M, 3, H, W]`` in [-1, 1] that are to show ``scenes``: in [0, 1]."""
    readings = SceneOracle().read_batch(images)
    if figure == "mean IoU":
        read = torch.stack([reading.label_map for reading in readings])
        return mean_iou(read, torch.stack([scene["label_map"] for scene in scenes]), len(LABELS))
    if figure == "attribute accuracy":
        return attribute_accuracy(readings, [scene["attributes"] for scene in scenes])
    hits = [
        bool(reading.class_label == scene["class_label"])
        for reading, scene in zip(readings, scenes, strict=True)
    ]
    return sum(hits) / len(hits)


def _as_batch(scene: Sample) -> Sample:
    """A sample as a batch of one."""
    return {
        key: value[None] if isinstance(value, Tensor) else [value]
        for key, value in scene.items()
        if key in ("class_label", "label_map", "caption")
    }
