"""Writes docs/reliability.md from what ``make test-faults`` has counted.

    .venv/bin/python benchmarks/reliability.py [--check]

The counts are in ``docs/reliability.json``, which ``tests/faults`` writes where ``REGVQ_FAULTS_JSON`` names
it. With ``--check`` nothing is written; the exit status is 1 where the page is not what the counts say.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pages import write_or_check
from performance import machine, markdown_table

DOCS = Path(__file__).parents[1] / "docs"
FIGURES = DOCS / "reliability.json"
PAGE = DOCS / "reliability.md"

HEAD = """\
# What does not break

This page is written by `benchmarks/reliability.py`; the promises by hand, the tables from what
`make test-faults` has counted in `tests/faults/`. `make test` tries a few of each kind. *Lost* counts every
result that was not what is promised: it must be 0, and a test fails where it is not.
"""

SECTIONS = {
    "kills": (
        "Killed processes",
        """\
SIGKILL at any moment of `fit-tokenizer`, `fit-generator`, `encode` or `compare` loses the work
since the last checkpoint or shard and nothing else. `--resume` (for `encode` and `compare`: the
same command once more) ends with the same losses, weights and files as a run that nobody disturbed,
bit for bit, on the same machine with the same number of threads. A run that is killed before its
first checkpoint has nothing to go on from and begins anew. Files appear whole or not at all;
checkpoints, models and shards that a kill leaves half-written are deleted when the work goes on.

Each kill comes at a random moment of the command's process (of `compare`: of its first training), every
second one to the processes that it has started as well; the command is then started again, and may
be killed again, until it ends. Beside these a training is resumed from what stands on the disk right after
each single file that it writes. Compared are weights, optimizer states, scores, every logged value,
token files and figures.""",
    ),
    "disk": (
        "Full disks and read-only folders",
        """\
All files but logs are written by one function, `regvq.files.write_together`, which writes beside,
syncs and renames; a test finds whatever else in the package opens a file for writing. Where there
is no space or no right, the command ends with one sentence that names the file, and what stood
there before still stands, byte for byte; training goes on from it with `--resume`.

The disk is full by a limit that the kernel enforces on the size of files (`RLIMIT_FSIZE`); the
folder is read-only for another user than its owner.""",
    ),
    "checkpoints": (
        "Damaged checkpoints and models",
        """\
A checkpoint that is cut short or has a flipped bit is refused with a sentence, and `--resume` goes
on from the one before it, `checkpoints/previous.ckpt`, and says so. It ends with the same weights,
for no chance depends on where a run was resumed. torch itself reads a checkpoint with flipped bits
without complaint; here the CRC-32 that its archive holds of every part is compared first. A damaged
checkpoint never takes the place of a whole one.

It costs the space of one more checkpoint (a run keeps `last`, `previous` and `best`), one rename a
saving, and on resume one more reading of the file at the speed of CRC-32 (100 MB: 0.3 s on one slow
core).

A model's folder holds a SHA-256 over its weights and its configuration, a token cache one over each
shard, a token file one over its arrays; they are compared when they are read (100 MB: 0.14 s on
that core). Files from before
they had one are read as they are. What a checksum does not cover, such as the spaces in
`config.json`, changes nothing that is read.""",
    ),
    "fuzzing": (
        "Damaged images and token files",
        """\
Whatever the bytes are, reading an image or a token file ends within seconds with what it holds or
with one sentence; data sets leave such images out and count them. No crash, no hang, no other
exception. A token file is refused or read as it was written: there are no silently changed tokens.
Reading does not take more and more memory.

hypothesis damages whole files of nine image formats, both token formats and a cache's shards: cut,
bytes replaced, pieces missing, twice or put between.""",
    ),
    "hostile": (
        "Files that mean harm",
        """\
No file that is read is executed. Weights are tensors (`safetensors`, or `torch.load` with
`weights_only`), arrays are read without pickle, YAML as plain values. A model's `config.json`, from
the Hub or elsewhere, may name only classes of this package that say that they may be saved; nothing
else is imported from it. Tar shards are read in place and never extracted. What would unpack
without end is refused: images beyond 89 million pixels before any is decoded, compressed shards
beyond a hundred times their size, token files beyond 4 GiB, checkpoints that are compressed at all.
[SECURITY.md](../SECURITY.md) says what is not promised.""",
    ),
    "visitors": (
        "A crowd on the web page",
        """\
