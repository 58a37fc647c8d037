"""What is compared: a YAML file of rows, seeds and a swept value, as cells to be trained."""

import functools
import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from regvq import configs
from regvq.errors import RegvqError
from regvq.evaluation.comparison.cell import Cell, Stage
from regvq.evaluation.feature_choice import choose_features


@dataclass(frozen=True)
class Sweep:
    """One argument that takes several values.

    Attributes:
        argument: of the tokenizer's training, e.g. ``model.quantizer.init_args.mask_ratio``.
        values: what it takes.
        label: what a plot calls it.
    """

    argument: str
    values: Sequence[Any]
    label: str = ""

    @property
    def title(self) -> str:
        """The label, or the argument's last part."""
        return self.label or self.argument.rpartition(".")[2].replace("_", " ")


@dataclass(frozen=True)
class Comparison:
    """A grid of trainings with one budget.

    Attributes:
        title: what it is about.
        shared: configurations and arguments of every tokenizer.
        rows: what differs, by name.
        seeds: of every row.
        sweep: one swept value, or none.
        generator: what is trained on the tokens of each, or none.
        count: validation images that are measured; all where none is given.
    """

    title: str
    shared: Stage
    rows: Mapping[str, Stage]
    seeds: Sequence[int]
    sweep: Sweep | None = None
    generator: Stage | None = None
    count: int | None = None

    def cells(self, features: str | None = None) -> list[Cell]:
        """Every training, row by row.

        Args:
            features: the feature net, see ``regvq.evaluation.choose_features``.
        """
        values = [None] if self.sweep is None else list(self.sweep.values)
        return [
            Cell(
                row=name,
                value=value,
                seed=seed,
                tokenizer=self.shared.with_(self.rows[name]).with_(self._swept(value)),
                generator=self.generator,
                features=features,
                count=self.count,
            )
            for name, value, seed in itertools.product(self.rows, values, self.seeds)
        ]

    def _swept(self, value: Any) -> Stage:
        return Stage() if self.sweep is None else Stage(arguments={self.sweep.argument: value})


_ALONE = "generator."
"""Starts the arguments that are meant for the generators' trainings alone."""


@dataclass(frozen=True)
class _File:
    """The keys of a comparison's file."""

    title: str
    configs: Sequence[str]
    rows: Mapping[str, Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seeds: Sequence[int] = (0,)
    sweep: Mapping[str, Any] | None = None
    generator: Mapping[str, Any] | None = None
    count: int | None = None


def read_comparison(
    name: str, own: Sequence[str] = (), arguments: Mapping[str, Any] | None = None
) -> Comparison:
    """Reads a comparison's file.

    Args:
        name: its path, or the short name of one that is shipped, e.g. ``comparison/main``.
        own: configurations of every training, tokenizers' and generators', on top of all that the file
            says; for example other data.
        arguments: of every tokenizer's training, on top of those; ``data.…`` also of the generators',
            ``generator.…`` of theirs alone.

    Raises:
        RegvqError: there is no such file, or it says something else than a comparison.
    """
    path = configs.find(name)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        file = _File(**content)
        # Behind the rows' own: what is given on the command line is meant for all.
        given = dict(arguments or {})
        alone = {key: given.pop(key) for key in list(given) if key.startswith(_ALONE)}
        last = Stage(tuple(own), given)
        of_data = {key: value for key, value in given.items() if key.startswith("data.")}
        of_generators = of_data | {key.removeprefix(_ALONE): value for key, value in alone.items()}
        shared = Stage(tuple(file.configs), dict(file.arguments))
        if alone and file.generator is None:
            raise ValueError(f"it trains no generators that {', '.join(alone)} could be meant for")
        return Comparison(
            title=file.title,
            shared=shared,
            rows={str(row): Stage.read(value).with_(last) for row, value in file.rows.items()},
            seeds=_checked_seeds(file.seeds),
            sweep=None if file.sweep is None else Sweep(**file.sweep),
            generator=(
                None
                if file.generator is None
                else Stage.read(file.generator).with_(Stage(tuple(own), of_generators))
            ),
            count=file.count,
        )
    except (yaml.YAMLError, TypeError, AttributeError, ValueError) as error:
        known = ", ".join(one.name for one in fields(_File))
        reason = str(error).replace("\n", " ")
        raise RegvqError(f"{path} is no comparison ({reason}): its keys are {known}") from None


def key_of(cell: Cell) -> str:
    """A file name that changes with anything that could change the cell's result."""
    generator = None if cell.generator is None else cell.generator.fingerprint()
    parts = cell.tokenizer.fingerprint(), generator, _net(cell.features), cell.count
    return f"{_readable(cell)}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]}"


def run_key(cell: Cell) -> str:
    """A folder name that changes with what could change the cell's tokenizer, and with nothing else."""
    return f"{_readable(cell)}-{cell.tokenizer.fingerprint()}"


@functools.lru_cache
def _net(choice: str | None) -> tuple[str, str]:
    """Name and weights of the feature net of a choice, which may be another tomorrow."""
    net, _ = choose_features(choice)
    return net.name, net.weights_hash()


def _readable(cell: Cell) -> str:
    words = [cell.row, *([] if cell.value is None else [str(cell.value)]), str(cell.seed)]
    return re.sub(r"[^a-z0-9.]+", "-", " ".join(words).lower()).strip("-")[:60]


def cell_file(folder: Path, cell: Cell) -> Path:
    """Where a cell's result is kept."""
    return folder / "cells" / f"{key_of(cell)}.json"


def _checked_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    if not seeds or len(set(seeds)) < len(seeds) or not all(isinstance(seed, int) for seed in seeds):
        raise ValueError(f"seeds must be whole numbers, each once, not {list(seeds)}")
    return tuple(seeds)
