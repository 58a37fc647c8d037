"""What the cost model predicts of training steps beside what ``training.py`` measured of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cost import CONVOLUTIONS, TRANSFORMERS
from regvq.evaluation.cost import Machine

TOLERANCE = 2.0
"""How far a measurement may lie from its prediction, as a factor in either direction."""


def within(ratio: float) -> bool:
    """Whether a measurement over its prediction is within the tolerance."""
    return 1 / TOLERANCE <= ratio <= TOLERANCE


@dataclass(frozen=True)
class Check:
    """One step, predicted and measured.

    Attributes:
        name: the model, and the way of training it.
        flops: of the step, by the model.
        ceiling: FLOP/s of one large product in that precision, measured in the same run.
        predicted: seconds, where the step reaches the share of the ceiling that ``cost.py`` assumes.
        measured: seconds.
        predicted_bytes: that the model expects at the peak.
        measured_bytes: at the peak; ``None`` where nobody counts them.
    """

    name: str
    flops: int
    ceiling: float
    predicted: float
    measured: float
    predicted_bytes: float
    measured_bytes: float | None

    @property
    def reached(self) -> float:
        """The share of the ceiling that the step did reach."""
        return self.flops / self.measured / self.ceiling

    @property
    def time_ratio(self) -> float:
        """Seconds measured over predicted."""
        return self.measured / self.predicted

    @property
    def memory_ratio(self) -> float | None:
        """Bytes measured over predicted."""
        return None if self.measured_bytes is None else self.measured_bytes / self.predicted_bytes


def checks(content: Mapping[str, Any]) -> Iterator[Check]:
    """Every row of what ``training.py`` wrote."""
    for row in content["rows"]:
        ceiling = content["ceilings"][row["precision"]]
        share = CONVOLUTIONS if row["unit"] == "images" else TRANSFORMERS
        predicted = 3600 * Machine(1, ceiling, share).hours(row["flops"])
        name = f"{row['model']}: {row['way']}"
        measured = row["milliseconds"] / 1e3
        expected, peak = row["expected_bytes"], row["peak_bytes"]
        yield Check(name, row["flops"], ceiling, predicted, measured, expected, peak)


def verdict(ratio: float | None) -> str:
    """A ratio, and whether the tolerance holds it."""
    return "–" if ratio is None else f"{ratio:.2f} {'within' if within(ratio) else 'OUTSIDE'}"


def show_checks(content: Mapping[str, Any]) -> None:
    """A table of all of them."""
    print(
        f"{f'measured over predicted, within {TOLERANCE:g} x':<54}{'ms':>10}{'of':>10}{'':>2}{'ratio':<14}"
        f"{'MB':>10}{'of':>10}{'':>2}{'ratio':<14}"
    )
    for one in checks(content):
        peak = "–" if one.measured_bytes is None else f"{one.measured_bytes / 1e6:.1f}"
        print(
            f"{one.name:<54}{1e3 * one.measured:>10.1f}{1e3 * one.predicted:>10.1f}"
            f"{'':>2}{verdict(one.time_ratio):<14}"
            f"{peak:>10}{one.predicted_bytes / 1e6:>10.1f}{'':>2}{verdict(one.memory_ratio):<14}"
        )
