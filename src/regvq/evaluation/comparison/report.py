"""A comparison's table, plot and JSON."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from matplotlib.figure import Figure

from regvq.evaluation.comparison.cell import Row
from regvq.evaluation.comparison.jobs import write_json
from regvq.evaluation.comparison.plan import Comparison
from regvq.evaluation.names import colours
from regvq.figures import new_figure, png
from regvq.files import write_bytes

_ARROWS = {1: " ↑", -1: " ↓"}
_SHOWN = ("Fréchet", "rFID", "PSNR", "SSIM", "codebook usage", "perplexity", "samples: F")
"""Figures that a table has room for, by the start of their names; the JSON has all."""


def shown_figures(rows: Sequence[Row]) -> list[str]:
    """Names of the figures that tables and plots show."""
    names = rows[0]["figures"]
    return [name for start in _SHOWN for name in names if name.startswith(start)]


def markdown(comparison: Comparison, rows: Sequence[Row], failures: Sequence[str]) -> str:
    """The table, each value's mean over the seeds ± the standard deviation, best in bold; what failed."""
    figures = shown_figures(rows)
    swept = [] if comparison.sweep is None else [comparison.sweep.title]
    head = ["row", *swept, "seeds", *(name + _arrow(rows, name) for name in figures)]
    groups = grouped(rows)
    best = {name: _best(groups.values(), name) for name in figures}
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(['---', *['---:'] * (len(head) - 1)])}|"]
    for (row, value), members in groups.items():
        cells = [_cell(members, name, name in best and members is best[name]) for name in figures]
        shown = [] if comparison.sweep is None else [str(value)]
        lines.append(f"| {' | '.join([row, *shown, str(len(members)), *cells])} |")
    facts = _facts(rows)
    missing = [f"- Failed: {failure}" for failure in failures]
    return "\n".join([f"# {comparison.title}", "", *lines, "", *facts, *missing, ""])


def plot(comparison: Comparison, rows: Sequence[Row]) -> Figure:
    """A panel a figure: every seed a dot, their mean a stroke, or over a swept value a line."""
    figures = shown_figures(rows)
    figure, panels = new_figure(3.4 * len(figures), 3.6, len(figures))
    for axes, name in zip(panels, figures, strict=True):
        if comparison.sweep is None:
            _strokes(axes, rows, name)
        else:
            _lines(axes, rows, name)
            axes.set_xlabel(comparison.sweep.title, fontsize=9)
        # The names of feature nets are wider than a panel.
        axes.set_title(fill(name + _arrow(rows, name), 40), fontsize=9)
    if comparison.sweep is not None:
        panels[0].legend(frameon=False, fontsize=8)
    return figure


def _strokes(axes: Any, rows: Sequence[Row], name: str) -> None:
    groups = grouped(rows)
    colour = colours(row for row, _ in groups)
    for place, ((row, _), members) in enumerate(groups.items()):
        values = _values(members, name)
        axes.plot([place] * len(values), values, "o", color=colour[row], markersize=4)
        axes.hlines(statistics.fmean(values), place - 0.3, place + 0.3, color=colour[row], linewidth=2)
    axes.set_xticks(range(len(groups)), [row for row, _ in groups], rotation=40, ha="right", fontsize=8)


def _lines(axes: Any, rows: Sequence[Row], name: str) -> None:
    groups = grouped(rows)
    colour = colours(row for row, _ in groups)
    places = {value: place for place, value in enumerate(dict.fromkeys(value for _, value in groups))}
    for row in dict.fromkeys(row for row, _ in groups):
        own = {
            places[value]: _values(members, name) for (of, value), members in groups.items() if of == row
        }
        means = [statistics.fmean(values) for values in own.values()]
        axes.plot(list(own), means, color=colour[row], label=row)
        for place, values in own.items():
            axes.plot([place] * len(values), values, "o", color=colour[row], markersize=4)
    axes.set_xticks(list(places.values()), [str(value) for value in places], fontsize=8)


def save_report(
    comparison: Comparison, rows: Sequence[Row], failures: Sequence[str], folder: Path, command: str = ""
) -> list[Path]:
    """Writes ``comparison.md``, ``comparison.png`` and ``comparison.json``; returns their paths.

    Args:
        comparison: what was compared.
        rows: what was measured; at least one.
        failures: a sentence on each training that failed.
        folder: where to write.
        command: what was called, for the JSON.
    """
    paths = [folder / f"comparison.{suffix}" for suffix in ("md", "png", "json")]
    write_bytes(paths[0], markdown(comparison, rows, failures).encode())
    write_bytes(paths[1], png(plot(comparison, rows)))
    content = {
        "title": comparison.title,
        "command": command,
        "rows": list(rows),
        "failures": list(failures),
    }
    write_json(paths[2], content)
    return paths


