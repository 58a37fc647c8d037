"""The figures of the mark as lines of a terminal and as tables of a page."""

from collections.abc import Mapping
from typing import Any

from harms import HARMS

Row = dict[str, Any]

LEVELS = (0.1, 0.01, 0.001)
"""Probabilities whose tails are compared with how often they were met."""
START, END = "<!-- figures of benchmarks/watermark.py -->", "<!-- end of the figures -->"


def show_blank(row: Row) -> str:
    """A line of the first table."""
    return (
        f"{row['photographs']:<28}{row['images']:>8}{row['false_positives']:>7}{row['highest_score']:>9.2f}"
        f"{row['kolmogorov']:>12.2f}"
    )


def head() -> str:
    """The head of the second table."""
    names = "".join(f"{name:>{len(name) + 2}}" for name in HARMS)
    return f"{'marked':<12}{'side':>5}{'drawn':>7}{'images':>8}{'PSNR':>7}{'least':>7}{names}"


def show(row: Row) -> str:
    """A line of it: the mark found in so many of a hundred."""
    values = {name: f"{100 * value:.1f}" for name, value in row["found"].items()}
    found = "".join(f"{values.get(name, '-'):>{len(name) + 2}}" for name in HARMS)
    return (
        f"{row['pictures']:<12}{row['side']:>5}{row['drawn']:>7.2f}{row['images']:>8}{row['psnr']:>7.1f}"
        f"{row['least_psnr']:>7.1f}{found}"
    )


def tables(content: Mapping[str, Any]) -> str:
    """The figures in Markdown."""
    levels = [f"{level:g}" for level in LEVELS]
    parts = [
        f"| photographs without a mark | images | shorter side | taken for marked | highest score | "
        f"{' | '.join(f'chance ≤ {100 * level:g} %' for level in LEVELS)} | one look, tenths |",
        f"|---|{'---:|' * (5 + len(levels))}",
    ]
    for row in content["unmarked"]:
        low, high = row["sides"]
        tenths = [100 * value for value in row["tenths_of_a_look"]]
        shares = [f"{100 * row['at_most'][level]:.2f} %" for level in levels]
        parts.append(
            f"| {row['photographs']} | {row['images']} | {low if low == high else f'{low} to {high}'} | "
            f"{row['false_positives']} | {row['highest_score']:.2f} | {' | '.join(shares)} | "
            f"{min(tenths):.1f} to {max(tenths):.1f} % |"
        )
    whole = [row for row in content["marked"] if row["drawn"] == 1]
    part = [row for row in content["marked"] if row["drawn"] < 1]
    for title, chosen in (("found after", whole), ("of an edit, found after", part)):
        names = list(chosen[0]["found"])
        parts += [
            "",
            f"| {title} | {'drawn | ' if chosen is part else ''}PSNR (least), dB | {' | '.join(names)} |",
            f"|---|{'---:|' * (len(names) + 1 + (chosen is part))}",
        ]
        for row in chosen:
            drawn = f"{100 * row['drawn']:.0f} % | " if chosen is part else ""
            found = " | ".join(f"{100 * row['found'][name]:.1f}" for name in names)
            parts.append(
                f"| {row['images']} {row['pictures']} of {row['side']} px | {drawn}"
                f"{row['psnr']:.1f} ({row['least_psnr']:.1f}) | {found} |"
            )
    return "\n".join(parts)


def with_tables(page: str, content: Mapping[str, Any]) -> str:
    """The page with these figures between its two comments."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{tables(content)}\n\n{END}{after}"
