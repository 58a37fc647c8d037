"""The ways of training that ``training.py`` compares: eager and compiled, by precision and by layout."""

from dataclasses import dataclass

FP32, BF16 = "32-true", "bf16-mixed"


@dataclass(frozen=True)
class Way:
    """How a model is trained.

    Attributes:
        compiled: the key ``model.compile``.
        precision: the key ``trainer.precision``.
        channels_last: the key ``model.channels_last``; only stage 1 has it.
    """

    compiled: bool
    precision: str
    channels_last: bool = False

    def __str__(self) -> str:
        words = ["compiled" if self.compiled else "eager", "fp32" if self.precision == FP32 else "bf16"]
        return ", ".join([*words, *(["channels last"] if self.channels_last else [])])


EAGER = Way(False, FP32)
FAST = {
    "cpu": {"tokenizer": Way(True, BF16), "generator": Way(True, BF16)},
    "cuda": {"tokenizer": Way(True, BF16, True), "generator": Way(True, BF16)},
}
"""What the bars judge, by device and stage."""


def arguments_of(way: Way, stage: str) -> list[str]:
    """A way as arguments of the stage's command line."""
    arguments = [f"--model.compile={str(way.compiled).lower()}", f"--trainer.precision={way.precision}"]
    if stage == "tokenizer":
        arguments.append(f"--model.channels_last={str(way.channels_last).lower()}")
    return arguments


def ways(stage: str, quick: bool) -> list[Way]:
    """Those of a stage that take part; if ``quick`` only a generator's blocks are compiled."""
    if quick:
        return [EAGER, *([Way(True, BF16)] if stage == "generator" else [])]
    layouts = (False, True) if stage == "tokenizer" else (False,)
    return [
        Way(compiled, precision, last)
        for compiled in (False, True)
        for precision in (FP32, BF16)
        for last in layouts
    ]
