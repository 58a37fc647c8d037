"""The demo, small: what it leaves behind, what it replaces, and that its report needs nothing else."""

import json
import re
from html import escape
from pathlib import Path

import pytest
import torch

import regvq
from regvq.data import Photos
from regvq.errors import RegvqError
from regvq.evaluation import evaluate_tokenizer
from regvq.evaluation.demo import run_demo
from regvq.evaluation.photos_demo import QUANTIZERS, Budget
from regvq.evaluation.results import COLUMNS
from regvq.evaluation.scenes_demo import KINDS, ScenesBudget

TINY = Budget(
    steps=4,
    batch_size=2,
    size=16,
    crops=12,
    watched=4,
    overrides=(
        "--model.quantizer.init_args.codebook_size=24",
        "--model.backbone.init_args.channels=[8,8,8]",
        "--model.backbone.init_args.latent_channels=8",
    ),
)


TINY_SCENES = ScenesBudget(
    size=16,
    tokenizer_steps=2,
    autoregressive_steps=2,
    diffusion_steps=2,
    batch_size=2,
    cached=8,
    scenes=4,
    overrides=(
        *TINY.overrides[:1],
        "--model.backbone.init_args.channels=[8,8,8]",
        "--model.backbone.init_args.latent_channels=8",
        "--data.dataset.init_args.train_length=16",
        "--data.dataset.init_args.val_length=4",
    ),
    generator_overrides=("--model.generator.init_args.layers=1",),
)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "out"
    run_demo(folder, budget=TINY, scenes=TINY_SCENES)
    return folder


def test_the_results_are_those_of_the_saved_tokenizers(output: Path) -> None:
    rows = json.loads((output / "results.json").read_text())["tokenizers"]
    assert [row["quantizer"] for row in rows] == list(QUANTIZERS)
    for row in rows:
        assert {column.key for column in COLUMNS} <= set(row)
        assert row["seconds"] > 0
        tokenizer = regvq.load_tokenizer(output / "tokenizers" / row["quantizer"])
        assert tokenizer.codebook_size == 24
        images = torch.stack([crop["image"] for crop in Photos("val", TINY.size, TINY.crops)])
        figures = evaluate_tokenizer(tokenizer, [images])
        assert row["psnr"] == pytest.approx(figures.psnr, abs=1e-4)
        assert row["perplexity"] == pytest.approx(figures.perplexity, rel=1e-6)


def test_the_generators_are_saved_and_their_figures_kept(output: Path) -> None:
    rows = json.loads((output / "results.json").read_text())["generators"]
    assert [row["kind"] for row in rows] == list(KINDS)
    tokenizer = regvq.load_tokenizer(output / "scenes" / "tokenizer")
    for row in rows:
        assert row["condition"] == "LabelMap"
        assert row["figure"] == "mean IoU"
        assert 0 <= row["value"] <= 1
        assert 0 < row["ceiling"] <= 1
        generator = regvq.load_generator(output / "scenes" / row["kind"])
        generator.require(tokenizer)
        assert tokenizer.decode(generator.sample(None, 1)).shape == (1, 3, 16, 16)


def test_the_report_holds_its_pictures(output: Path) -> None:
    page = (output / "report.html").read_text()
    assert page.count("data:image/png;base64,") >= 7 + 3 * len(QUANTIZERS)
    assert not re.search(r'(src|href)="(?!data:)', page)
    for column in COLUMNS:
        assert column.title in page
        assert escape(column.meaning) in page
    assert (output / "reconstructions.png").read_bytes().startswith(b"\x89PNG")


def test_again_replaces_its_own_and_prints_path_and_table_last(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (output / "results.json").read_bytes()
    run_demo(output, budget=TINY, scenes=TINY_SCENES)
    lines = capsys.readouterr().out.splitlines()
    (path,) = [number for number, line in enumerate(lines) if line.startswith("report:")]
    assert any(line.startswith("perplexity") for line in lines[path:])
    assert lines[-1] == "* best of its row"
    clocks = rb'"(seconds|photographs|scenes)": [\d.]+'
    timeless = [re.sub(clocks, b"", text) for text in (before, _results(output))]
    assert timeless[0] == timeless[1]


def _results(output: Path) -> bytes:
    return (output / "results.json").read_bytes()


@pytest.mark.parametrize("name", ["training", "tokenizers"])
def test_a_foreign_folder_is_left_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine.txt").write_text("mine")
    with pytest.raises(RegvqError, match="not the demo's"):
        run_demo(tmp_path, budget=TINY)
    assert (tmp_path / name / "mine.txt").read_text() == "mine"
