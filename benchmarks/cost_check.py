"""What the cost model predicts of training steps beside what ``training.py`` measured of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cost import CONVOLUTIONS, TRANSFORMERS
from regvq.evaluation.cost import Machine


@dataclass(frozen=True)
class Check:
    """One step, predicted and measured.

    Attributes:
        name: the model, and the way of training it.
        flops: of the step, by the model.
        ceiling: FLOP/s of one large product in that precision, measured in the same run.
        predicted: seconds, where the step reaches the share of the ceiling that ``cost.py`` assumes.
        measured: seconds.
    """

    name: str
    flops: int
    ceiling: float
    predicted: float
    measured: float

    @property
    def reached(self) -> float:
        """The share of the ceiling that the step did reach."""
        return self.flops / self.measured / self.ceiling


def checks(content: Mapping[str, Any]) -> Iterator[Check]:
    """Every row of what ``training.py`` wrote."""
    for row in content["rows"]:
        ceiling = content["ceilings"][row["precision"]]
        share = CONVOLUTIONS if row["unit"] == "images" else TRANSFORMERS
        predicted = 3600 * Machine(1, ceiling, share).hours(row["flops"])
        name = f"{row['model']}: {row['way']}"
        yield Check(name, row["flops"], ceiling, predicted, row["milliseconds"] / 1e3)
