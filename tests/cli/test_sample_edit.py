"""Sampling and editing from the command line, and one sentence for each mistake."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import regvq as package
from regvq.conditions import Caption, ClassLabel, Condition, LabelMap, NoCondition
from regvq.generators import AutoregressiveGenerator, DiscreteDiffusionGenerator, TokenSource
from tests.cli.conftest import Run, picture
from tests.contracts.test_conditions import Toy

GRID = (4, 4)
KINDS = {"ar": AutoregressiveGenerator, "diffusion": DiscreteDiffusionGenerator}


@pytest.fixture
def generators(tokenizer: Path, tmp_path: Path) -> dict[str, Path]:
    """Folders of untrained generators of 16 px images, one of each kind and condition."""
    fingerprint = package.load_tokenizer(tokenizer).fingerprint()
    conditions: dict[str, Condition] = {
        "none": NoCondition(),
        "class": ClassLabel(),
        "map": LabelMap(2),
        "caption": Caption(length=8),
    }
    folders = {}
    for name, condition in conditions.items():
        condition.prepare(Toy(), GRID)
        for kind, make in KINDS.items():
            torch.manual_seed(0)
            built = make(
                condition, TokenSource(32, GRID, fingerprint), dim=16, layers=1, heads=2, hidden=32
            )
            folders[f"{name}-{kind}"] = tmp_path / f"{name}-{kind}"
            built.save_pretrained(folders[f"{name}-{kind}"])
    return folders


@pytest.fixture
def label_map(tmp_path: Path) -> Path:
    Image.fromarray(np.tile(np.array([0, 1, 2, 1], np.uint8).repeat(4), (16, 1))).save(tmp_path / "map.png")
    return tmp_path / "map.png"


def pixels(path: Path) -> Any:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_condition_is_sampled_into_a_grid_or_files(
    kind: str, generators: dict[str, Path], tokenizer: Path, label_map: Path, tmp_path: Path, regvq: Run
) -> None:
    given = {
        "none": [],
        "class": ["--class", "night", "day"],
        "map": ["--label-map", label_map],
        "caption": ["--caption", "a tree by day"],
    }
    for name, condition in given.items():
        rows = 2 if name == "class" else 1
        grid, folder = tmp_path / f"{name}-grid.png", tmp_path / f"{name}-files"
        base = ["sample", tokenizer, generators[f"{name}-{kind}"], "--count", 3, "--seed", 5, *condition]
        status, out, err = regvq(*base, "--output", grid)
        assert status == 0, err
        assert out == f"{3 * rows} images in {grid}\n"
        assert pixels(grid).shape == (18 * rows + 2, 18 * 3 + 2, 3)
        status, out, err = regvq(*base, "--batch-size", 2, "--output", folder)
        assert status == 0, err
        files = sorted(folder.glob("*.png"))
        assert len(files) == 3 * rows
        # The same seed gives the same images, whatever the batch.
        assert np.array_equal(pixels(files[1]), pixels(grid)[2:18, 20:36])


def test_options_reach_the_sampling(
    generators: dict[str, Path], tokenizer: Path, tmp_path: Path, regvq: Run
) -> None:
    def draw(name: str, *options: object) -> Any:
        arguments = ["--class", "day", "--count", 2, "--output", tmp_path / f"{name}.png", *options]
        assert regvq("sample", tokenizer, generators["class-diffusion"], *arguments)[0] == 0
        return pixels(tmp_path / f"{name}.png")

    plain = draw("plain")
    assert np.array_equal(plain, draw("again", "--guidance", 1.0))
    for name, options in {
        "seed": ("--seed", 1),
        "parallel": ("--parallel",),
        "steps": ("--steps", 3),
        "top-k": ("--top-k", 1),
        "guidance": ("--guidance", 50, "--guidance-schedule", "linear"),
    }.items():
        assert not np.array_equal(plain, draw(name, *options)), name


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_changes_what_the_mask_shows_and_nothing_else(
    kind: str, generators: dict[str, Path], tokenizer: Path, tmp_path: Path, regvq: Run
) -> None:
    picture(16, 16, 3).save(tmp_path / "image.png")
    mask = np.zeros((16, 16), np.uint8)
    mask[4:12, 4:12] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    status, out, _ = regvq(
        *("edit", tokenizer, generators[f"class-{kind}"], tmp_path / "image.png"),
        *(
            "--mask",
            tmp_path / "mask.png",
            "--class",
            "day",
            "--count",
            2,
            "--output",
            tmp_path / "new.png",
        ),
    )
    assert status == 0
    assert out.startswith("2 version(s) in")
    before, after = pixels(tmp_path / "image.png"), pixels(tmp_path / "new.png")
    assert after.shape == (16, 32, 3)
    for version in (after[:, :16], after[:, 16:]):
        assert np.array_equal(version[mask == 0], before[mask == 0])
        assert not np.array_equal(version[mask > 0], before[mask > 0])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("class", ["--class", "noon"], "there is no class 'noon': choose one of day, night"),
        ("caption", ["--caption", " "], "a caption is empty"),
        ("caption", ["--class", "day"], "does not take --class (its condition is Caption): give --caption"),
        (
            "none",
            ["--caption", "a tree"],
            "does not take --caption (its condition is NoCondition): leave",
        ),
        ("map", ["--label-map", "RGB.png"], "has colours"),
        ("map", ["--label-map", "wide.png"], "is 20 x 16 pixels, this generator makes images of 16 x 16"),
        (
            "map",
            ["--label-map", "unknown.png"],
            "unknown.png: a label map holds unknown ids (9): known are 0 to 2",
        ),
        ("map", ["--label-map", "missing.png"], "there is no label map missing.png"),
        ("none", ["--temperature", "0"], "temperature must be positive, not 0.0"),
        ("none", ["--top-p", "2"], "top_p must be in (0, 1], not 2.0"),
        ("none", ["--steps", "3"], "is no diffusion generator, it draws token after token"),
        ("none", ["--parallel"], "leave --steps and --parallel out"),
    ],
)
def test_a_mistake_is_one_sentence(
    name: str,
    options: list[str],
    message: str,
    generators: dict[str, Path],
    tokenizer: Path,
    tmp_path: Path,
    regvq: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (16, 16)).save("RGB.png")
    Image.new("L", (20, 16)).save("wide.png")
    Image.new("L", (16, 16), 9).save("unknown.png")
    status, _, err = regvq("sample", tokenizer, generators[f"{name}-ar"], *options, "--output", "out.png")
    assert status == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not Path("out.png").exists()


@pytest.mark.filterwarnings("default::UserWarning:regvq")
def test_what_cannot_be_compiled_says_so(
    generators: dict[str, Path],
    tokenizer: Path,
    tmp_path: Path,
    regvq: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    common = ["--count", 1, "--compile", "--output", tmp_path / "out.png"]
    status, _, err = regvq("sample", tokenizer, generators["none-diffusion"], *common)
    assert status == 2
    assert "is no autoregressive generator: leave --compile out" in err
    monkeypatch.setattr("regvq.generators.autoregressive.lacking", lambda device: "there is no compiler")
    status, _, err = regvq("sample", tokenizer, generators["none-ar"], *common)
    assert status == 0, err
    assert "there is no compiler: sampling runs uncompiled" in err


@pytest.mark.filterwarnings("default::UserWarning:regvq")
def test_a_long_caption_is_cut_with_a_warning(
    generators: dict[str, Path], tokenizer: Path, tmp_path: Path, regvq: Run
) -> None:
    text = "a tree by day and the ground at night and a tree again"
    arguments = ["--caption", text, "--count", 1, "--output", tmp_path / "out.png"]
    status, _, err = regvq("sample", tokenizer, generators["caption-ar"], *arguments)
    assert status == 0
    assert err.startswith("regvq: a caption has ")
    assert "it was cut after" in err
    assert len(err.strip().splitlines()) == 1


def test_a_tokenizer_that_does_not_fit_is_refused(
    generators: dict[str, Path], tokenizer: Path, tmp_path: Path, regvq: Run
) -> None:
    stranger = package.load_tokenizer(tokenizer)
    torch.nn.init.ones_(stranger.quant_conv.bias)
    stranger.save_pretrained(tmp_path / "stranger")
    output = tmp_path / "out.png"
    status, _, err = regvq("sample", tmp_path / "stranger", generators["none-ar"], "--output", output)
    assert status == 2
    assert "is not the one that the generator was trained with" in err
    status, _, err = regvq("sample", tokenizer, tokenizer, "--output", output)
    assert status == 2
    assert "holds a ImageTokenizer, not a Generator" in err


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        ((16, 16), (8, 16), "mask.png is 16 x 8 pixels, this generator makes images of 16 x 16"),
        ((20, 16), (16, 16), "image.png is 16 x 20 pixels"),
        ((16, 16), None, "is all black: nothing is to be drawn anew"),
    ],
)
def test_an_edit_that_does_not_fit_is_refused(
    image: tuple[int, int],
    mask: tuple[int, int] | None,
    message: str,
    generators: dict[str, Path],
    tokenizer: Path,
    tmp_path: Path,
    regvq: Run,
) -> None:
    picture(*image).save(tmp_path / "image.png")
    height, width = mask or (16, 16)
    Image.new("L", (width, height), 255 if mask else 0).save(tmp_path / "mask.png")
    status, _, err = regvq(
        *("edit", tokenizer, generators["none-ar"], tmp_path / "image.png"),
        *("--mask", tmp_path / "mask.png", "--output", tmp_path / "new.png"),
    )
    assert status == 2
    assert message in err


def test_nothing_that_is_read_is_written_over(
    generators: dict[str, Path], tokenizer: Path, label_map: Path, tmp_path: Path, regvq: Run
) -> None:
    picture(16, 16).save(tmp_path / "image.png")
    Image.new("L", (16, 16), 255).save(tmp_path / "mask.png")
    numbered = tmp_path / "maps" / "00001.png"
    numbered.parent.mkdir()
    numbered.write_bytes(label_map.read_bytes())
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.png")}
    assert set(before) == {"image.png", "mask.png", "map.png"}
    edit = (
        "edit",
        tokenizer,
        generators["map-ar"],
        tmp_path / "image.png",
        "--mask",
        tmp_path / "mask.png",
    )
    for command in (
        ("sample", tokenizer, generators["map-ar"], "--label-map", label_map, "--output", label_map),
        *((*edit, "--label-map", label_map, "--output", tmp_path / name) for name in before),
        ("sample", tokenizer, generators["map-ar"], "--label-map", numbered, "--output", numbered.parent),
    ):
        status, _, err = regvq(*command)
        assert status == 2
        assert "is what the command reads: give another --output" in err
    assert numbered.read_bytes() == label_map.read_bytes()
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.png")} == before


def test_what_a_generator_never_learned_is_said(
    generators: dict[str, Path], tokenizer: Path, tmp_path: Path, regvq: Run
) -> None:
    fingerprint = package.load_tokenizer(tokenizer).fingerprint()
    condition = ClassLabel(["day", "night"])
    source = TokenSource(32, GRID, fingerprint)
    AutoregressiveGenerator(
        condition, source, dim=16, layers=1, heads=2, hidden=32, condition_dropout=0
    ).save_pretrained(tmp_path / "strict")
    output = ("--count", 1, "--output", tmp_path / "out.PNG")
    for options, said in (
        ((), "to draw without one is nothing that it has learned"),
        (("--class", "day", "--guidance", 3), "to be guided is nothing that it has learned"),
        (("--class", "day"), ""),
    ):
        status, _, err = regvq("sample", tokenizer, tmp_path / "strict", *options, *output)
        assert status == 0
        assert said in err
        assert bool(err) == bool(said)
    assert (tmp_path / "out.PNG").is_file()  # a grid, whatever the case of its suffix
    assert not regvq("sample", tokenizer, generators["class-ar"], *output)[2]


def test_a_transparent_part_of_a_mask_stays(
    generators: dict[str, Path], tokenizer: Path, tmp_path: Path, regvq: Run
) -> None:
    picture(16, 16, 3).save(tmp_path / "image.png")
    mask = np.zeros((16, 16, 4), np.uint8)
    mask[:8, :8] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    status, _, err = regvq(
        *("edit", tokenizer, generators["none-ar"], tmp_path / "image.png"),
        *("--mask", tmp_path / "mask.png", "--output", tmp_path / "new.png"),
    )
    assert status == 0, err
    same = (pixels(tmp_path / "new.png") == pixels(tmp_path / "image.png")).all(2)
    assert same[8:].all()
    assert same[:, 8:].all()
    assert not same[:8, :8].all()
