"""A grid of trainings: read, run, resumed, reported; one that fails does not lose the others."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from regvq import configs
from regvq.errors import RegvqError
from regvq.evaluation.comparison import Comparison, read_comparison, run_cell, save_report
from regvq.evaluation.comparison.cell import Stage
from regvq.evaluation.comparison.plan import cell_file, key_of, run_key
from regvq.evaluation.comparison.report import grouped, markdown, shown_figures
from regvq.nets import IdentityBackbone
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import ImageTokenizer
from regvq.training.cli_arguments import resolve
from regvq.training.generator_cli import GeneratorCLI
from regvq.training.run import quiet
from regvq.training.tokenizer_cli import TokenizerCLI, train_tokenizer
from regvq.training.tokenizer_training import TokenizerTraining

TINY = """
title: Tiny
configs: [backbone/tiny, objective/l1, data/scenes, trainer/cpu, {own}]
arguments: {{trainer.max_steps: {steps}, trainer.val_check_interval: 2, model.quantizer.init_args.dim: 8}}
seeds: [0, 1]
rows:
  vq: {{configs: [tokenizer/vq], arguments: {{model.quantizer.init_args.codebook_size: 16}}}}
  fsq: {{configs: [tokenizer/fsq], arguments: {{model.quantizer.init_args.levels: [4, 4]}}}}
"""
OWN = """
model:
  backbone: {class_path: regvq.nets.IdentityBackbone, init_args: {downsampling: 4}}
data:
  dataset:
    class_path: regvq.data.scenes.ScenesData
    init_args: {size: 16, train_length: 24, val_length: 8}
  batch_size: 4
  val_batch_size: 4
"""
GENERATOR = """
generator:
  configs: [generator/autoregressive-tiny, condition/class-label, data/scenes, trainer/generator-cpu, {own}]
  arguments: {{trainer.max_steps: 2, trainer.val_check_interval: 2}}
  options: {{top_p: 0.9}}
"""
OWN_GENERATOR = """
model: {generator: {init_args: {dim: 16, layers: 1, heads: 2, hidden: 32}}, samples: false}
data:
  dataset:
    class_path: regvq.data.scenes.ScenesData
    init_args: {size: 16, train_length: 24, val_length: 8}
  batch_size: 4
  val_batch_size: 4
