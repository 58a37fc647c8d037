"""The bars of the plain loops, judged from rows: means over seeds, one verdict a loop.

A contestant that failed with any seed of a loop is nobody's rival there; a subject that failed misses every
bar there.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from measuring import Bar

Row = dict[str, Any]

USAGE = 0.95
"""Least usage, as a share of the best contestant's."""
NEAR_DB = 1.0
"""How far below the best quality a contestant may lie and still be compared by perplexity."""
LOSS = {"mse": 1.05, "l1": 1.02, "cross-entropy": 1.02}
"""Largest loss by objective, as a multiple of the least."""


@dataclass(frozen=True)
class Standing:
    """The subject's standing in one loop.

    Attributes:
        loop: its name.
        failed: what went wrong with the subject, or ``None``.
        usage: its usage as a share of the best contestant's.
        most_used: the contestant with the best usage.
        lowest_usage: the least such share along the curve, and its step.
        perplexity: its perplexity as a share of the highest of the contestants near the best quality.
        near: whether the subject is itself near the best quality.
        loss: its loss as a multiple of the least.
        loss_allowed: the largest multiple that the bar allows.
        least_loss: the contestant with the least loss.
        highest_loss: the largest such multiple along the curve, and its step.
        ahead: by kind of token corruption, its quality minus the best other contestant's, dB.
    """

    loop: str
    failed: str | None = None
    usage: float = 0.0
    most_used: str = ""
    lowest_usage: tuple[float, int] = (0.0, 0)
    perplexity: float = 0.0
    near: bool = False
    loss: float | None = None
    loss_allowed: float = 1.0
    least_loss: str = ""
    highest_loss: tuple[float, int] | None = None
    ahead: Mapping[str, float] | None = None

    @property
    def most_perplexity(self) -> bool:
        """Whether no contestant near the best quality has a higher perplexity."""
        return self.near and self.perplexity >= 1

    @property
    def loss_within(self) -> bool:
        """Whether the loss is within what the bar allows."""
        return self.loss is not None and self.loss <= self.loss_allowed

    @property
    def loss_first(self) -> bool:
        """Whether the loss is the least of all."""
        return self.loss is not None and self.loss <= 1

    def first_at(self, kind: str) -> bool:
        """Whether the decoder is the best under a kind of token corruption."""
        return self.ahead is not None and self.ahead[kind] >= 0


@dataclass(frozen=True)
class Verdict:
    """The bars, and the loops that miss each."""

    subject: str
    standings: tuple[Standing, ...]
    bars: tuple[tuple[Bar, tuple[str, ...]], ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "subject": self.subject,
            "bars": [
                asdict(bar) | {"passed": bar.passed, "misses": list(misses)} for bar, misses in self.bars
            ],
            "loops": [asdict(standing) for standing in self.standings],
        }


def judge(rows: Sequence[Row], subject: str, rivals: Iterable[str]) -> Verdict:
    """Judge ``subject`` against ``rivals`` in every loop where it has a row.

    Raises:
        ValueError: the subject has no row.
    """
    names = [subject, *(rival for rival in rivals if rival != subject)]
    loops = list(dict.fromkeys(row["loop"] for row in rows if row["contestant"] == subject))
    if not loops:
        raise ValueError(f"no row of {subject}")
    standings = tuple(_standing(loop, subject, _by_name(rows, loop, names)) for loop in loops)
    kinds = [kind for standing in standings for kind in standing.ahead or ()]
    lowest = min(standing.usage for standing in standings)
    curve = min(standing.lowest_usage[0] for standing in standings)
    bars = [
        (
            Bar("usage at the end, share of the best contestant's", lowest, USAGE, at_most=False),
            _misses(standings, lambda s: s.usage >= USAGE, lambda s: f"{s.usage:.2f} of {s.most_used}"),
        ),
        (
            Bar("usage along the curve, share of the best contestant's", curve, USAGE, at_most=False),
            _misses(
                standings,
                lambda s: s.lowest_usage[0] >= USAGE,
                lambda s: f"{s.lowest_usage[0]:.2f} at step {s.lowest_usage[1]}",
            ),
        ),
        _share(
            "loops with the highest perplexity within 1 dB",
            0.8,
            standings,
            lambda s: s.most_perplexity,
            lambda s: f"{s.perplexity:.2f}" if s.near else "more than 1 dB below the best",
        ),
        _share(
            "loops within 5 % (L1, cross-entropy 2 %) of the least loss",
            1.0,
            standings,
            lambda s: s.loss_within,
            _excess,
        ),
        _share("loops with the least loss", 0.5, standings, lambda s: s.loss_first, _excess),
    ]
    bars += [
        _share(
            f"loops with the best decoder, {kind}",
            0.8,
            standings,
            lambda s, kind=kind: s.first_at(kind),
            lambda s, kind=kind: f"{(s.ahead or {})[kind]:+.2f} dB",
        )
        for kind in dict.fromkeys(kinds)
    ]
    return Verdict(subject, standings, tuple(bars))


