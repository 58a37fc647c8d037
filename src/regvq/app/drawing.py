"""What a visitor asks a generator for, read with care."""

import math
import secrets
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from regvq.app.token_edits import painted_labels
from regvq.conditions import Caption, ClassLabel, LabelMap
from regvq.errors import RegvqError
from regvq.generators import Generator
from regvq.generators.sampling import check_options
from regvq.types import SamplingOptions

SEEDS = 2**31
LONGEST_CAPTION = 1000
"""Characters: far more than any caption has that a generator was trained with."""


@dataclass(frozen=True)
class Wish:
    """How to draw, as the page sends it: numbers that may be anything.

    Attributes:
        seed: decides all chance; nothing for one by chance.
        temperature: see ``SamplingOptions``.
        top_k: likewise.
        top_p: likewise.
        guidance: likewise.
        steps: likewise; of diffusion generators alone.
        parallel: likewise.
    """

    seed: Any = 0
    temperature: Any = 1.0
    top_k: Any = 0
    top_p: Any = 1.0
    guidance: Any = 1.0
    steps: Any = None
    parallel: Any = False

    def options(self, generator: Generator) -> SamplingOptions:
        """The options.

        Raises:
            RegvqError: a value is no number, or out of its range.
        """
        in_steps = generator.in_steps
        options = SamplingOptions(
            seed=secrets.randbelow(SEEDS)
            if self.seed is None
            else whole(self.seed, "the seed", 0, SEEDS - 1),
            temperature=_number(self.temperature, "the temperature"),
            top_k=whole(self.top_k or 0, "top-k", 0, generator.source.codebook_size),
            top_p=_number(self.top_p, "top-p"),
            guidance=_number(self.guidance, "the guidance"),
            steps=whole(self.steps, "the number of steps", 1, 1000) if in_steps and self.steps else None,
            parallel=bool(self.parallel) and in_steps,
        )
        check_options(options)
        return options


@dataclass(frozen=True)
class AskedCondition:
    """What to draw.

    Attributes:
        ids: ``[1, P]``.
        text: the same in words, for the record of an image; empty for any image.
        remarks: what the visitor should know about it.
    """

    ids: Tensor
    text: str = ""
    remarks: Sequence[str] = ()


def read_condition(generator: Generator, value: Any) -> AskedCondition:
    """One condition, as the page sends it.

    Args:
        generator: says what a condition is.
        value: the name of a class, a caption, or the labels that were painted; nothing for any image.

    Raises:
        RegvqError: it is none of the generator's.
    """
    condition = generator.condition
    if isinstance(condition, LabelMap) and value is not None:
        rows, columns = condition.cells
        labels = painted_labels(value, rows, columns, len(condition.labels))
        return AskedCondition(condition.ids(labels[None]), "a painted label map")
    if value is None or value == "" or not isinstance(condition, Caption | ClassLabel):
        return AskedCondition(condition.null(1))
    if not isinstance(value, str) or len(value) > LONGEST_CAPTION:
        raise RegvqError(f"a condition is a text of at most {LONGEST_CAPTION} characters: shorten it")
    with warnings.catch_warnings(record=True) as said:  # of a caption that was cut
        warnings.simplefilter("always")
        read: Any = condition.read(value)
        ids = condition.ids([read])
    return AskedCondition(ids, value, [str(one.message) for one in said])


def whole(value: Any, what: str, low: int, high: int) -> int:
    """A whole number in [low, high].

    Raises:
        RegvqError: it is none.
    """
    number = _number(value, what)
    if number != int(number) or not low <= number <= high:
        raise RegvqError(f"{what} must be a whole number from {low} to {high}, not {number:g}")
    return int(number)


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RegvqError(f"{what} must be a number")
    return float(value)
