"""The common look of this package's figures, and figures as PNG bytes."""

import io
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def new_figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Any]]:
    """A figure of ``width`` x ``height`` inches with ``columns`` plots side by side.

    It belongs to no window system and to no global state, so it needs no closing.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, columns))
    for plot in axes:
        plot.spines[["top", "right"]].set_visible(False)
        plot.grid(color="#e6e8eb", linewidth=0.8)
        plot.set_axisbelow(True)
        plot.tick_params(labelsize=9, color="#9aa0a6")
    return figure, list(axes)


def png(figure: Figure, dpi: int = 130) -> bytes:
    """The figure as a PNG file's bytes; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(
        buffer, format="png", dpi=dpi, facecolor="white", metadata={"Software": None}
    )
    return buffer.getvalue()
