"""Figures that compare tokenizers: usage, training curves, sampled tokens, reconstructions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from regvq.evaluation.names import colour, display_name
from regvq.evaluation.results import TokenizerResult
from regvq.figures import new_figure


def usage_histogram(results: Sequence[TokenizerResult]) -> Figure:
    """How often each code occurs, most used first, on a logarithmic scale; all tokenizers."""
    figure, (axes,) = new_figure(9, 3.4)
    for result in results:
        counts = result.figures.counts.sort(descending=True).values
        used = counts[counts > 0].double().numpy()
        axes.plot(np.arange(1, len(used) + 1), used, **_line(result))
        axes.plot(len(used), used[-1], "o", color=colour(result.quantizer), markersize=5)
    size = max(len(result.figures.counts) for result in results)
    tokens = max(result.figures.tokens for result in results)
    axes.axhline(tokens / size, color="#9aa0a6", linewidth=1, linestyle="--", zorder=0)
    axes.annotate(
        "perfectly even use", (size, tokens / size), ha="right", va="bottom", fontsize=8, color="#6b7280"
    )
    axes.set_yscale("log")
    axes.set_xlim(0, size * 1.01)
    axes.set_xlabel("codes, most used first")
    axes.set_ylabel("times used")
    axes.legend(frameon=False, fontsize=9)
    return figure


def training_curves(results: Sequence[TokenizerResult]) -> Figure:
    """Reconstruction loss in training, and PSNR and perplexity on the validation images."""
    panels = (
        ("train/reconstruction", "reconstruction loss (training)"),
        ("val/psnr", "PSNR in dB (validation)"),
        ("val/perplexity", "perplexity (validation)"),
    )
    figure, plots = new_figure(12, 3.4, len(panels))
    for axes, (key, title) in zip(plots, panels, strict=True):
        for result in results:
            points = result.history.get(key, [])
            steps, values = [step for step, _ in points], [value for _, value in points]
            axes.plot(steps, values, marker="o" if len(points) <= 20 else "", markersize=4, **_line(result))
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("training step", fontsize=9)
    plots[0].set_yscale("log")
    plots[0].legend(frameon=False, fontsize=9)
    return figure


def sampled_curves(results: Sequence[TokenizerResult]) -> Figure:
    """PSNR and Fréchet distance against the share of tokens that differ from the best match."""
    figure, (psnr, frechet) = new_figure(12, 3.8, 2)
    for result in results:
        for axes, name in ((psnr, "psnr"), (frechet, "frechet")):
            points = [point for point in result.sampled.points if getattr(point, name) is not None]
            shares = [100 * point.share for point in points]
            axes.plot(
                shares,
                [getattr(point, name) for point in points],
                marker="o",
                markersize=4,
                **_line(result),
            )
    for axes, title in (
        (psnr, "PSNR in dB"),
        (frechet, f"Fréchet distance ({results[0].sampled.features})"),
    ):
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("tokens that differ from the best match, %", fontsize=9)
        axes.set_xlim(-2, 92)
    psnr.legend(frameon=False, fontsize=9)
    return figure


def reconstruction_grid(originals: Tensor, rows: Sequence[tuple[str, Tensor]]) -> Figure:
    """Originals in the first row, then one row of images a name.

    Args:
        originals: ``[K, 3, H, W]`` in [-1, 1].
        rows: names and images of the same shape.
    """
    table = [("original", originals), *rows]
    count = len(originals)
    figure = Figure(figsize=(0.95 + 0.95 * count, 0.95 * len(table)))
    left = 0.95 / (0.95 + 0.95 * count)
    for index, (name, images) in enumerate(table):
        strip = torch.nn.functional.pad((images.clamp(-1, 1) + 1) / 2, (1, 1, 1, 1), value=1.0)
        picture = strip.permute(2, 0, 3, 1).reshape(strip.shape[2], -1, 3).numpy()
        bottom = 1 - (index + 1) / len(table)
        axes = figure.add_axes((left, bottom, 1 - left, 1 / len(table)))
        axes.imshow(picture, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        figure.text(
            left * 0.92,
            bottom + 0.5 / len(table),
            name,
            ha="right",
            va="center",
            fontsize=9.5,
            color="#1f2937",
        )
    return figure


def _line(result: TokenizerResult) -> dict[str, Any]:
    width = 2.4 if result.quantizer == "regvq" else 1.6
    return {
        "color": colour(result.quantizer),
        "label": display_name(result.quantizer),
        "linewidth": width,
    }
