"""What a comparison of tokenizers found: records, their table, and their JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from regvq.evaluation.codebook_report import CodebookReport
from regvq.evaluation.names import display_name
from regvq.evaluation.sampled_tokens import SampledTokens
from regvq.evaluation.tokenizer import TokenizerFigures

History = dict[str, list[tuple[int, float]]]
"""Logged values by name: pairs of step and value."""


@dataclass(frozen=True)
class TokenizerResult:
    """One row of a comparison and the pictures that go with it.

    Attributes:
        quantizer: its short name, e.g. ``ema-vq``.
        figures: on the validation images.
        sampled: the same under sampled tokens.
        codebook: the codebook doctor's report.
        seconds: wall time of its training, the validations during it included.
        parameters: trainable ones of the whole tokenizer.
        history: what its training logged.
        reconstructions: ``[K, 3, H, W]`` in [-1, 1] of the images that the report shows.
        sampled_reconstructions: the same from tokens of which 80 % changed; ``None`` where that share
            cannot be reached.
        pictures: PNG bytes by name: ``usage``, ``patches``, ``map``.
    """

    quantizer: str
    figures: TokenizerFigures
    sampled: SampledTokens
    codebook: CodebookReport
    seconds: float
    parameters: int
    history: History
    reconstructions: Tensor
    sampled_reconstructions: Tensor | None
    pictures: dict[str, bytes]


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        key: in ``results.json``.
        title: above the numbers.
        places: decimal places.
        better: 1 where higher is better, -1 where lower is, 0 where neither is.
        meaning: one sentence.
        scale: the shown number is the value times this.
    """

    key: str
    title: str
    places: int
    better: int
    meaning: str
    scale: float = 1.0


COLUMNS = (
    Column(
        "psnr",
        "PSNR (dB)",
        2,
        1,
        "Peak signal-to-noise ratio of the reconstructions, from the mean squared error over all images.",
    ),
    Column("ssim", "SSIM", 3, 1, "Structural similarity of reconstructions and originals; 1 is identity."),
    Column(
        "psnr_sampled_40",
        "PSNR, 40 % sampled",
        2,
        1,
        "PSNR when tokens are drawn instead of chosen, at the temperature where 40 % of them change.",
    ),
    Column("psnr_sampled_80", "PSNR, 80 % sampled", 2, 1, "The same where 80 % of the tokens change."),
    Column(
        "frechet_sampled_40",
        "Fréchet, 40 % sampled",
        3,
        -1,
        "Fréchet distance of originals and images decoded from tokens of which 40 % changed.",
    ),
    Column(
        "frechet_sampled_80", "Fréchet, 80 % sampled", 3, -1, "The same where 80 % of the tokens change."
    ),
    Column(
        "psnr_loss_at_1",
        "PSNR lost at T = 1",
        2,
        -1,
        "How much PSNR falls when every token is drawn from the quantizer's own softmax, T = 1. "
        "Quantizers differ in how many tokens that changes: see the next column.",
    ),
    Column(
        "share_changed_at_1", "changed at T = 1", 0, 0, "Share of the tokens that change there, in %.", 100
    ),
    Column("usage", "codes used", 1, 1, "Share of the codes that occur at all, in %.", 100),
    Column(
        "perplexity",
        "perplexity",
        0,
        1,
        "How many equally frequent codes would carry as much information as the codes do.",
    ),
    Column("seconds", "seconds", 0, 0, "Wall time of the training on the machine that wrote this report."),
)


def row(result: TokenizerResult) -> dict[str, Any]:
    """A result as it stands in ``results.json``; ``None`` for what has no finite value."""
    forty, eighty, at_one = result.sampled.at(0.4), result.sampled.at(0.8), result.sampled.at_one
    loss = None if at_one.psnr is None else result.figures.psnr - at_one.psnr
    return {
        "quantizer": result.quantizer,
        "psnr": finite(result.figures.psnr),
        "ssim": finite(result.figures.ssim),
        "psnr_sampled_40": finite(forty.psnr),
        "psnr_sampled_80": finite(eighty.psnr),
        "frechet_sampled_40": finite(forty.frechet),
        "frechet_sampled_80": finite(eighty.frechet),
        "psnr_loss_at_1": finite(loss),
        "share_changed_at_1": finite(at_one.measured_share),
        "usage": finite(result.figures.usage),
        "perplexity": finite(result.figures.perplexity),
        "seconds": finite(round(result.seconds, 1)),
        "parameters": result.parameters,
        "condition": result.codebook.condition,
        "curve": [
            {
                "share": point.share,
                "temperature": finite(point.temperature),
                "measured_share": finite(point.measured_share),
                "psnr": finite(point.psnr),
                "frechet": finite(point.frechet),
            }
            for point in result.sampled.points
        ],
    }


def finite(value: float | None) -> float | None:
    """The value, or ``None`` where it is not a finite number: JSON has no NaN."""
    return None if value is None or not math.isfinite(value) else value


def to_json(
    tokenizers: Sequence[TokenizerResult], generators: Sequence[dict[str, Any]], facts: dict[str, Any]
) -> bytes:
    """``{"tokenizers": [...], "generators": [...], "facts": {...}}`` as UTF-8.

    Args:
        tokenizers: one row each.
        generators: their rows.
        facts: what the rows share: budget, seed, backbone, ….
    """
    content = {
        "tokenizers": [row(result) for result in tokenizers],
        "generators": list(generators),
        "facts": facts,
    }
    return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False).encode() + b"\n"


def cell(column: Column, value: float | None) -> str:
    """The value as it is shown; a dash where there is none."""
    return "–" if value is None else f"{value * column.scale:.{column.places}f}"


def best(column: Column, values: Sequence[float | None]) -> set[int]:
    """Which rows show the best value of a column: all that look the same as it; none if none is better."""
    known = [(column.better * value, place) for place, value in enumerate(values) if value is not None]
    if column.better == 0 or not known:
        return set()
    text = cell(column, values[max(known)[1]])
    return {place for _, place in known if cell(column, values[place]) == text}


def text_table(results: Sequence[TokenizerResult]) -> str:
    """The table as aligned plain text, a tokenizer a column because there are many figures."""
    rows = [row(result) for result in results]
    lines = [["", *(display_name(result.quantizer) for result in results)]]
    for column in COLUMNS:
        values = [entry[column.key] for entry in rows]
        winners = best(column, values)
        shown = [
            cell(column, value) + ("*" if place in winners else " ") for place, value in enumerate(values)
        ]
        title = f"{column.title} (%)" if column.scale == 100 else column.title
        lines.append([title, *shown])
    widths = [max(map(len, column_cells)) for column_cells in zip(*lines, strict=True)]
    rendered = [
        line[0].ljust(widths[0])
        + "".join(f"  {text:>{width}}" for text, width in zip(line[1:], widths[1:], strict=True))
        for line in lines
    ]
    return "\n".join([text.rstrip() for text in rendered] + ["", "* best of its row"])
