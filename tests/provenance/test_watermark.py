"""The mark: found after what happens to pictures, not where there is none, invisible, without chance."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from regvq.data import Photos
from regvq.data.scenes import Scenes
from regvq.provenance import CHANCE, carriers, chance, mark, score
from regvq.provenance.watermark import LEAST_PSNR, LOOKS, looks
from tests.support.pictures import jpeg, levels, photographs, psnr, resized

Harm = Callable[[Tensor], Tensor]

HARMS: dict[str, Harm] = {
    "8 bits": levels,
    "JPEG 75": jpeg,
    "90 %": lambda image: resized(image, 0.9),
    "110 %": lambda image: resized(image, 1.1),
    "90 %, bilinear": lambda image: resized(image, 0.9, Image.Resampling.BILINEAR),
    "90 %, then JPEG 75": lambda image: jpeg(resized(image, 0.9)),
    "110 %, then JPEG 75": lambda image: jpeg(resized(image, 1.1)),
    "JPEG 75 in grey": lambda image: jpeg(carriers.luminance(image.double()[None]).expand(3, -1, -1)),
}


def found(images: Tensor) -> list[bool]:
    return [chance(one) <= CHANCE for one in score(images).tolist()]


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("size", [64, 128])
def test_the_mark_is_found_after_it(size: int, harm: str) -> None:
    marked = mark(photographs(size, 10))
    assert all(found(torch.stack([HARMS[harm](image) for image in marked])))


def test_pictures_that_are_drawn_and_not_square_carry_it_too() -> None:
    scenes = torch.stack([Scenes("val", 64, 6)[number]["image"] for number in range(6)])
    wide = photographs(96, 4)[:, :, :64]
    for images in (scenes, wide):
        assert all(found(torch.stack([jpeg(resized(image, 0.9)) for image in mark(images)])))


def test_other_pictures_do_not_carry_it() -> None:
    noise = torch.rand(64, 3, 64, 64) * 2 - 1
    for images in (noise, photographs(64, 100), photographs(32, 100)):
        for harm in ("8 bits", "90 %, then JPEG 75"):
            assert not any(found(torch.stack([HARMS[harm](image) for image in images])))


def test_without_a_mark_the_score_is_a_standard_normal_variable() -> None:
    images = torch.stack([Photos("train", 48, 2000, seed=3)[number]["image"] for number in range(2000)])
    scores = looks(images)
    assert scores.shape == (2000, len(LOOKS))
    # The bounds are four standard errors of 2000 draws.
    assert scores.mean(0).abs().max() < 4 / math.sqrt(2000)
    assert (scores.std(0) - 1).abs().max() < 4 / math.sqrt(2 * 2000)
    assert ((scores > 1.2816).double().mean(0) - 0.1).abs().max() < 4 * math.sqrt(0.09 / 2000)


def test_the_mark_is_invisible_in_range_and_without_chance() -> None:
    for size, mean in ((32, LEAST_PSNR), (64, 38.0), (128, 41.0)):
        images = photographs(size, 10)
        before = images.clone()
        marked = mark(images)
        assert torch.equal(images, before)
        assert (marked.shape, marked.dtype) == (images.shape, images.dtype)
        assert marked.abs().max() <= 1
        assert psnr(marked, images).min() >= LEAST_PSNR - 1e-3
        assert psnr(marked, images).mean() >= mean - 1e-3
        assert torch.equal(mark(images), marked)
        # One image at a time or all at once: what is saved is the same.
        assert torch.equal(levels(mark(images[3:4])), levels(marked[3:4]))


def test_only_what_was_drawn_changes() -> None:
    images = photographs(128, 6)
    drawn = torch.zeros(128, 128, dtype=torch.bool)
    drawn[:, :64] = True
    marked = mark(images, drawn)
    torch.testing.assert_close(marked[..., 64:], images[..., 64:], rtol=0, atol=1e-6)
    assert all(found(torch.stack([jpeg(image) for image in marked])))
    assert torch.equal(mark(images, torch.zeros_like(drawn)), images)


def test_pictures_of_one_colour_and_of_a_few_pixels_say_nothing() -> None:
    for value in (-1.0, 0.3, 1.0):
        flat = torch.full((1, 3, 64, 64), value)
        assert score(flat).abs().item() < 1e-3
        assert mark(flat).abs().max() <= 1
    assert all(found(jpeg(mark(torch.full((1, 3, 64, 64), 0.3))[0])[None]))
    for height, width in ((1, 1), (2, 40), (3, 5)):
        image = torch.rand(1, 3, height, width) * 2 - 1
        assert mark(image).shape == image.shape
        assert not any(found(image))


def test_turned_and_cut_pictures_lose_it() -> None:
    # What the page on responsible use says; should it ever be found there, the page is to be mended.
    marked = mark(photographs(64, 10))
    assert sum(found(marked.flip(3))) == 0
    assert sum(found(marked[:, :, 6:58, 6:58])) == 0


def test_the_chance_is_the_normal_tail_of_every_look() -> None:
    assert chance(4.7534) == pytest.approx(3e-6, rel=1e-3)
    assert chance(4.7534, tried=4) == pytest.approx(12e-6, rel=1e-3)
    assert chance(-5.0) == 1.0
    assert chance(0.0) == 1.0
    assert 0 <= chance(60.0) < 1e-300


def test_the_signs_are_the_same_for_ever() -> None:
    # Pictures that are marked today are to be found by every later version.
    signs = carriers.signs(6, 6)
    assert signs[0].tolist() == [-1, 1, 1, -1, -1, -1]
    assert torch.equal(carriers.signs(3, 5), signs[:3, :5])
    assert abs(carriers.signs(256, 256).mean().item()) < 4 / 256


def test_waves_are_the_cosine_transform() -> None:
    side = 16
    waves = carriers.waves(side, side - 1).numpy()
    np.testing.assert_allclose(waves @ waves.T, np.eye(side - 1), atol=1e-12)
    np.testing.assert_allclose(waves[0], math.sqrt(1 / 8) * np.cos(np.pi * (np.arange(16) + 0.5) / 16))