Whoever comes is answered: no status of 500 or more, and where more wait than `--queue` allows, a
sentence that says so. The server's memory stays bounded: at most a quarter more in the last third of
the time than in the first. A drawing whose visitor leaves or presses *Stop* ends after the step that it
is at, and the next one is served.

The visitors of `benchmarks/visitors.py` come to a real server with small models that have learned
nothing, all from the same machine. Each loads the page, uploads, reconstructs, paints tokens over,
draws, and begins anew; every fifth leaves in the middle of drawings. How long an answer takes is a
matter of the models and of the queue, in which one computes at a time; the slowest one is stated.""",
    ),
    "divergence": (
        "Trainings that go wrong",
        """\
A training ends by itself, with a sentence that names what is wrong and the checkpoint to go back
to, when its data, a loss or a gradient is NaN or infinite (`NonFiniteGuard`), when a loss term has
been more than ten times its usual size, and above 10, for 20 batches in a row (`DivergenceGuard`),
and when three validations in a row find a perplexity below 1.5, that is one code for nearly
everything (`CollapseGuard`). From the first sign on neither `last.ckpt` nor the model's folder is
written over, so that what is left is from before it. A sign that passes ends nothing, but a kill
meanwhile goes back to before it. The adversary's own term is not watched: it is weighted by its
gradient, and its size says nothing. A poor codebook, with 1 % of its codes in use, is no collapse:
its training goes on.

An adversary may ruin the reconstructions little by little, before any loss is out of bounds. What
validated best is always kept beside the last, as `tokenizer-best/` and `checkpoints/best.ckpt`;
copied over `last.ckpt`, `--resume` goes on from there.

The bounds are arguments, in a configuration as a callback that takes the place of ours:

    trainer:
      callbacks:
        - class_path: regvq.training.callbacks.CollapseGuard
          init_args: {perplexity: 1.0}      # looks for nothing
        - class_path: regvq.training.callbacks.DivergenceGuard
          init_args: {factor: 100, patience: 50}

`--config trainer/collapse-allowed` is the first of the two. `regvq compare` puts it below the files
of every row: there a codebook that collapses is a result, so its training goes on to the end and is
measured, and its perplexity tells. A row that gives a guard with a perplexity of its own is held to
that; NaN or a loss that explodes fails a row as it fails any training.""",
    ),
}
"""Title and promise of every kind."""


def section(kind: str, content: Mapping[str, Any] | None) -> str:
    """What is promised, and what was tried."""
    title, promise = SECTIONS[kind]
    rows = [
        [row["what"], f"{row['tried']:,}", f"{row['lost']:,}", row["found"]]
        for row in (content or {"rows": []})["rows"]
        if row["kind"] == kind
    ]
    # The last column is words as well.
    table = markdown_table(["what", "tried", "lost", "found"], rows).replace("---:|\n", "---|\n", 1)
    return "\n\n".join([f"## {title}", promise, table if rows else "Not counted yet."])


def page(content: Mapping[str, Any] | None) -> str:
    """The whole page; ``None`` where nothing was counted."""
    parts = [HEAD.strip(), *(section(kind, content) for kind in SECTIONS)]
    if content is not None:
        parts.append(machine(content))
    return "\n\n".join(parts) + "\n"


def read_figures() -> dict[str, Any] | None:
    """What was counted, if anything was.

    Raises:
        ValueError: the counts are those of ``make test``.
    """
    if not FIGURES.is_file():
        return None
    content: dict[str, Any] = json.loads(FIGURES.read_text(encoding="utf-8"))
    if not content["full"]:
        raise ValueError(f"{FIGURES} holds the small counts: run make test-faults")
    return content


if __name__ == "__main__":
    sys.exit(not write_or_check(PAGE, lambda: page(read_figures()), __doc__))
