"""Commands that several processes do together: the same files as one process makes, each made once."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest

from regvq import load_generator
from regvq.cli import main
from regvq.evaluation import parts
from regvq.tokenizers import ImageTokenizer
from tests.cli.conftest import Run
from tests.support.ranks import run_on_ranks

ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "GLOO_SOCKET_IFNAME": "lo",
    # Each start of the processes has a meeting place of its own (docs/scaling.md).
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    # The started processes use a module of ``tests.support``.
    "PYTHONPATH": os.pathsep.join(
        [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    ),
}
DATA = [
    *("--config", "data/scenes", "--data.dataset.init_args.size=16"),
    *("--data.dataset.init_args.train_length=10", "--data.dataset.init_args.val_length=3"),
]


def encode(tokenizer: Path, output: Path, shard_size: int = 2) -> list[str]:
    return ["encode", str(tokenizer), *DATA, f"--shard-size={shard_size}", "--output", str(output)]


def evaluate(tokenizer: Path, output: Path) -> list[str]:
    features = ["--features=offline", "--cache", str(output / "cache")]
    return ["evaluate", "tokenizer", str(tokenizer), *DATA, *features, "--output", str(output)]


def sample(tokenizer: Path, generator: Path, output: Path) -> list[str]:
    return [
        "sample",
        str(tokenizer),
        str(generator),
        "--count=7",
        "--batch-size=2",
        "--output",
        str(output),
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def figures(folder: Path) -> dict[str, Any]:
    """An evaluation without its speeds."""
    found: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    return {**found, "figures": [one for one in found["figures"] if one.get("exact", True)]}


def written_by(rank: int, commands: list[list[str]]) -> list[list[str]]:
    """Runs the commands on this rank; the files that it wrote itself, command by command."""
    import regvq.files

    mine: list[str] = []
    replace = os.replace

    def note(source: str, target: Path) -> None:
        mine.append(Path(target).name)
        replace(source, target)

    regvq.files.os.replace = note
    found = []
    for command in commands:
        mine.clear()
        assert main(command) == 0
        found.append(sorted(mine))
    return found


def test_ranks_share_shards_and_samples(tokenizer: Path, generator: Path, tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    commands = {
        folder: [encode(tokenizer, folder / "tokens"), sample(tokenizer, generator, folder / "samples")]
        for folder in (alone, shared)
    }
    for command in commands[alone]:
        assert main(command) == 0
    (tmp_path / "ranks").mkdir()
    first, second = run_on_ranks(written_by, tmp_path / "ranks", commands[shared])
    for number, name in enumerate(("tokens", "samples")):
        wanted = contents(alone / name)
        assert contents(shared / name) == wanted
        assert sorted(first[number] + second[number]) == sorted(wanted)  # each by one rank, once
        assert len(second[number]) >= len(wanted) // 2 - 1


def test_a_rank_that_has_nothing_to_do_waits(tokenizer: Path, generator: Path, tmp_path: Path) -> None:
    """Two shards, one batch of samples and one part of an evaluation on three ranks."""
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    commands = {
        folder: [
            encode(tokenizer, folder / "tokens", shard_size=64),
            [*sample(tokenizer, generator, folder / "samples"), "--batch-size=8"],
            evaluate(tokenizer, folder / "evaluation"),
        ]
        for folder in (alone, shared)
    }
    for command in commands[alone]:
        assert main(command) == 0
    (tmp_path / "ranks").mkdir()
    last = run_on_ranks(written_by, tmp_path / "ranks", commands[shared], ranks=3)[2]
    assert [name for name in last[0] if name.endswith(".safetensors")] == last[1] == last[2] == []
    for name in ("tokens", "samples"):
        assert contents(shared / name) == contents(alone / name)
    assert (shared / "evaluation" / "evaluation.json").is_file()


def said_by(rank: int, commands: list[list[list[str]]]) -> list[str]:
    """Runs this rank's own commands; what each says on standard error."""
    said = []
    for command in commands[rank]:
        with redirect_stderr(io.StringIO()) as stream:
            main(command)
        said.append(stream.getvalue())
    return said


