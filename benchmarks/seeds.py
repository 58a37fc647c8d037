"""Aligned tables of figures over seeds."""

import statistics
from collections.abc import Sequence
from typing import Any


def seeds_table(rows: Sequence[dict[str, Any]], key: str, figures: Sequence[tuple[str, str, int]]) -> str:
    """One line for each value of ``key``: the mean over its rows, behind ``+-`` the standard deviation.

    Args:
        rows: figures by name, ``None`` where one could not be had.
        key: what tells the lines apart.
        figures: name, title and decimal places of each column.
    """
    names = list(dict.fromkeys(str(row[key]) for row in rows))
    width = max(len(name) for name in (*names, key))
    lines = [f"{key:<{width}}{'seeds':>6}" + "".join(f"{title:>17}" for _, title, _ in figures)]
    for name in names:
        own = [row for row in rows if row[key] == name]
        cells = []
        for figure, _, places in figures:
            values = [row[figure] for row in own if row[figure] is not None]
            text = "-" if not values else f"{statistics.fmean(values):.{places}f}"
            spread = f" +-{statistics.stdev(values):.{places}f}" if len(values) > 1 else ""
            cells.append(f"{text + spread:>17}")
        lines.append(f"{name:<{width}}{len(own):>6}" + "".join(cells))
    return "\n".join(lines)
