"""Values that change while training: pure functions of a step counter."""

import math
from abc import ABC, abstractmethod

from regvq.configurable import Configurable
from regvq.errors import RegvqError

_FOREVER = 10**12  # a step that lies behind every ramp


class Schedule(Configurable, ABC):
    """A number for every step (0, 1, 2, …)."""

    @abstractmethod
    def __call__(self, step: int) -> float:
        """The value at ``step``."""


class Constant(Schedule):
    """The same value at every step."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, step: int) -> float:
        return self.value


class _Ramp(Schedule):
    """From ``start`` to ``end`` over ``steps`` steps after ``delay`` steps; constant outside."""

    def __init__(self, start: float, end: float, steps: int, delay: int = 0) -> None:
        if steps < 1 or delay < 0:
            raise RegvqError(f"a ramp needs steps >= 1 and delay >= 0, not {steps} and {delay}")
        self.start, self.end, self.steps, self.delay = start, end, steps, delay

    def progress(self, step: int) -> float:
        """The share of the ramp that lies behind ``step``, in [0, 1]."""
        return min(max((step - self.delay) / self.steps, 0.0), 1.0)


class Linear(_Ramp):
    """A straight line from ``start`` to ``end`` over ``steps`` steps after ``delay`` steps."""

    def __call__(self, step: int) -> float:
        return self.start + (self.end - self.start) * self.progress(step)


class Cosine(_Ramp):
    """Half a cosine wave from ``start`` to ``end`` over ``steps`` steps after ``delay`` steps."""

    def __call__(self, step: int) -> float:
        eased = (1 - math.cos(math.pi * self.progress(step))) / 2
        return self.start + (self.end - self.start) * eased


class Exponential(_Ramp):
    """A constant ratio a step from ``start`` to ``end``, both positive (Gumbel-softmax annealing)."""

    def __init__(self, start: float, end: float, steps: int, delay: int = 0) -> None:
        if start <= 0 or end <= 0:
            raise RegvqError(f"an exponential ramp needs positive ends, not {start} and {end}")
        super().__init__(start, end, steps, delay)

    def __call__(self, step: int) -> float:
        return float(self.start * (self.end / self.start) ** self.progress(step))


def as_schedule(value: float | Schedule) -> Schedule:
    """A plain number is a constant schedule."""
    return value if isinstance(value, Schedule) else Constant(float(value))


def bounded_schedule(name: str, value: float | Schedule, low: float, high: float = math.inf) -> Schedule:
    """``as_schedule`` that holds the value in [low, high] from the first step to the last.

    Only the two ends are looked at: the schedules of this package run straight from one to the other.

    Raises:
        RegvqError: an end lies outside, or is not a number; ``name`` says which argument it was.
    """
    schedule = as_schedule(value)
    for end in (schedule(0), schedule(_FOREVER)):
        if not low <= end <= high or end == math.inf:
            bounds = f"in [{low:g}, {high:g}]" if high < math.inf else f"finite and at least {low:g}"
            raise RegvqError(f"{name} must be {bounds}, not {end:g}")
    return schedule