def test_machines_that_do_not_share_their_folders_are_told(
    tokenizer: Path, generator: Path, tmp_path: Path
) -> None:
    other, another = ImageTokenizer.from_pretrained(tokenizer), load_generator(generator)
    for model, name in ((other, "other"), (another, "another")):
        next(model.parameters()).data += 1
        model.save_pretrained(tmp_path / name)
    commands = [
        [
            encode(tokenizer if rank == 0 else tmp_path / "other", tmp_path / "tokens"),
            sample(tokenizer, generator if rank == 0 else tmp_path / "another", tmp_path / "samples"),
            sample(tokenizer, generator, tmp_path / f"samples of machine {rank}"),
        ]
        for rank in range(2)
    ]
    (tmp_path / "ranks").mkdir()
    first, second = run_on_ranks(said_by, tmp_path / "ranks", commands)
    for said in (first, second):
        assert "rank 0 and rank 1 differ in their tokenizer: give all machines the same files" in said[0]
        assert "rank 0 and rank 1 differ in their generator" in said[1]
    assert not (tmp_path / "tokens").exists()
    assert not (tmp_path / "samples").exists()
    assert "3 file(s) that other processes have written are not here" in first[2]
    assert "give an --output that all machines share" in first[2]


def test_what_is_there_is_not_drawn_again(
    tokenizer: Path, generator: Path, tmp_path: Path, regvq: Run
) -> None:
    assert regvq(*sample(tokenizer, generator, tmp_path / "out"))[0] == 0
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "00003.png").unlink()
    kept = (tmp_path / "out" / "00000.png").stat().st_mtime_ns
    assert regvq(*sample(tokenizer, generator, tmp_path / "out"))[0] == 0
    assert contents(tmp_path / "out") == before
    assert (tmp_path / "out" / "00000.png").stat().st_mtime_ns == kept
    status, _, said = regvq(*sample(tokenizer, generator, tmp_path / "out"), "--seed", "1")
    assert status == 2
    assert "holds a set of samples with another options" in said


KINDS: dict[str, int] = {"encode": 2, "sample": 3, "evaluate": 4}
"""Commands, and the write of the second rank that it is killed in; an evaluation's first two are of the
real images."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_rank_costs_what_it_had_not_written(
    kind: str, tokenizer: Path, generator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ranks are started again with the same command."""
    alone, shared, log = tmp_path / "alone", tmp_path / "shared", tmp_path / "log"
    commands = {
        "encode": lambda output: encode(tokenizer, output),
        "sample": lambda output: sample(tokenizer, generator, output),
        "evaluate": lambda output: [*evaluate(tokenizer, output), "--data.dataset.init_args.val_length=9"],
    }
    monkeypatch.setattr(parts, "PART", 2)
    assert main(commands[kind](alone)) == 0
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=3"]
    program = ["-m", "tests.support.dying_command", str(log), str(KINDS[kind])]
    done = subprocess.run(
        [sys.executable, *launcher, *program, *commands[kind](shared)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "exitcode: -9" in done.stderr
    lines = [line.split() for line in log.read_text().splitlines()]
    before = {name for restarts, _, name in lines if restarts == "0"}
    after = {name for restarts, _, name in lines if restarts != "0"}
    assert before
    assert after
    assert before & after == set()  # what was written is not made again
    assert {rank for _, rank, _ in lines} == {"0", "1"}
    if kind == "sample":
        assert done.stdout == f"7 images in {shared}\n"  # said once
    if kind == "evaluate":
        assert figures(shared) == figures(alone)
    else:
        assert contents(shared) == contents(alone)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["codebook", "x", "--output", "y"], "regvq codebook is done by one process: start it without"),
        (["encode", "TOKENIZER", "photos", "--output", "y.npz"], "images are encoded by one process"),
        (["sample", "TOKENIZER", "GENERATOR", "--output", "y.png"], "a grid is drawn by one process"),
    ],
)
def test_what_cannot_be_shared_says_so(
    command: list[str],
    sentence: str,
    tokenizer: Path,
    generator: Path,
    regvq: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    places = {"TOKENIZER": str(tokenizer), "GENERATOR": str(generator)}
    status, _, said = regvq(*[places.get(word, word) for word in command])
    assert status == 2
    assert sentence in said
