"""What is said of marks that will not last."""

import pytest
import torch

from regvq.cli.provenance import report_weak_marks
from regvq.provenance import CHANCE, Provenance, chance, score
from regvq.provenance.wear import worn
from tests.support.pictures import jpeg, photographs, resized


def provenance(watermark: bool = True) -> Provenance:
    return Provenance("generator", "tokenizer", seed=0, watermark=watermark)


def test_wear_is_a_resize_and_jpeg() -> None:
    wide = photographs(64, 2)[1, :, :40]
    assert torch.equal(worn(wide), jpeg(resized(wide, 0.9)))
    assert worn(wide).shape == (3, 36, 58)
    assert worn(torch.zeros(3, 1, 1)).shape == (3, 1, 1)


def found(image: torch.Tensor) -> bool:
    return chance(float(score(image[None]))) <= CHANCE


@pytest.mark.parametrize("size", [24, 64])
def test_images_that_would_lose_the_mark_are_counted(size: int) -> None:
    marks = provenance()
    marked = marks.mark(photographs(size, 12))
    assert marks.marked == 12
    assert marks.lost == sum(not found(image) for image in marked)
    assert marks.fragile == sum(not (found(image) and found(worn(image))) for image in marked)
    assert (marks.fragile > 0) == (size == 24)


def test_what_is_lost_and_what_is_fragile_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for lost, fragile in ((0, 0), (0, 2), (1, 3)):
        marks = provenance()
        marks.marked, marks.lost, marks.fragile = 4, lost, fragile
        report_weak_marks(marks)
        said.append(capsys.readouterr().err.partition(": too")[0])
    assert said == [
        "",
        "regvq: the mark would not outlive a resize and JPEG in 2 of 4 images",
        "regvq: the mark cannot be found in 1 of 4 images, and would not outlive a resize and JPEG in 3 "
        "of 4 images",
    ]


def test_without_the_mark_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    marks = provenance(watermark=False)
    images = photographs(32, 4)
    assert marks.mark(images) is images
    report_weak_marks(marks)
    assert capsys.readouterr().err == ""
