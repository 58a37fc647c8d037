"""A measured number with its name: what tables, JSON and Markdown are made of."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measurement:
    """One measured number.

    Attributes:
        name: what it is, as the field calls it.
        value: the number.
        better: 1 where higher is better, -1 where lower is, 0 where neither is.
        unit: such as ``"dB"``; empty where it has none.
        spread: standard deviation over splits or subsets, where it has one.
        places: decimal places that are shown.
        exact: whether another run gives the same; speeds do not.
        bias: about how much of the value is there because so few images were measured; none where that
            need not be said.
    """

    name: str
    value: float
    better: int = 0
    unit: str = ""
    spread: float | None = None
    places: int = 4
    exact: bool = True
    bias: float | None = None

    def text(self) -> str:
        """The number as people read it, with its spread and unit."""
        numbers = [self.value] if self.spread is None else [self.value, self.spread]
        return f"{' ± '.join(map(self._shown, numbers))} {self.unit}".rstrip()

    def _shown(self, number: float) -> str:
        """Features differ in scale by orders of magnitude, and so do distances on them."""
        return f"{number:.4g}" if abs(number) >= 1e5 else f"{number:.{self.places}f}"

    @property
    def arrow(self) -> str:
        """Which way is better: ↑, ↓ or nothing."""
        return {1: "↑", -1: "↓"}.get(self.better, "")

    def as_json(self) -> dict[str, Any]:
        """For a JSON file; a number that is not finite becomes ``null``, which JSON has."""
        finite = self.value if math.isfinite(self.value) else None
        content: dict[str, Any] = {"name": self.name, "value": finite, "better": self.better}
        if self.unit:
            content["unit"] = self.unit
        if self.spread is not None:
            content["spread"] = self.spread
        if not self.exact:
            content["exact"] = False
        if self.bias is not None:
            content["bias"] = self.bias
        return content
