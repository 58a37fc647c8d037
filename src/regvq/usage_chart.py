"""How evenly a codebook is used, as a picture."""

from collections.abc import Sequence

import numpy as np

from regvq.figures import new_figure, png

COLOUR = "#0f766e"
"""Of the codes' bars."""


def usage_chart(counts: Sequence[int]) -> bytes:
    """A PNG of how often each code occurs, most used first, on a logarithmic scale; idle codes are gaps.

    Args:
        counts: occurrences of each code, at least one code.
    """
    ordered = np.sort(np.asarray(counts, dtype=np.int64))[::-1]
    size, used = len(ordered), int((ordered > 0).sum())
    figure, (axes,) = new_figure(7, 3)
    axes.stairs(ordered, np.arange(size + 1), baseline=0.5, fill=True, color=COLOUR)
    even = ordered.sum() / size
    if even:
        axes.axhline(even, color="#9aa0a6", linewidth=1, linestyle="--")
        axes.annotate("even use", (size, even), ha="right", va="bottom", fontsize=8, color="#6b7280")
    axes.set_yscale("log")
    axes.set_xlim(0, size)
    axes.set_ylim(0.5, 2 * max(1, int(ordered[0])))
    axes.set_xlabel("codes, most used first", fontsize=9)
    axes.set_ylabel("times used", fontsize=9)
    axes.set_title(f"{used} of {size} codes occur in {ordered.sum()} tokens", fontsize=10)
    return png(figure)
