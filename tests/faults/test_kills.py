"""SIGKILL at random moments: what goes on afterwards ends where an undisturbed run ends, bit for bit."""

import csv
import functools
import json
import os
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from regvq.evaluation.comparison import read_comparison, run_cell
from regvq.evaluation.comparison.jobs import write_json
from regvq.evaluation.comparison.plan import cell_file, run_key
from tests.faults.conftest import Faults
from tests.support.command_line import Command

DATA = {
    "dataset": {
        "class_path": "regvq.data.scenes.ScenesData",
        "init_args": {"size": 16, "train_length": 24, "val_length": 8},
    },
    "batch_size": 4,
    "val_batch_size": 4,
}
TRAINER = {
    "accelerator": "cpu",
    "devices": 1,
    "max_steps": 60,
    "val_check_interval": 5,
    "check_val_every_n_epoch": None,
    "log_every_n_steps": 1,
}
STAGE_1 = {
    "model": {
        "backbone": {"class_path": "regvq.nets.IdentityBackbone", "init_args": {"downsampling": 4}},
        "quantizer": {
            "class_path": "regvq.quantizers.RegularizedVectorQuantizer",
            "init_args": {"codebook_size": 32, "dim": 8},
        },
        "ema_decay": 0.9,
    },
    "data": DATA,
    "trainer": TRAINER,
}
STAGE_2 = {
    "model": {
        "condition": "regvq.conditions.NoCondition",
        "generator": {
            "class_path": "regvq.generators.AutoregressiveGenerator",
            "init_args": {"dim": 16, "layers": 1, "heads": 2, "hidden": 32},
        },
        "samples": False,
    },
    "data": DATA,
    "trainer": TRAINER,
}
COMPARISON = {
    "title": "Tiny",
    "configs": ["objective/l1"],
    "arguments": {"trainer.max_steps": 20},
    "seeds": [0],
    "rows": {"vq": {"configs": ["tokenizer/vq"]}},
}


def begin_tokenizer(folder: Path, output: Path) -> list[object]:
    (folder / "stage1.yaml").write_text(yaml.safe_dump(STAGE_1))
    return ["fit-tokenizer", "--config", folder / "stage1.yaml", "--output", output]


def begin_generator(folder: Path, output: Path) -> list[object]:
    (folder / "stage2.yaml").write_text(yaml.safe_dump(STAGE_2))
    first = ["fit-generator", "--config", folder / "stage2.yaml", "--output", output]
    return [*first, "--model.tokenizer", folder / "tokenizer"]


def go_on(command: list[object], output: Path) -> list[object]:
    """What a user does after a kill: resume, or begin anew where nothing had been saved yet."""
    if list(output.glob("checkpoints/*.ckpt")):
        return [command[0], "--output", output, "--resume"]
    shutil.rmtree(output, ignore_errors=True)
    return command


def encode(folder: Path, output: Path) -> list[object]:
    (folder / "data.yaml").write_text(yaml.safe_dump({"data": DATA}))
    data = ["--config", folder / "data.yaml", "--variants", 20, "--shard-size", 8]
    return ["encode", folder / "tokenizer", *data, "--output", output]


def compare(folder: Path, output: Path) -> list[object]:
    stage = json.loads(json.dumps(STAGE_1))
    stage["model"]["quantizer"]["init_args"] = {"codebook_size": 16, "dim": 8}
    (folder / "own.yaml").write_text(yaml.safe_dump(stage))
    content = {**COMPARISON, "configs": [*COMPARISON["configs"], str(folder / "own.yaml")]}
    content["rows"] = {"vq": {"configs": ["tokenizer/vq", str(folder / "own.yaml")]}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(content))
    # As many jobs as there are cores: each computes with one thread, as the undisturbed run does.
    options = ["--features", "offline", "--cache", folder / "cache", "--jobs", os.cpu_count()]
    return ["compare", folder / "tiny.yaml", *options, "--output", output]


def in_one_process(arguments: list[str]) -> int:
    """What ``compare`` computes, without the process that it starts for each training."""
    _, comparison, *options, output = arguments
    cache = options[options.index("--cache") + 1]
    for cell in read_comparison(comparison).cells("offline"):
        row = run_cell(cell, Path(output, "runs", run_key(cell)), Path(cache), 1)
        write_json(cell_file(Path(output), cell), row)
    return 0


def has_begun(kind: str, output: Path) -> bool:
    """A comparison begins with the seconds that its trainings' process takes to import."""
    return kind != "compare" or any(output.rglob("log.txt"))


