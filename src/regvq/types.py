"""What the parts of tokenizers and generators hand to each other: frozen records without behaviour."""

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor


@dataclass(frozen=True)
class QuantizerOutput:
    """What every quantizer returns for a batch of latents ``[B, D, *S]``.

    ``*S`` is ``(L,)``, ``(H, W)`` or ``(T, H, W)``.

    Attributes:
        quantized: ``[B, D, *S]``, the dtype of the latents; carries the straight-through gradient.
        codes: ``[B, *S]`` int64 in ``[0, N)``: the tokens that ``quantized`` was looked up with.
        best_codes: ``[B, *S]`` int64: the best match of every location (argmax of the logits).
        stochastic_mask: ``[B, *S]`` bool, true where the token was sampled; ``None`` where none was.
        perturbation: ``[B, *S]`` float32, squared distance between the sampled and the best-matching
            embedding, zero where nothing was sampled; ``None`` where the quantizer has no mask.
        losses: scalars by name, weighted and ready to be added to a training loss.
        stats: detached scalars by name, raw, for logging (``usage`` in [0, 1] and ``perplexity`` in
            [1, N] of ``best_codes``, ``prior_kl`` of ``codes`` in nats, …).
    """

    quantized: Tensor
    codes: Tensor
    best_codes: Tensor
    stochastic_mask: Tensor | None = None
    perturbation: Tensor | None = None
    losses: dict[str, Tensor] = field(default_factory=dict)
    stats: dict[str, Tensor] = field(default_factory=dict)

    @property
    def loss(self) -> Tensor:
        """The sum of ``losses``: a float32 scalar, zero where there are none."""
        total = self.quantized.new_zeros((), dtype=self.quantized.dtype).float()
        for value in self.losses.values():
            total = total + value
        return total


@dataclass(frozen=True)
class LossOutput:
    """A weighted loss and where it came from.

    Attributes:
        total: scalar with gradient: what ``backward`` is called on.
        terms: the weighted summands of ``total`` by name.
        stats: detached raw values by name, for logging only.
    """

    total: Tensor
    terms: dict[str, Tensor]
    stats: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class TokenizerOutput:
    """A tokenizer's pass over a batch of images.

    Attributes:
        reconstruction: ``[B, 3, H, W]``, about [-1, 1] (not clamped, so that its gradient lives).
        quantizer: the quantizer's own output.
    """

    reconstruction: Tensor
    quantizer: QuantizerOutput


@dataclass(frozen=True)
class SamplingOptions:
    """How new tokens are drawn. The defaults draw from the model's own distribution.

    ``regvq.generators.check_options`` says which values are allowed.

    Attributes:
        seed: decides all chance. Image ``i`` of a seed is the same in a batch of any size.
        first: the number of the first image of the batch, for batches that continue one another.
        temperature: divides the logits; below 1 likelier tokens, above 1 more variety. Positive.
        top_k: only the k likeliest tokens are drawn; 0 for all.
        top_p: only the likeliest tokens that together have this probability are drawn; in (0, 1].
            For diffusion the truncation of the predicted clean tokens (VQ-Diffusion, section 4.3).
        guidance: scale of classifier-free guidance; 1 is none.
        guidance_schedule: how the scale grows from 1 to ``guidance`` over the sampling: not at all,
            linearly, or as half a cosine.
        steps: of a diffusion generator; ``None`` for its full number, or for 12 with ``parallel``.
        parallel: a diffusion generator fixes the tokens it is surest of first (MaskGIT, section 3.2)
            instead of walking its chain backwards.
    """

    seed: int = 0
    first: int = 0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    guidance: float = 1.0
    guidance_schedule: Literal["constant", "linear", "cosine"] = "constant"
    steps: int | None = None
    parallel: bool = False