"""


def write(folder: Path, extra: str = "", steps: int = 2) -> Path:
    (folder / "own.yaml").write_text(OWN)
    (folder / "tiny.yaml").write_text(TINY.format(own=folder / "own.yaml", steps=steps) + extra)
    return folder / "tiny.yaml"


def run_all(comparison: Comparison, folder: Path) -> list:
    return [
        run_cell(cell, folder / "runs" / run_key(cell), folder / "cache", 1)
        for cell in comparison.cells("offline")
    ]


def test_a_grid_is_trained_measured_and_reported(tmp_path: Path) -> None:
    comparison = read_comparison(str(write(tmp_path)))
    rows = run_all(comparison, tmp_path)
    assert [(row["row"], row["seed"]) for row in rows] == [("vq", 0), ("vq", 1), ("fsq", 0), ("fsq", 1)]
    assert rows[0]["figures"] != rows[1]["figures"]
    assert all("images/s" not in name for row in rows for name in row["figures"])
    # Another attempt finds the finished run and only measures again.
    assert run_all(replace(comparison, seeds=(0,)), tmp_path)[0]["figures"] == rows[0]["figures"]
    paths = save_report(
        comparison, rows, ["a training failed"], tmp_path / "report", "regvq compare tiny.yaml"
    )
    text = paths[0].read_text()
    assert "| vq | 2 |" in text
    assert " ± " in text
    assert text.count("**") >= 2 * 3
    assert "Fewer than three seeds: exploratory" in text
    assert "Bias that so few images cause: about " in text
    assert "- Failed: a training failed" in text
    with Image.open(paths[1]) as image:
        assert image.width > 600
    content = json.loads(paths[2].read_text())
    assert content["rows"] == rows
    assert content["command"] == "regvq compare tiny.yaml"


def test_a_training_that_was_cut_short_is_not_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cell, *_) = read_comparison(str(write(tmp_path, steps=8))).cells("offline")
    undisturbed = run_cell(cell, tmp_path / "whole", tmp_path / "cache", 1)
    step, met = TokenizerTraining.training_step, []

    def dies(self: TokenizerTraining, *batch: object) -> object:
        met.append(self.global_step)
        if met[-1] == 5:
            raise OSError("the machine went away")
        return step(self, *batch)

    monkeypatch.setattr(TokenizerTraining, "training_step", dies)
    with pytest.raises(OSError, match="went away"):
        run_cell(cell, tmp_path / "cut", tmp_path / "cache", 1)
    met.clear()

    def goes_on(self: TokenizerTraining, *batch: object) -> object:
        met.append(self.global_step)
        return step(self, *batch)

    monkeypatch.setattr(TokenizerTraining, "training_step", goes_on)
    row = run_cell(cell, tmp_path / "cut", tmp_path / "cache", 1)
    assert met[0] in (4, 5)  # at the last checkpoint
    assert row["figures"] == undisturbed["figures"]


def test_a_generator_on_the_tokens_of_each(tmp_path: Path) -> None:
    (tmp_path / "own-generator.yaml").write_text(OWN_GENERATOR)
    path = write(tmp_path, GENERATOR.format(own=tmp_path / "own-generator.yaml"))
    comparison = replace(read_comparison(str(path)), seeds=(0,))
    comparison = replace(comparison, rows={"vq": comparison.rows["vq"]})
    (row,) = run_all(comparison, tmp_path)
    assert {"samples: precision", "samples: bits per token"} <= row["figures"].keys()
    assert row["seconds"].keys() == {"tokenizer", "generator"}
    assert [name for name in shown_figures([row]) if name.startswith("samples: Fréchet")]


def test_the_best_mean_is_bold_whichever_way_is_better(tmp_path: Path) -> None:
    comparison = read_comparison(str(write(tmp_path)))

    def row(name: str, seed: int, psnr: float, distance: float) -> dict:
        return {
            "row": name,
            "value": None,
            "seed": seed,
            "figures": {"Fréchet distance (x)": distance, "PSNR": psnr},
            "better": {"Fréchet distance (x)": -1, "PSNR": 1},
            "reference": {
                "size": (16, 16),
                "features": "x",
                "weights": "w",
                "images": "abc",
                "count": 8,
                "split": "val",
            },
            "images": 8,
            "budget": ["backbone/tiny", f"tokenizer/{name}", "max_steps 5"],
            "seconds": {"tokenizer": 1.0},
            "notes": [],
        }

    rows = [
        row("vq", 0, 20.0, 1.0),
        row("vq", 1, 22.0, 3.0),
        row("fsq", 0, 20.5, 1.5),
        row("fsq", 1, 20.5, 1.5),
    ]
    text = markdown(comparison, rows, [])
    assert "| vq | 2 | 2.0000 ± 1.4142 | **21.00 ± 1.41** |" in text
    assert "| fsq | 2 | **1.5000 ± 0.0000** | 20.50 ± 0.00 |" in text
    assert "- Budget: backbone/tiny, max_steps 5; " in text
    assert "Not the same for all" not in text
    rows[0]["budget"][2] = "max_steps 6"
    assert "- Not the same for all: max_steps 6, max_steps 5.\n" in markdown(comparison, rows, [])
    assert "hash of the images" not in text
    rows[1]["reference"]["images"] = "def"
    unlike = (
        "- **The hash of the images differs**: def (8 of val) for vq (seed 1); abc (8 of val) for the rest."
    )
    assert unlike in markdown(comparison, rows, [])


def test_the_budget_is_what_was_trained_with() -> None:
    comparison = read_comparison("comparison/main", ["data/class-folders"], {"trainer.max_steps": 7})
    cell = next(cell for cell in comparison.cells() if cell.row == "gumbel")
    budget = cell.tokenizer.budget()
    assert {"data/class-folders", "tokenizer/gumbel", "max_steps 7"} <= set(budget)
    assert "data/photos" not in budget
    # Its temperature falls over the training, however long that is made.
    assert "--model.quantizer.init_args.temperature.init_args.steps=7" in cell.tokenizer.overrides(0)


def test_an_argument_that_stands_for_none_is_refused() -> None:
    stage = Stage(arguments={"model.quantizer.init_args.dim": "{model.width}"})
    with pytest.raises(RegvqError, match=r"is to be that of model\.width, which"):
        stage.overrides(0)


def test_a_swept_value_is_a_row_each(tmp_path: Path) -> None:
    sweep = "sweep: {argument: model.quantizer.init_args.codebook_size, values: [8, 16]}\n"
    comparison = read_comparison(str(write(tmp_path, sweep)))
    comparison = replace(comparison, seeds=(0,), rows={"vq": comparison.rows["vq"]})
    rows = run_all(comparison, tmp_path)
    assert list(grouped(rows)) == [("vq", 8), ("vq", 16)]
    paths = save_report(comparison, rows, [], tmp_path / "report")
    assert "| row | codebook size | seeds |" in paths[0].read_text()


def test_changed_settings_are_another_file(tmp_path: Path) -> None:
    one = read_comparison(str(write(tmp_path)))
    other = read_comparison(str(write(tmp_path)), arguments={"trainer.max_steps": 3})
    files = {cell_file(tmp_path, cell) for comparison in (one, other) for cell in comparison.cells()}
    assert len(files) == 8
    (cell, *_) = one.cells("offline")
    before, run = key_of(cell), run_key(cell)
    fewer = replace(cell, count=4)
    assert key_of(fewer) != before
    assert run_key(fewer) == run  # measured otherwise, trained alike
    (tmp_path / "own.yaml").write_text(OWN.replace("batch_size: 4", "batch_size: 2"))
    assert key_of(cell) != before
    assert run_key(cell) != run


SHIPPED = [name for name in configs.names() if name.startswith("comparison/")]
ROWS = [(name, row) for name in SHIPPED for row in read_comparison(name).rows]


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_shipped_can_be_read(name: str) -> None:
    comparison = read_comparison(name)
    cells = comparison.cells()
    assert len({key_of(cell) for cell in cells}) == len(cells)
    assert comparison.shared.arguments["trainer.max_steps"] == 1000


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_every_row_that_is_shipped_is_a_training(name: str, row: str, tmp_path: Path) -> None:
    comparison = read_comparison(name)
    *_, cell = (cell for cell in comparison.cells() if cell.row == row)
    build(TokenizerCLI, cell.tokenizer)
    if cell.generator is not None:
        ImageTokenizer(IdentityBackbone(8), VectorQuantizer(16, 4)).save_pretrained(tmp_path)
        build(GeneratorCLI, cell.generator.with_(Stage(arguments={"model.tokenizer": str(tmp_path)})))


def build(kind: type[TokenizerCLI | GeneratorCLI], stage: Stage) -> None:
    names = [word for file in stage.configs for word in ("--config", file)]
    with quiet():
        kind(resolve([*names, *stage.overrides(0)]))


def test_other_data_for_tokenizers_and_generators(tmp_path: Path) -> None:
    own = read_comparison("comparison/mask-ratio", ["data/folder"], {"data.batch_size": 2, "a.b": 1})
    (cell, *_) = own.cells()
    assert cell.generator is not None
    for stage in (cell.tokenizer, cell.generator):
        assert stage.configs[-1] == "data/folder"
        assert stage.arguments["data.batch_size"] == 2
    assert "a.b" in cell.tokenizer.arguments
    assert "a.b" not in cell.generator.arguments


def test_arguments_for_the_generators_alone(tmp_path: Path) -> None:
    given = {"generator.trainer.max_steps": 7, "trainer.max_steps": 5}
    (cell, *_) = read_comparison("comparison/mask-ratio", arguments=given).cells()
    assert cell.generator is not None
    assert (
        cell.tokenizer.arguments["trainer.max_steps"],
        cell.generator.arguments["trainer.max_steps"],
    ) == (
        5,
        7,
    )
    (usual, *_) = read_comparison("comparison/mask-ratio", arguments={"trainer.max_steps": 5}).cells()
    assert run_key(usual) == run_key(cell)  # the tokenizer is the same, and is not trained again
    assert key_of(usual) != key_of(cell)
    with pytest.raises(RegvqError, match=r"trains no generators that generator.trainer.max_steps"):
        read_comparison(str(write(tmp_path)), arguments=given)


@pytest.mark.parametrize(
    "content",
    ["- a list", "title: x", "title: x\nconfigs: []\nrows: {}\nseeds: [0, 0]", "a: b: c", "title: [x"],
)
def test_what_is_no_comparison_is_a_sentence(content: str, tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text(content)
    with pytest.raises(RegvqError, match=r"file.yaml is no comparison .*its keys are title, configs"):
        read_comparison(str(tmp_path / "file.yaml"))


def test_the_page_s_example_is_a_comparison(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    (tmp_path / "page.yaml").write_text(page.split("```yaml\n")[1].split("```")[0])
    comparison = read_comparison(str(tmp_path / "page.yaml"))
    assert len(comparison.cells()) == 9
    shipped = {name for name in configs.names() if name.startswith("comparison/")}
    assert all(f"`{name}`" in page for name in shipped)


@pytest.mark.filterwarnings("ignore:the first batch has")
@pytest.mark.parametrize(
    "name", ["peer-vq", "peer-rotation", "sim-vq", "fsq", "lfq", "diveq", "nsvq", "gumbel", "regvq"]
)
def test_the_quantizers_of_the_main_table_train_with_averaged_weights(name: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(OWN)
    files = ["backbone/tiny", "objective/l1", "data/scenes", "trainer/cpu", str(tmp_path / "own.yaml")]
    arguments = ["--model.ema_decay=0.99", "--trainer.max_steps=3", "--trainer.val_check_interval=1"]
    tokenizer = train_tokenizer([*files, f"tokenizer/{name}"], tmp_path / "run", arguments)
    assert tokenizer.quantizer.codebook.isfinite().all()
