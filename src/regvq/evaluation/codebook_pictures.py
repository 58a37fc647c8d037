"""Pictures of a codebook: how often its codes are used, what they paint, where they lie."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from regvq.evaluation.codebook_report import CodebookReport
from regvq.evaluation.tokenizer import EvalMode
from regvq.figures import png
from regvq.files import write_bytes
from regvq.tokenizers import ImageTokenizer

_IDLE = "#14161a"
_COLOURS = "viridis"


@torch.no_grad()
def code_patches(tokenizer: ImageTokenizer, codes: Tensor, batch_size: int = 256) -> Tensor:
    """What each of ``codes`` [M], at least one, paints: ``[M, 3, f, f]`` in [-1, 1].

    A map that holds the one code everywhere is decoded and its middle cell cut out, so that the
    patch shows the code among its own kind and not at the edge of an image.
    """
    side = tokenizer.downsampling
    device = tokenizer.post_quant_conv.weight.device
    patches = []
    with EvalMode(tokenizer):
        for part in codes.to(device).split(batch_size):
            maps = part[:, None, None].expand(-1, 3, 3)
            patches.append(tokenizer.decode(maps)[:, :, side : 2 * side, side : 2 * side].cpu())
    return torch.cat(patches)


def usage_grid(report: CodebookReport) -> Figure:
    """The codebook as a grid, a cell a code, as in figure 1 of the paper.

    Cells run from the most to the least used code, coloured by how often they are used; codes that
    are never used are dark.
    """
    counts = report.counts.sort(descending=True).values.double().numpy()
    table = _as_grid(counts, fill=np.nan)
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("white")
    axes.imshow(np.where(table == 0, 1.0, np.nan), cmap=ListedColormap([_IDLE]), interpolation="nearest")
    used = np.where(table > 0, table, np.nan)
    image = axes.imshow(used, cmap=_COLOURS, norm=_scale(counts), interpolation="nearest")
    _frame(axes, f"{report.size - report.dead} of {report.size} codes used, {report.dead} dark")
    figure.colorbar(image, ax=axes, shrink=0.8, label="times used")
    return figure


def patch_grid(report: CodebookReport, tokenizer: ImageTokenizer, limit: int = 4096) -> Figure:
    """The codebook as a grid of what its codes paint, most used first; unused codes dark.

    Args:
        report: says which codes are used.
        tokenizer: decodes them.
        limit: most codes that are drawn; decoding 2^18 of them would take minutes.
    """
    order = report.counts.argsort(descending=True, stable=True)[:limit]
    used = order[report.counts[order] > 0]
    patches = ((code_patches(tokenizer, used) + 1) / 2).permute(0, 2, 3, 1).numpy()
    side, columns = tokenizer.downsampling, math.ceil(math.sqrt(len(order)))
    gap = max(1, side // 8)
    pitch = side + gap
    rows = math.ceil(len(order) / columns)
    canvas = np.ones((rows * pitch, columns * pitch, 3))
    dark = np.array([int(_IDLE[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    for place in range(len(order)):
        top, left = divmod(place, columns)
        cell = patches[place] if place < len(patches) else dark
        canvas[top * pitch : top * pitch + side, left * pitch : left * pitch + side] = cell
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(canvas, interpolation="nearest")
    _frame(axes, "what each code paints, most used first")
    return figure


def code_map(report: CodebookReport) -> Figure:
    """The codes on their first two principal axes, coloured by use; unused ones hollow."""
    figure = Figure(figsize=(4.8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    x, y = report.positions.numpy().T
    counts = report.counts.double().numpy()
    used = counts > 0
    axes.scatter(x[~used], y[~used], s=14, facecolors="none", edgecolors="#b0b4ba", linewidths=0.7)
    dots = axes.scatter(x[used], y[used], s=14, c=counts[used], cmap=_COLOURS, norm=_scale(counts))
    axes.set_title(f"codes on two axes ({100 * report.explained:.0f} % of their variance)", fontsize=10)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.colorbar(dots, ax=axes, shrink=0.8, label="times used")
    return figure


def save_codebook_pictures(report: CodebookReport, tokenizer: ImageTokenizer, folder: Path) -> list[Path]:
    """Writes ``usage.png``, ``patches.png`` and ``map.png`` into ``folder`` and returns their paths.

    Raises:
        RegvqError: the folder cannot be written.
    """
    pictures = {
        "usage.png": usage_grid(report),
        "patches.png": patch_grid(report, tokenizer),
        "map.png": code_map(report),
    }
    for name, figure in pictures.items():
        write_bytes(folder / name, png(figure))
    return [folder / name for name in pictures]


def _as_grid(values: NDArray[np.float64], fill: float) -> NDArray[np.float64]:
    columns = math.ceil(math.sqrt(len(values)))
    rows = math.ceil(len(values) / columns)
    table = np.full(rows * columns, fill)
    table[: len(values)] = values
    return table.reshape(rows, columns)


def _scale(counts: NDArray[np.float64]) -> LogNorm:
    return LogNorm(vmin=1, vmax=max(2.0, float(counts.max())))


def _frame(axes: Any, title: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