def different(one: Any, other: Any, place: str = "") -> list[str]:
    """Where two nested values do not hold the same, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        alike = isinstance(other, torch.Tensor) and torch.equal(one, other)
    elif isinstance(one, (dict, list, tuple)):
        parts, others = (
            dict(value if isinstance(value, dict) else enumerate(value)) for value in (one, other)
        )
        if parts.keys() == others.keys():
            return [
                found for key in parts for found in different(parts[key], others[key], f"{place}/{key}")
            ]
        alike = False
    else:
        alike = bool(one == other)
    return [] if alike else [place]


def logged(run: Path) -> dict[tuple[str, str], set[str]]:
    """Every logged value by its name and step, of all attempts."""
    found: dict[tuple[str, str], set[str]] = {}
    for path in run.glob("logs/version_*/metrics.csv"):
        for row in csv.DictReader(path.read_text().splitlines()):
            for name, value in row.items():
                if value and name != "step":
                    found.setdefault((name, row["step"]), set()).add(value)
    return found


def training_of(run: Path) -> dict[str, Any]:
    """What a training leaves: weights, optimizer, best score, and the losses it logged."""
    (model,) = (
        path for path in run.iterdir() if (path / "config.json").exists() and "best" not in path.name
    )
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    kept = ("state_dict", "optimizer_states", "lr_schedulers", "global_step")
    return {
        "model": load_file(model / "model.safetensors"),
        "best": load_file(run / f"{model.name}-best" / "model.safetensors"),
        "checkpoint": {name: last[name] for name in kept},
        "score": {name: state for name, state in last["callbacks"].items() if name == "SaveModel"},
    }


def cache_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def figures_of(folder: Path) -> dict[str, Any]:
    """The figures of a comparison's trainings, and the trainings."""
    rows = {path.name: json.loads(path.read_text()) for path in sorted(folder.rglob("*.json"))}
    figures = {name: row["figures"] for name, row in rows.items() if "seed" in row}
    assert figures
    return {
        "figures": figures,
        "models": [
            training_of(path.parent.parent) for path in sorted(folder.rglob("checkpoints/last.ckpt"))
        ],
    }


KINDS: dict[str, tuple[Callable[..., list[object]], Callable[..., list[object]], Callable[[Path], Any]]] = {
    "stage 1 training": (begin_tokenizer, go_on, training_of),
    "stage 2 training": (begin_generator, go_on, training_of),
    "encode of a data set": (encode, lambda command, output: command, cache_of),
    "compare": (compare, lambda command, output: command, figures_of),
}


@pytest.mark.parametrize("kind", KINDS)
def test_sigkill(kind: str, tokenizer: Path, tmp_path: Path, faults: Faults) -> None:
    begin, again, result_of = KINDS[kind]
    chance = random.Random(kind)
    log, whole = tmp_path / "log.txt", tmp_path / "whole"
    assert Command(["--version"], log).finish() == 0  # from here on all is imported
    running = Command(begin(tmp_path, whole), log, in_one_process if kind == "compare" else None)
    assert running.finish() == 0, log.read_text()[-2000:]
    seconds = running.seconds
    wanted, losses = result_of(whole), logged(whole)
    assert all(len(values) == 1 for values in losses.values())
    wished = faults.count(1 if kind == "compare" else 2, 20)
    kills, ends, lost = 0, 0, []
    while kills < wished:
        output = tmp_path / f"killed-{ends}"
        command = begin(tmp_path, output)
        running = Command(command, log)
        begun = functools.partial(has_begun, kind, output)
        while kills < wished and running.kill_after(chance.random() * seconds, begun, kills % 2 == 1):
            kills += 1
            running = Command(again(command, output), log)
        status = running.finish()
        ends += 1
        seconds = min(seconds, running.seconds)
        if status != 0:
            lost.append(f"it did not go on: {log.read_text()[-2000:]}")
        elif other := [*different(result_of(output), wanted), *differing(logged(output), losses)]:
            lost.append(f"another result after kill {kills}: {other[:5]}")
        elif leftovers := [path for part in ("ckpt", "safete") for path in output.rglob(f".*{part}*")]:
            lost.append(f"left over: {leftovers}")
        shutil.rmtree(output)
        assert ends < 20 * wished, "no kill comes in time"
    faults.record("kills", kind, kills, lost, f"{ends} runs to the end")


def differing(
    some: Mapping[tuple[str, str], set[str]], wanted: Mapping[tuple[str, str], set[str]]
) -> Sequence[tuple[str, str]]:
    """Values that an undisturbed run did not log; ``hp_metric`` and the like are in both or none."""
    return [place for place, values in some.items() if values != wanted.get(place)]
