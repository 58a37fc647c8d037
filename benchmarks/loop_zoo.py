"""The plain loops: settings of small networks around a quantizer that nobody tuned.

A loop is one of a few bases with one setting changed. Every third loop is held back: it is left out while
a quantizer is being designed, and joins for the verdict. New loops are appended, so that the others keep
their part.
"""

import hashlib
from dataclasses import asdict, dataclass, replace
from itertools import starmap

from loop_data import SOURCES

MOST_LOGITS = 2**26
"""Tokens times codes of one step, at most."""


@dataclass(frozen=True)
class Loop:
    """The settings of one training.

    Attributes:
        name: the base, and the setting that differs.
        data: name of a source in ``loop_data``.
        encoder: kind of network in ``loop_nets``.
        dim: channels D of the latents.
        codebook_size: number of codes N.
        batch_size: samples of one optimizer step, all ranks and micro-batches together.
        steps: optimizer steps.
        scale: factor on the encoder's output; the decoder sees quantized latents as they are.
        offset: added to every channel of the latents after ``scale``.
        optimizer: "adam", "adamw" or "sgd" (momentum 0.9).
        lr: learning rate, constant.
        loss: "mse", "l1" or "cross-entropy".
        precision: "fp32", or "bf16" for autocast.
        accumulate: micro-batches of one optimizer step.
        checkpoint: what is recomputed in the backward pass: "none", "encoder" or "decoder", the quantizer
            with either.
        ranks: processes that train together, 1 or 2.
        held_back: whether the loop is kept for the verdict.
    """

    name: str
    data: str
    encoder: str = "conv"
    dim: int = 64
    codebook_size: int = 512
    batch_size: int = 16
    steps: int = 250
    scale: float = 1.0
    offset: float = 0.0
    optimizer: str = "adam"
    lr: float = 1e-3
    loss: str = "mse"
    precision: str = "fp32"
    accumulate: int = 1
    checkpoint: str = "none"
    ranks: int = 1
    held_back: bool = False

    @property
    def frozen(self) -> bool:
        """Whether only the quantizer learns, on features that stay as they are."""
        return self.encoder.startswith("frozen")

    @property
    def tokens(self) -> int:
        """Tokens of one optimizer step."""
        return self.batch_size * self.tokens_per_sample

    @property
    def tokens_per_sample(self) -> int:
        """Tokens of one sample."""
        return 16 if self.encoder == "frozen-dct" else SOURCES[self.data].tokens

    @property
    def fingerprint(self) -> str:
        """Eight digits that change with any setting."""
        settings = asdict(replace(self, held_back=False))
        return hashlib.sha256(repr(sorted(settings.items())).encode()).hexdigest()[:8]


PHOTOS = Loop("photos", "photos")
TINY = Loop("tiny", "tiny")
DIGITS = Loop("digits", "digits")
DRAWINGS = Loop("drawings", "drawings")
VIDEO = Loop("video", "video", batch_size=8)
DCT = Loop("frozen DCT", "photos", encoder="frozen-dct", batch_size=64)
FEATURES = Loop("frozen features", "tiny", encoder="frozen-conv")


def _vary(base: Loop, change: str, **settings: object) -> Loop:
    return replace(base, name=f"{base.name}, {change}", **settings)  # type: ignore[arg-type]  # fields by name


_ALL = (
    PHOTOS,
    DRAWINGS,
    DIGITS,
    VIDEO,
    TINY,
    DCT,
    FEATURES,
    _vary(PHOTOS, "GroupNorm", encoder="group"),
    _vary(PHOTOS, "BatchNorm", encoder="batch"),
    _vary(TINY, "LayerNorm", encoder="layer"),
    _vary(PHOTOS, "residual", encoder="residual"),
    _vary(PHOTOS, "ViT", encoder="vit"),
    _vary(PHOTOS, "scale 0.01", scale=0.01),
    _vary(PHOTOS, "scale 0.1", scale=0.1),
    _vary(PHOTOS, "scale 10", scale=10.0),
    _vary(PHOTOS, "scale 100", scale=100.0),
    _vary(PHOTOS, "offset 10", offset=10.0),
    _vary(PHOTOS, "D 4", dim=4),
    _vary(PHOTOS, "D 8", dim=8),
    _vary(PHOTOS, "D 256", dim=256),
    _vary(PHOTOS, "N 16", codebook_size=16),
    _vary(PHOTOS, "N 64", codebook_size=64),
    _vary(PHOTOS, "N 4096", codebook_size=4096),
    # Smaller vectors and fewer steps: at D 64 one training takes minutes. The batch is N / 8 tokens.
    _vary(PHOTOS, "N 16384", codebook_size=16384, batch_size=32, dim=16, steps=100),
    _vary(PHOTOS, "tokens N/8", batch_size=1),
    _vary(PHOTOS, "tokens 8 N", batch_size=64),
    _vary(PHOTOS, "AdamW", optimizer="adamw"),
    _vary(PHOTOS, "SGD", optimizer="sgd", lr=1e-2),
    _vary(PHOTOS, "learning rate 1e-2", lr=1e-2),
    _vary(PHOTOS, "learning rate 1e-4", lr=1e-4),
    _vary(PHOTOS, "L1", loss="l1"),
    _vary(DRAWINGS, "cross-entropy", loss="cross-entropy"),
    _vary(PHOTOS, "cross-entropy", loss="cross-entropy"),
    _vary(PHOTOS, "bf16", precision="bf16"),
    _vary(PHOTOS, "accumulate 4", accumulate=4),
    _vary(PHOTOS, "checkpointed encoder", checkpoint="encoder"),
    _vary(PHOTOS, "checkpointed decoder", checkpoint="decoder"),
    _vary(PHOTOS, "two ranks", ranks=2, steps=150),
)


def _held_back(index: int, loop: Loop) -> Loop:
    return replace(loop, held_back=index % 3 == 2)


LOOPS: dict[str, Loop] = {loop.name: loop for loop in starmap(_held_back, enumerate(_ALL))}
"""All loops by name, in the order of the table."""