def grouped(rows: Sequence[Row]) -> dict[tuple[str, Any], list[Row]]:
    """The seeds of every row and swept value, in the order of the rows; a list as its text."""
    groups: dict[tuple[str, Any], list[Row]] = {}
    for row in rows:
        value = str(row["value"]) if isinstance(row["value"], list | dict) else row["value"]
        groups.setdefault((row["row"], value), []).append(row)
    return groups


def _values(members: Sequence[Row], name: str) -> list[float]:
    return [member["figures"][name] for member in members if name in member["figures"]]


def _better(rows: Sequence[Row], name: str) -> int:
    better: int = rows[0]["better"].get(name, 0)
    return better


def _arrow(rows: Sequence[Row], name: str) -> str:
    return _ARROWS.get(_better(rows, name), "")


def _best(groups: Any, name: str) -> Any:
    """The seeds with the best mean."""
    groups = [members for members in groups if _values(members, name)]
    sign = _better(groups[0], name) if groups else 0
    if not sign:
        return None
    return max(groups, key=lambda members: sign * statistics.fmean(_values(members, name)))


def _cell(members: Sequence[Row], name: str, best: bool) -> str:
    values = _values(members, name)
    if not values:
        return "-"
    mean = statistics.fmean(values)
    places = 1 if abs(mean) >= 100 else 2 if abs(mean) >= 10 else 4
    text = f"{mean:.{places}f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):.{places}f}"
    return f"**{text}**" if best else text


def _facts(rows: Sequence[Row]) -> list[str]:
    first = rows[0]
    source = first["reference"]
    seconds = [row["seconds"]["tokenizer"] for row in rows]
    budget = [item for item in first["budget"] if all(item in row["budget"] for row in rows)]
    own = [item for row in rows for item in row["budget"] if item not in budget and _is_of_all(item)]
    uneven = [f"- Not the same for all: {', '.join(dict.fromkeys(own))}."] if own else []
    sampled = [item for item in first.get("generator_budget", ()) if item not in budget]
    generators = [f"- Generators, where it differs: {', '.join(sampled)}."] if sampled else []
    few = "" if min(map(len, grouped(rows).values())) >= 3 else " Fewer than three seeds: exploratory."
    return [
        f"Mean over seeds ± standard deviation, best mean in bold.{few}",
        "",
        f"- Budget: {', '.join(budget)}; {min(seconds):.0f} to {max(seconds):.0f} s a tokenizer.",
        *uneven,
        *generators,
        *_unlike_references(rows),
        f"- {first['images']} validation images of {source['size'][1]} x {source['size'][0]} px; features: "
        f"{source['features']}, weights {source['weights']}.",
        *(f"- {note}" for note in dict.fromkeys(note for row in rows for note in row["notes"])),
        *(f"- Bias that so few images cause: {told}." for told in _biases(rows)),
    ]


def _unlike_references(rows: Sequence[Row]) -> list[str]:
    """Which rows were measured against images of another hash than most."""
    measured: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        source = row["reference"]
        told = f"{source['images']} ({source['count']} of {source['split']})"
        value = "" if row["value"] is None else f" {row['value']}"
        seeds = measured.setdefault(told, {}).setdefault(f"{row['row']}{value}", [])
        seeds.append(str(row["seed"]))
    if len(measured) < 2:
        return []
    most = max(measured, key=lambda told: sum(map(len, measured[told].values())))
    others = []
    for told, those in measured.items():
        names = [f"{name} (seed {', '.join(seeds)})" for name, seeds in those.items()]
        others += [f"{told} for {', '.join(names)}"] if told != most else []
    return [f"- **The hash of the images differs**: {'; '.join(others)}; {most} for the rest."]


def _is_of_all(item: str) -> bool:
    """Whether a part of a budget should be the same for all rows: all but what is compared."""
    return " " in item or item.partition("/")[0] in ("backbone", "data", "speed", "trainer")


def _biases(rows: Sequence[Row]) -> list[str]:
    """About how much of a figure is bias, from the least to the most of any training."""
    told = []
    for name in shown_figures(rows):
        # Rows of before this was told have none.
        values = [row["bias"][name] for row in rows if name in row.get("bias", ())]
        if values:
            told.append(f"about {min(values):.3g} to {max(values):.3g} of the {name}")
    return told