def means(rows: Sequence[Row]) -> Row:
    """Return the means over seeds of one contestant's rows in one loop; ``error`` where one failed."""
    errors = [row["error"] for row in rows if row["error"]]
    if errors:
        return {"error": errors[0]}
    names = ("loss", "quality", "usage", "perplexity")
    return {
        "error": None,
        "objective": rows[0]["objective"],
        **{name: statistics.fmean(row[name] for row in rows) for name in names},
        "curve": [
            {"step": points[0]["step"]}
            | {name: statistics.fmean(point[name] for point in points) for name in ("loss", "usage")}
            for points in zip(*(row["curve"] for row in rows), strict=True)
        ],
        "corruption": {
            kind: {
                name: statistics.fmean(row["corruption"][kind][name] for row in rows)
                for name in ("quality", "changed")
            }
            for kind in rows[0]["corruption"]
        },
    }


def _by_name(rows: Sequence[Row], loop: str, names: Sequence[str]) -> dict[str, Row]:
    found = {name: [r for r in rows if r["loop"] == loop and r["contestant"] == name] for name in names}
    return {name: means(own) for name, own in found.items() if own}


def _standing(loop: str, subject: str, contestants: Mapping[str, Row]) -> Standing:
    own = contestants[subject]
    if own["error"]:
        return Standing(loop, failed=own["error"])
    fit = {name: row for name, row in contestants.items() if not row["error"]}
    others = [row for name, row in fit.items() if name != subject]
    most_used = max(fit, key=lambda name: fit[name]["usage"])
    least_loss = min(fit, key=lambda name: fit[name]["loss"])
    best_quality = max(row["quality"] for row in fit.values())
    near = [row for row in fit.values() if row["quality"] >= best_quality - NEAR_DB]
    points = [
        (
            point["usage"] / max(row["curve"][index]["usage"] for row in fit.values()),
            point["loss"] / min(row["curve"][index]["loss"] for row in fit.values()),
            point["step"],
        )
        for index, point in enumerate(own["curve"])
    ]
    share = own["usage"] / fit[most_used]["usage"]
    return Standing(
        loop,
        usage=share,
        most_used=most_used,
        lowest_usage=min(((usage, step) for usage, _, step in points), default=(share, 0)),
        perplexity=own["perplexity"] / max(row["perplexity"] for row in near),
        near=own["quality"] >= best_quality - NEAR_DB,
        loss=own["loss"] / fit[least_loss]["loss"],
        loss_allowed=LOSS[own["objective"]],
        least_loss=least_loss,
        highest_loss=max(((loss, step) for _, loss, step in points), default=None),
        ahead={
            kind: figures["quality"]
            - max((row["corruption"][kind]["quality"] for row in others), default=figures["quality"])
            for kind, figures in own["corruption"].items()
            if kind != "clean"
        },
    )


def _misses(standings: Sequence[Standing], holds: Any, text: Any) -> tuple[str, ...]:
    return tuple(
        f"{standing.loop}: {standing.failed or text(standing)}"
        for standing in standings
        if standing.failed or not holds(standing)
    )


def _share(
    name: str, bound: float, standings: Sequence[Standing], holds: Any, text: Any
) -> tuple[Bar, tuple[str, ...]]:
    share = sum(1 for standing in standings if holds(standing)) / len(standings)
    return Bar(name, share, bound, at_most=False), _misses(standings, holds, text)


def _excess(standing: Standing) -> str:
    return f"{(standing.loss or 0) - 1:+.1%} against {standing.least_loss}"
