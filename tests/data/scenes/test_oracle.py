"""The oracle reads back what was drawn, on clean pictures and on blurred and noisy ones."""

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from regvq.data.scenes import LABELS, SceneOracle, SceneReading, Scenes

COUNT = 150


def mean_iou(found: Tensor, drawn: Tensor) -> float:
    """Mean over labels of intersection over union, pixels of all pictures together."""
    joint = torch.bincount((drawn * len(LABELS) + found).flatten(), minlength=len(LABELS) ** 2)
    joint = joint.view(len(LABELS), len(LABELS)).double()
    union = joint.sum(0) + joint.sum(1) - joint.diagonal()
    return float((joint.diagonal() / union)[union > 0].mean())


def figures(images: Tensor, samples: list[dict]) -> tuple[float, float, float]:
    """Mean IoU, class accuracy and attribute accuracy of what the oracle reads."""
    readings: list[SceneReading] = SceneOracle().read_batch(images)
    found = torch.stack([reading.label_map for reading in readings])
    drawn = torch.stack([sample["label_map"] for sample in samples])
    classes = [
        one.class_label == sample["class_label"] for one, sample in zip(readings, samples, strict=True)
    ]
    attributes = [
        reading.attributes[name] == value
        for reading, sample in zip(readings, samples, strict=True)
        for name, value in sample["attributes"].items()
    ]
    return mean_iou(found, drawn), sum(classes) / len(classes), sum(attributes) / len(attributes)


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("split", ["train", "heldout"])
def test_clean_pictures_are_read_back(split: str, size: int) -> None:
    dataset = Scenes(split, size)
    samples = [dataset[index] for index in range(COUNT)]
    iou, classes, attributes = figures(torch.stack([one["image"] for one in samples]), samples)
    # At 32 px more of each small thing is edge, which belongs to two labels by halves.
    assert iou >= (0.97 if size == 64 else 0.93)
    assert classes >= 0.99
    assert attributes >= (0.99 if size == 64 else 0.98)


def test_blurred_and_noisy_pictures_are_still_read() -> None:
    dataset = Scenes("val", 64)
    samples = [dataset[index] for index in range(COUNT)]
    images = gaussian_blur(torch.stack([one["image"] for one in samples]), [5, 5], [1.0, 1.0])
    images = images + 0.05 * torch.randn_like(images)
    iou, classes, attributes = figures(images, samples)
    assert iou >= 0.85
    assert classes >= 0.97
    assert attributes >= 0.95


def test_the_oracle_tells_pictures_apart() -> None:
    """Readings of other pictures score low: the figures above are not cheap."""
    dataset = Scenes("val", 64)
    samples = [dataset[index] for index in range(COUNT)]
    others = torch.stack([dataset[index + COUNT]["image"] for index in range(COUNT)])
    iou, classes, attributes = figures(others, samples)
    assert iou < 0.5
    assert classes < 0.4
    assert attributes < 0.75


def test_any_picture_is_read_without_failing() -> None:
    for image in (torch.zeros(3, 64, 64), torch.ones(3, 32, 32), torch.rand(3, 48, 48) * 4 - 2):
        reading = SceneOracle().read(image)
        assert reading.label_map.shape == image.shape[1:]
        assert reading.class_name
