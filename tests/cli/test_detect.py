"""What is generated is found by regvq detect, what is not is not, and --no-watermark keeps its word."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from regvq.conditions import ClassLabel
from regvq.data import load_image, save_png
from regvq.generators import AutoregressiveGenerator, TokenSource
from regvq.nets import IdentityBackbone
from regvq.provenance import mark, read_record
from regvq.quantizers import RegularizedVectorQuantizer
from regvq.tokenizers import ImageTokenizer
from tests.cli.conftest import Run, picture
from tests.support.pictures import jpeg, photographs, resized

SIDE = 64


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    """Folders of a tokenizer and an untrained generator of 64 px images, of the classes day and night."""
    torch.manual_seed(1)
    tokenizer = ImageTokenizer(IdentityBackbone(8), RegularizedVectorQuantizer(32, 6))
    tokenizer(torch.rand(4, 3, SIDE, SIDE) * 2 - 1)  # the codebook starts from data
    tokenizer.eval().save_pretrained(tmp_path / "tokenizer")
    source = TokenSource(32, (8, 8), tokenizer.fingerprint())
    condition = ClassLabel(["day", "night"])
    generator = AutoregressiveGenerator(condition, source, dim=16, layers=1, heads=2, hidden=32)
    generator.save_pretrained(tmp_path / "generator")
    return tmp_path / "tokenizer", tmp_path / "generator"


def findings(path: Path, regvq: Run, *options: object) -> list[dict[str, object]]:
    """What the command writes of ``path``."""
    json_path = path.parent / "findings.json"
    status, _, err = regvq("detect", path, "--json", json_path, *options)
    assert (status, err) == (0, "")
    found: list[dict[str, object]] = json.loads(json_path.read_text())
    return found


def test_samples_are_found_in_files_and_grids_and_after_jpeg_and_a_resize(
    models: tuple[Path, Path], tmp_path: Path, regvq: Run
) -> None:
    base = ("sample", *models, "--class", "day", "night", "--count", 3, "--seed", 5)
    grid, folder = tmp_path / "grid.png", tmp_path / "files"
    for output in (grid, folder):
        assert regvq(*base, "--output", output)[::2] == (0, "")
    rows = findings(folder, regvq)
    assert [row["found"] for row in rows] == [1] * 6
    records = [read_record(folder / str(row["file"])) for row in rows]
    assert [(record.index, record.conditions, record.seed) for record in records if record] == [
        (number, ("day" if number < 3 else "night",), 5) for number in range(6)
    ]
    (row,) = findings(grid, regvq)
    assert (row["images"], row["found"]) == (6, 6)
    assert "sample by regvq" in str(row["summary"])
    assert "seed 5, image 0, condition day, night" in str(row["summary"])

    harmed = tmp_path / "harmed" / "grid.png"
    save_png(jpeg(resized(load_image(grid), 0.9)), harmed)
    (row,) = findings(harmed, regvq, "--cell", "58x58")
    assert (row["images"], row["found"], row["record"]) == (6, 6, None)


def test_without_the_mark_the_record_stays(models: tuple[Path, Path], tmp_path: Path, regvq: Run) -> None:
    plain, marked = tmp_path / "plain.png", tmp_path / "marked.png"
    sample = ("sample", *models, "--class", "day", "--count", 1)
    assert regvq(*sample, "--no-watermark", "--output", plain)[::2] == (0, "")
    assert regvq(*sample, "--output", marked)[::2] == (0, "")
    rows = [findings(path, regvq)[0] for path in (plain, marked)]
    assert [row["found"] for row in rows] == [0, 1]
    records = [read_record(path) for path in (plain, marked)]
    assert [record.watermark for record in records if record] == [False, True]
    # Nothing but the mark is between them.
    difference = (load_image(plain) - load_image(marked)).abs()
    assert 0 < difference.mean() < 4 / 127.5


def test_marked_and_unmarked_samples_are_not_mixed(
    models: tuple[Path, Path], tmp_path: Path, regvq: Run
) -> None:
    sample = ("sample", *models, "--class", "day", "--count", 2, "--output", tmp_path / "files")
    assert regvq(*sample)[0] == 0
    status, _, err = regvq(*sample, "--no-watermark")
    assert status == 2
    assert "holds a set of samples with another watermark (True, now False)" in err


def test_an_edit_is_marked_where_it_was_drawn(
    models: tuple[Path, Path], tmp_path: Path, regvq: Run
) -> None:
    save_png(photographs(SIDE, 1)[0], tmp_path / "photo.png")
    drawn = np.zeros((SIDE, SIDE), np.uint8)
    drawn[8:] = 255
    Image.fromarray(drawn).save(tmp_path / "mask.png")
    edit = ("edit", *models, tmp_path / "photo.png", "--mask", tmp_path / "mask.png", "--class", "day")
    for name, options in {"marked": (), "plain": ("--no-watermark",)}.items():
        status, _, err = regvq(*edit, "--count", 2, "--output", tmp_path / f"{name}.png", *options)
        assert (status, err) == (0, "")
    before = np.asarray(Image.open(tmp_path / "photo.png"))
    after = np.asarray(Image.open(tmp_path / "marked.png"))
    assert np.array_equal(after[:8, :SIDE], before[:8])
    assert np.array_equal(after[:8, SIDE:], before[:8])
    (row,), (plain,) = (findings(tmp_path / f"{name}.png", regvq) for name in ("marked", "plain"))
    assert (row["images"], row["found"], plain["found"]) == (2, 2, 0)
    assert "edit by regvq" in str(row["summary"])


def test_a_mark_that_is_too_weak_is_said(models: tuple[Path, Path], tmp_path: Path, regvq: Run) -> None:
    save_png(photographs(SIDE, 1)[0], tmp_path / "photo.png")
    drawn = np.zeros((SIDE, SIDE), np.uint8)
    drawn[:8, :8] = 255
    Image.fromarray(drawn).save(tmp_path / "mask.png")
    edit = ("edit", *models, tmp_path / "photo.png", "--mask", tmp_path / "mask.png", "--class", "day")
    status, _, err = regvq(*edit, "--output", tmp_path / "out.png")
    assert status == 0
    assert err.startswith("regvq: the mark cannot be found in 1 of 1 images")
    assert findings(tmp_path / "out.png", regvq)[0]["found"] == 0


def test_the_table_names_each_file(tmp_path: Path, regvq: Run) -> None:
    images = photographs(SIDE, 2)
    save_png(images[0], tmp_path / "in" / "photo.png")
    save_png(mark(images[1:])[0], tmp_path / "in" / "sub" / "marked.png")
    picture(48, 80).save(tmp_path / "in" / "smooth.jpg")
    (tmp_path / "in" / "broken.png").write_text("no image")
    status, out, err = regvq("detect", tmp_path / "in")
    assert status == 0
    head, *lines = out.splitlines()
    assert head.split() == ["file", "mark", "score", "chance", "record"]
    assert [line.split()[:2] for line in lines[:3]] == [
        ["photo.png", "no"],
        ["smooth.jpg", "no"],
        ["sub/marked.png", "yes"],
    ]
    assert len({line.index(f" {line.split()[1]} ") for line in lines[:3]}) == 1  # one below the other
    assert lines[-1] == "1 of 3 pictures carry the mark"
    assert "left out: cannot read" in err
    assert err.splitlines()[-1] == "regvq: 1 of 4 files were left out as unreadable"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["missing.png"], "there is no image file or folder missing.png"),
        (["broken.png"], "no image could be read"),
        (["photo.png", "--cell", "64"], "argument --cell: invalid"),
        (["photo.png", "--cell", "0x4"], "argument --cell: must be at least 1, not 0"),
        (
            ["photo.png", "--cell", "70x33"],
            "photo.png: a picture of 64 x 64 pixels is no grid of images of",
        ),
        (["photo.png", "--json", "photo.png/x.json"], "cannot write photo.png/x.json"),
    ],
)
def test_a_mistake_is_one_sentence(
    options: list[str], message: str, tmp_path: Path, regvq: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_png(photographs(SIDE, 1)[0], tmp_path / "photo.png")
    Path("broken.png").write_text("no image")
    status, _, err = regvq("detect", *options)
    assert status == 2
    assert message in err
