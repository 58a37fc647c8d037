"""The codebook's pictures: what a code paints, and files that are there."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from regvq.evaluation import report_codebook, save_codebook_pictures
from regvq.evaluation.codebook_pictures import code_patches, usage_grid
from regvq.figures import png
from regvq.nets import IdentityBackbone
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import ImageTokenizer


def test_a_patch_is_the_codes_own_block() -> None:
    tokenizer = ImageTokenizer(IdentityBackbone(4), VectorQuantizer(16, 8))
    codes = torch.tensor([3, 11])
    # Without a convolution wider than one cell, the middle cell is what the code alone decodes to.
    alone = tokenizer.eval().decode(codes[:, None, None])
    assert torch.allclose(code_patches(tokenizer, codes, batch_size=1), alone)


def test_the_share_of_dark_cells_is_the_share_of_idle_codes() -> None:
    def darkness(used: int) -> float:
        counts = torch.tensor([20] * used + [0] * (64 - used))
        picture = Image.open(io.BytesIO(png(usage_grid(report_codebook(torch.randn(64, 4), counts)))))
        pixels = np.asarray(picture.convert("RGB")).astype(int)
        return float((np.abs(pixels - (20, 22, 26)).max(2) < 3).mean())

    assert darkness(64) < 0.001
    assert 2.5 < darkness(16) / max(darkness(48), 1e-9) < 3.5


def test_three_pictures_are_written_the_same_twice(tmp_path: Path) -> None:
    tokenizer = ImageTokenizer(IdentityBackbone(4), VectorQuantizer(10, 8))
    report = report_codebook(tokenizer.quantizer.codebook, torch.tensor([5, 0, 3] + [1] * 7))
    paths = save_codebook_pictures(report, tokenizer, tmp_path / "one")
    assert [path.name for path in paths] == ["usage.png", "patches.png", "map.png"]
    again = save_codebook_pictures(report, tokenizer, tmp_path / "two")
    for path, other in zip(paths, again, strict=True):
        assert path.read_bytes() == other.read_bytes()
        assert Image.open(path).format == "PNG"
