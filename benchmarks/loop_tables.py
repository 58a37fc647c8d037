"""Rows and verdicts of the plain loops as aligned text."""

from collections.abc import Sequence
from typing import Any

from loop_bars import Verdict, means

Row = dict[str, Any]

_CONTESTANT = 36


def row_line(row: Row) -> str:
    """Return one line for a row that was made now."""
    return f"{row['loop']:<30}{row['seed']:>2}  {_figures(row['contestant'], row)}{row['seconds']:>8.1f} s"


def loop_table(rows: Sequence[Row], loop: str, contestants: Sequence[str]) -> str:
    """Return a table of one loop: the means over seeds of every contestant that has rows."""
    own = [row for row in rows if row["loop"] == loop]
    seeds = len({row["seed"] for row in own})
    unit = own[0]["quality_name"]
    kinds = next((list(row["corruption"]) for row in own if not row["error"]), [])
    title = f"{loop} ({own[0]['steps']} steps, {seeds} seed{'s' * (seeds > 1)}, {unit}; (share changed))"
    head = (
        f"{'contestant':<{_CONTESTANT}}{own[0]['objective']:>13}{unit:>16}{'usage':>7}{'perplexity':>11}"
        + "".join(f"{kind:>17}" for kind in kinds if kind != "clean")
    )
    lines = [
        _figures(name, means([row for row in own if row["contestant"] == name]))
        for name in contestants
        if any(row["contestant"] == name for row in own)
    ]
    return "\n".join([title, head, *lines])


def verdict_text(verdict: Verdict) -> str:
    """Return the bars, behind each the loops that miss it."""
    lines = [f"{verdict.subject} in {len(verdict.standings)} loops"]
    for bar, misses in verdict.bars:
        lines.append(str(bar))
        lines += [f"    {miss}" for miss in misses]
    behind = [
        (*standing.highest_loss, standing.loop) for standing in verdict.standings if standing.highest_loss
    ]
    if behind:
        loss, step, loop = max(behind)
        lines.append(f"largest loss along the curve: {loss:.2f} of the least, at step {step} of {loop}")
    return "\n".join(lines)


def _figures(name: str, row: Row) -> str:
    if row["error"]:
        return f"{name:<{_CONTESTANT}}  {row['error']}"
    corruption = "".join(
        f"{figures['quality']:>10.2f} ({figures['changed']:.2f})"
        for kind, figures in row["corruption"].items()
        if kind != "clean"
    )
    return (
        f"{name:<{_CONTESTANT}}{row['loss']:>13.5g}{row['quality']:>16.2f}{row['usage']:>7.3f}"
        f"{row['perplexity']:>11.1f}{corruption}"
    )
