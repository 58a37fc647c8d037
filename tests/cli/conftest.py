"""A tiny tokenizer and a few images, as files: what most commands are given."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regvq.conditions import NoCondition
from regvq.tokenizers import ImageTokenizer
from tests.support.tiny import tiny_generator, tiny_tokenizer

Run = Callable[..., tuple[int, str, str]]


def picture(height: int, width: int, seed: int = 0) -> Image.Image:
    """A smooth RGB image of no particular content."""
    rng = np.random.default_rng(seed)
    corners = Image.fromarray(rng.integers(0, 256, (3, 3, 3), dtype=np.uint8))
    return corners.resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """Folder of a tokenizer with 4x4 pixels a token and 32 codes."""
    tiny_tokenizer().save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


@pytest.fixture
def generator(tokenizer: Path, tmp_path: Path) -> Path:
    """An untrained generator of 16 px images."""
    built = tiny_generator(ImageTokenizer.from_pretrained(tokenizer), NoCondition())
    built.save_pretrained(tmp_path / "generator")
    return tmp_path / "generator"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Folder of three images of three sizes, two of one name in different places."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    picture(16, 16, 0).save(folder / "a.png")
    picture(18, 21, 1).save(folder / "b.png")
    picture(3, 5, 2).save(folder / "sub" / "a.png")
    return folder


@pytest.fixture
def regvq(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process: exit status, stdout, stderr."""
    from regvq.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        output = capsys.readouterr()
        return status, output.out, output.err

    return run
