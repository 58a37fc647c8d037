"""Writes docs/plain-loops.md from the rows of the plain loops in docs/plain-loops.json.

    .venv/bin/python benchmarks/loop_page.py [--check]

The rows are what ``plain_loops.py --json`` writes. With ``--check`` nothing is written; the exit status is
1 where the page is not what the rows say.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loop_bars import judge, means
from loop_contestants import CONTESTANTS, SUBJECT
from loop_tables import verdict_text
from loop_zoo import LOOPS
from pages import write_or_check

DOCS = Path(__file__).parents[1] / "docs"
ROWS, PAGE = DOCS / "plain-loops.json", DOCS / "plain-loops.md"

Row = dict[str, Any]

_INTRODUCTION = """# Plain loops

Reg-VQ and its neighbours in small VQ-VAE loops that nobody tuned: same network, same batches, every
contestant with its defaults. {loops} loops, {seeds}, measured in eval mode on held-out samples. {held_back}
of the loops were held back while the defaults were found, all but one: the share of sampled tokens that
change was lowered from 0.8 to 0.5 after the loops with few codes and dimensions had been seen.

    .venv/bin/python benchmarks/plain_loops.py --held-back --data DIR --json docs/plain-loops.json
    .venv/bin/python benchmarks/loop_page.py

`DIR` holds Tiny ImageNet and spoken digits; without it these loops are skipped.
[The defaults](recipe.md#the-defaults-now) says what follows from it.
"""


def page() -> str:
    """Return the page."""
    rows: list[Row] = json.loads(ROWS.read_text(encoding="utf-8"))["rows"]
    names = [name for name in CONTESTANTS if any(row["contestant"] == name for row in rows)]
    loops = list(dict.fromkeys(row["loop"] for row in rows))
    seeds = sorted({row["seed"] for row in rows})
    rivals = [name for name in names if name != SUBJECT]
    introduction = _INTRODUCTION.format(
        loops=len(loops),
        seeds=f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}",
        held_back=sum(LOOPS[loop].held_back for loop in loops),
    )
    return "\n".join(
        [
            introduction,
            "## The bars\n",
            "```text",
            verdict_text(judge(rows, SUBJECT, rivals)),
            "```\n",
            "## Quality\n",
            "PSNR in dB, for frozen features the signal-to-noise ratio in dB, for cross-entropy "
            "-10 log10 of the bits. The best of a loop is bold; *h* marks a loop that was held back.\n",
            _table(rows, loops, names, _quality),
            "\n## Usage and perplexity\n",
            "Share of the codes used in percent, and perplexity.\n",
            _table(rows, loops, names, _evenness),
            "",
        ]
    )


def _table(rows: Sequence[Row], loops: Sequence[str], names: Sequence[str], cells: Any) -> str:
    lines = [f"| loop | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
    for loop in loops:
        own = [
            means([row for row in rows if row["loop"] == loop and row["contestant"] == name])
            if any(row["loop"] == loop and row["contestant"] == name for row in rows)
            else None
            for name in names
        ]
        mark = " *h*" if LOOPS[loop].held_back else ""
        lines.append(f"| {loop}{mark} | {' | '.join(cells(own))} |")
    return "\n".join(lines)


def _works(row: Row | None) -> bool:
    return row is not None and not row["error"]


def _quality(own: Sequence[Row | None]) -> list[str]:
    best = max((round(row["quality"], 2) for row in own if row and _works(row)), default=0.0)
    return [
        "–"
        if row is None
        else "failed"
        if row["error"]
        else f"**{row['quality']:.2f}**"
        if round(row["quality"], 2) == best
        else f"{row['quality']:.2f}"
        for row in own
    ]


def _evenness(own: Sequence[Row | None]) -> list[str]:
    return [
        "–"
        if row is None
        else "failed"
        if row["error"]
        else f"{100 * row['usage']:.1f}, {row['perplexity']:.0f}"
        for row in own
    ]


if __name__ == "__main__":
    sys.exit(0 if write_or_check(PAGE, page, __doc__) else 1)
