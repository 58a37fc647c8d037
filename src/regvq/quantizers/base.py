"""The contract of every quantizer."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Integral
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from regvq.configurable import Configurable
from regvq.errors import RegvqError
from regvq.quantizers import functional
from regvq.quantizers.collectives import sum_over_ranks
from regvq.quantizers.replay import Replays
from regvq.quantizers.transforms import outside_of_graphs, outside_of_transforms, plain
from regvq.quantizers.usage_watch import UsageWatch
from regvq.types import QuantizerOutput


class Quantizer(nn.Module, Configurable, ABC):
    """Latents ``[B, D, *S]`` to tokens ``[B, *S]`` and back; ``*S`` is (L,), (H, W) or (T, H, W).

    Subclasses see tokens as ``[B, L, D]`` in float32, whatever the grid, the autocast and the format of the
    latents; they implement ``quantize``, ``logits`` and ``codebook``.

    In eval mode a quantizer is deterministic: it draws no random number, changes no buffer and talks
    to no other rank. After ``requires_grad_(False)`` it trains nothing of its own either: in training mode
    it still samples, but its codebook and statistics stay as they are.

    A token with a non-finite channel teaches nothing: it takes no part in statistics and losses, is counted
    in ``stats["non_finite"]``, and comes out as NaN, so that the loss of the step is NaN.

    Statistics are kept in float32 whatever the module is cast to, and a training pass that activation
    checkpointing runs again moves them once.

    Args:
        codebook_size: number of codes N, at least 1.
        dim: channels D of the latents, at least 1.

    Attributes:
        usage_watch: warns once where few codes are in use for many training steps; ``None`` for never.
    """

    exact_in_training: ClassVar[bool] = True
    """Whether ``quantized`` in training holds rows of the codebook. In eval mode it always does.

    Where it is false, training values are noisy. They lie as far from the latents as the rows of ``codes``.
    """
    usage_watch: UsageWatch | None

    def __init__(self, codebook_size: int, dim: int) -> None:
        super().__init__()
        if not all(isinstance(size, Integral) and size >= 1 for size in (codebook_size, dim)):
            raise RegvqError(
                f"codebook_size and dim must be whole numbers of at least 1, not {codebook_size} and {dim}"
            )
        self.codebook_size = codebook_size
        self.dim = dim
        self.usage_watch = UsageWatch()
        self._frozen = False
        self._replays = Replays()

    @property
    @abstractmethod
    def codebook(self) -> Tensor:
        """The vectors that ``decode`` looks up: ``[N, D]`` float32."""

    @abstractmethod
    def quantize(self, tokens: Tensor, valid: Tensor) -> QuantizerOutput:
        """Quantize ``tokens`` [B, L, D] float32: ``forward`` with ``S = L`` and channels last.

        Args:
            tokens: finite.
            valid: ``[B, L]`` bool, the tokens that take part in statistics and losses; the others are
                zeros.
        """

    @abstractmethod
    def logits(self, tokens: Tensor) -> Tensor:
        """Logits ``[M, N]`` of ``tokens`` [M, D] float32."""

    def best_codes(self, tokens: Tensor) -> Tensor:
        """The best match of each of ``tokens`` [M, D] float32: ``[M]`` int64."""
        return self.logits(tokens).argmax(1)

    @property
    def learning(self) -> bool:
        """Whether a forward pass may change the codebook and the statistics."""
        return self.training and not self._frozen

    @property
    def replaying(self) -> bool:
        """Whether activation checkpointing runs the present training pass again."""
        return self._replays.again

    def set_step(self, step: int) -> None:
        """Say which training step it is, where forward passes are not steps; see ``TrainingSteps``.

        Args:
            step: optimizer steps so far.
        """

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze the quantizer, or let it learn: parameters and everything that learns without gradient.

        A parent's ``requires_grad_`` reaches parameters alone, and a codebook of running means has none.
        """
        self._frozen = not requires_grad
        return super().requires_grad_(requires_grad)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Apply a move or a cast; statistics stay in float32, as sums over a thousand steps need it."""
        before = [(part, dict(part._buffers)) for part in self.modules()]
        apply: Any = super()._apply  # torch leaves it untyped
        apply(fn, recurse)
        for part, buffers in before:
            for name, value in buffers.items():
                now = part._buffers[name]
                if value is not None and now is not None and now.dtype != value.dtype:
                    part._buffers[name] = value.to(now.device)
        return self

    def forward(self, z: Tensor) -> QuantizerOutput:
        """Quantize latents ``z`` [B, D, *S] of any floating dtype.

        Raises:
            RegvqError: the latents have not ``dim`` channels, or ``torch.func.vmap`` hides their batch.
        """
        return self._pass(z)

    @outside_of_graphs
    def _pass(self, z: Tensor) -> QuantizerOutput:
        plain(z)  # refuses what has no single batch
        if not self.training:
            return self._on_grid(z)
        with self._replays.training_pass(self) as this_pass:
            output = self._on_grid(z)
            this_pass.tie_to(output.quantized)
        return output

    def _on_grid(self, z: Tensor) -> QuantizerOutput:
        grid = self._grid(z)
        with torch.autocast(z.device.type, enabled=False):
            tokens = z.float().flatten(2).transpose(1, 2)
            # Of the norm: where it overflows, no distance is finite.
            valid = torch.linalg.vecdot(tokens.detach(), tokens.detach()).isfinite()
            # A CPU knows at once whether there is anything to leave out; a GPU would have to be waited for.
            whole = z.device.type == "cpu" and bool(plain(valid).all())
            if not whole:
                tokens = torch.where(valid[..., None], tokens, 0.0)
            flat = self.quantize(tokens, valid)
        quantized = flat.quantized if whole else torch.where(valid[..., None], flat.quantized, torch.nan)
        # Of the best matches: that is what encoding will give, however many places sample now.
        with outside_of_transforms():
            flat.stats.update(self._usage_stats(plain(flat.best_codes), plain(valid)))
        return dataclasses.replace(
            flat,
            quantized=self._to_grid(quantized, grid).to(z.dtype),
            codes=flat.codes.view(len(z), *grid),
            best_codes=flat.best_codes.view(len(z), *grid),
            stochastic_mask=_view(flat.stochastic_mask, grid),
            perturbation=_view(flat.perturbation, grid),
        )

    @torch.no_grad()
    def encode(self, z: Tensor) -> Tensor:
        """Return the best-matching tokens of ``z`` [B, D, *S]: ``[B, *S]`` int64. Deterministic."""
        grid = self._grid(z)
        with torch.autocast(z.device.type, enabled=False):
            best = self.best_codes(self._rows(z))
        return best.view(len(z), *grid)

    def decode(self, codes: Tensor) -> Tensor:
        """The embeddings of ``codes`` [B, *S]: ``[B, D, *S]`` float32.

        Raises:
            RegvqError: a code lies outside [0, N), or the codes are not integers.
        """
        if codes.is_floating_point() or codes.dtype == torch.bool:
            raise RegvqError(f"codes must be integers, not {codes.dtype}")
        if codes.numel() and (codes.min() < 0 or codes.max() >= self.codebook_size):
            raise RegvqError(
                f"codes must lie in [0, {self.codebook_size}), these reach from "
                f"{int(codes.min())} to {int(codes.max())}: were they made by another tokenizer?"
            )
        vectors = nn.functional.embedding(codes.long().flatten(1), self.codebook)
        return self._to_grid(vectors, codes.shape[1:])

    def token_logits(self, z: Tensor) -> Tensor:
        """Logits of every code at every location: ``[B, N, *S]`` float32; argmax is ``encode``."""
        grid = self._grid(z)
        with torch.autocast(z.device.type, enabled=False):
            logits = self.logits(self._rows(z))
        return self._to_grid(logits.view(len(z), grid.numel(), self.codebook_size), grid)

    def sum_over_ranks(self, value: Tensor) -> Tensor:
        """Sum over all ranks while training; this rank's own value in eval mode."""
        return sum_over_ranks(value) if self.training else value.detach()

    def extra_repr(self) -> str:
        return f"codebook_size={self.codebook_size}, dim={self.dim}"

    def _grid(self, z: Tensor) -> torch.Size:
        if z.ndim < 3 or z.shape[1] != self.dim:
            raise RegvqError(f"this quantizer takes latents [B, {self.dim}, ...], not {list(z.shape)}")
        return z.shape[2:]

    def _rows(self, z: Tensor) -> Tensor:
        return z.float().flatten(2).transpose(1, 2).reshape(-1, self.dim)

    @staticmethod
    def _to_grid(tokens: Tensor, grid: torch.Size) -> Tensor:
        return tokens.transpose(1, 2).reshape(len(tokens), tokens.shape[2], *grid)

    @torch.no_grad()
    def _usage_stats(self, codes: Tensor, valid: Tensor) -> dict[str, Tensor]:
        counts = functional.token_counts(codes, self.codebook_size, valid)
        counts = self.sum_over_ranks(torch.cat([counts, (~valid).sum().float()[None]]))
        counts, invalid = counts[:-1], counts[-1]
        if self.learning and self.usage_watch is not None:
            self.usage_watch.see(counts)
        return {
            "usage": functional.usage(counts),
            "perplexity": functional.perplexity(counts),
            "non_finite": invalid,
        }


def _view(value: Tensor | None, grid: torch.Size) -> Tensor | None:
    return None if value is None else value.view(len(value), *grid)
