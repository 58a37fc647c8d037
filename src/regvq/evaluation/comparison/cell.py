"""One training of a comparison, and what is measured of it."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml

from regvq import configs
from regvq.configurable import build
from regvq.data import ImageData
from regvq.errors import RegvqError
from regvq.evaluation.evaluation import Evaluation
from regvq.evaluation.feature_choice import choose_features
from regvq.evaluation.reconstructions import evaluate_reconstructions
from regvq.evaluation.samples import evaluate_samples
from regvq.generators import Generator
from regvq.tokenizers import ImageTokenizer
from regvq.training.generator_cli import generator_cli, train_generator
from regvq.training.run_folder import RunFolder
from regvq.training.tokenizer_cli import tokenizer_cli, train_tokenizer
from regvq.types import SamplingOptions

Row = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """Stacked configurations, and arguments on top.

    Attributes:
        configs: paths or short names, later ones win.
        arguments: values by key, e.g. ``{"trainer.max_steps": 500}``.
        options: how a generator is sampled.
    """

    configs: Sequence[str] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, content: Mapping[str, Any] | None) -> "Stage":
        """One of a comparison's file."""
        return cls(**{"configs": (), "arguments": {}, **(content or {})})

    def with_(self, other: "Stage") -> "Stage":
        """Both, the other on top."""
        return Stage(
            (*self.configs, *other.configs),
            {**self.arguments, **other.arguments},
            {**self.options, **other.options},
        )

    def overrides(self, seed: int) -> list[str]:
        """As the command line takes them; ``"{other.key}"`` stands for the value of another argument.

        Raises:
            RegvqError: there is no such argument.
        """
        written = (
            f"--{key}={value if isinstance(value, str) else json.dumps(value)}"
            for key, value in ((key, self._resolved(key)) for key in self.arguments)
        )
        return [f"--seed_everything={seed}", *written]

    def fingerprint(self) -> str:
        """Eight hexadecimal digits of what its files say, not of what they are called: they may change."""
        files = [configs.find(name).read_text(encoding="utf-8") for name in self.configs]
        text = json.dumps([files, dict(self.arguments), dict(self.options)], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def budget(self) -> list[str]:
        """For a reader of the figures: configurations, of each kind the last one, data and trainer."""
        kinds = {name.partition("/")[0]: name for name in self.configs}
        given = {
            key: self._resolved(key) for key in self.arguments if key.startswith(("data.", "trainer."))
        }
        return [*kinds.values(), *(f"{key.rpartition('.')[2]} {value}" for key, value in given.items())]

    def _resolved(self, key: str) -> Any:
        value = self.arguments[key]
        if not (isinstance(value, str) and value.startswith("{") and value.endswith("}")):
            return value
        if value[1:-1] not in self.arguments:
            raise RegvqError(f"{key} is to be that of {value[1:-1]}, which the comparison does not set")
        return self.arguments[value[1:-1]]


@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        row: its row's name.
        value: of what is swept, or none.
        seed: of its weights and its batches.
        tokenizer: how it is trained.
        generator: how a generator is trained on its tokens, or none.
        features: the feature net of the distances, see ``choose_features``.
        count: validation images that are measured; all where none is given.
    """

    row: str
    value: Any
    seed: int
    tokenizer: Stage
    generator: Stage | None = None
    features: str | None = None
    count: int | None = None


def run_cell(cell: Cell, folder: Path, cache: Path, threads: int) -> Row:
    """Trains and measures; goes on where an earlier attempt stopped.

    Args:
        cell: what to train.
        folder: of this cell's tokenizer, of the generators on its tokens, and of what trainings print,
            ``log.txt``.
        cache: keeps features of real images.
        threads: of the CPU.
    """
    torch.set_num_threads(threads)
    folder.mkdir(parents=True, exist_ok=True)
    # Several trainings at once would write over one another's progress.
    with (
        (folder / "log.txt").open("a", encoding="utf-8") as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        return _run(cell, folder, cache)


def _run(cell: Cell, folder: Path, cache: Path) -> Row:
    net, instead = choose_features(cell.features)
    seconds = {}
    start = time.perf_counter()
    tokenizer = _tokenizer(cell, folder / "tokenizer")
    seconds["tokenizer"] = time.perf_counter() - start
    data = _data(folder / "tokenizer")
    found = evaluate_reconstructions(tokenizer, data, net, cache, count=cell.count)
    figures = _figures(found)
    better = {one.name: one.better for one in found.measurements}
    bias = _biases(found)
    notes = [*([instead] if instead else []), *found.notes]
    if cell.generator is not None:
        start = time.perf_counter()
        generator = _generator(cell, cell.generator, folder)
        seconds["generator"] = time.perf_counter() - start
        options = SamplingOptions(**cell.generator.options)
        sampled = evaluate_samples(
            generator, tokenizer, data, net, cache, count=cell.count, options=options
        )
        figures |= {f"samples: {name}": value for name, value in _figures(sampled).items()}
        better |= {f"samples: {one.name}": one.better for one in sampled.measurements}
        bias |= {f"samples: {name}": value for name, value in _biases(sampled).items()}
        notes += [f"Samples: {note}" for note in sampled.notes]
    return {
        "row": cell.row,
        "value": cell.value,
        "seed": cell.seed,
        "figures": figures,
        "better": better,
        "bias": bias,
        "reference": found.as_json()["reference"],
        "images": found.images,
        "budget": cell.tokenizer.budget(),
        "generator_budget": [] if cell.generator is None else cell.generator.budget(),
        "seconds": seconds,
        "notes": notes,
    }


def _figures(found: Evaluation) -> dict[str, float]:
    return {one.name: one.value for one in found.measurements if one.exact}


def _biases(found: Evaluation) -> dict[str, float]:
    return {one.name: one.bias for one in found.measurements if one.bias is not None}


def _tokenizer(cell: Cell, path: Path) -> ImageTokenizer:
    if _can_resume(RunFolder(path, "tokenizer")):
        return tokenizer_cli([f"--output={path}", "--resume"])
    # A row that collapses is a result. Below the row's own files, which may give a guard of their own.
    stacked = ("trainer/collapse-allowed", *cell.tokenizer.configs)
    return train_tokenizer(stacked, path, cell.tokenizer.overrides(cell.seed))


def _generator(cell: Cell, stage: Stage, folder: Path) -> Generator:
    path = folder / f"generator-{stage.fingerprint()}"
    if _can_resume(RunFolder(path, "generator")):
        return generator_cli([f"--output={path}", "--resume"])
    model = RunFolder(folder / "tokenizer", "tokenizer").model
    return train_generator(stage.configs, path, [f"--model.tokenizer={model}", *stage.overrides(cell.seed)])


def _can_resume(run: RunFolder) -> bool:
    """Whether there is a checkpoint, the last one of a finished run as well; clears what has none."""
    if not run.resumable:
        shutil.rmtree(run.path, ignore_errors=True)
    return run.resumable


def _data(run: Path) -> ImageData:
    """The data that a tokenizer was trained on, from the configuration that its run has written."""
    content = yaml.safe_load(RunFolder(run, "tokenizer").config.read_text(encoding="utf-8"))
    data: ImageData = build(content["data"]["dataset"])
    return data
