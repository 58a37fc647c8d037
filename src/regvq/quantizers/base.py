"""The contract of every quantizer."""

import dataclasses
from abc import ABC, abstractmethod
from numbers import Integral
from typing import ClassVar

import torch
from torch import Tensor, nn

from regvq.configurable import Configurable
from regvq.errors import RegvqError
from regvq.quantizers import functional
from regvq.quantizers.collectives import sum_over_ranks
from regvq.types import QuantizerOutput


class Quantizer(nn.Module, Configurable, ABC):
    """Latents ``[B, D, *S]`` to tokens ``[B, *S]`` and back; ``*S`` is (L,), (H, W) or (T, H, W).

    Subclasses see tokens as ``[B, L, D]`` in float32, whatever the grid and the autocast; they
    implement ``quantize``, ``logits`` and ``codebook``.

    In eval mode a quantizer is deterministic: it draws no random number, changes no buffer and talks
    to no other rank.

    Args:
        codebook_size: number of codes N, at least 1.
        dim: channels D of the latents, at least 1.
    """

    exact_in_training: ClassVar[bool] = True
    """Whether ``quantized`` in training holds rows of the codebook. In eval mode it always does.

    Where it is false, training values are noisy. They lie as far from the latents as the rows of ``codes``.
    """

    def __init__(self, codebook_size: int, dim: int) -> None:
        super().__init__()
        if not all(isinstance(size, Integral) and size >= 1 for size in (codebook_size, dim)):
            raise RegvqError(
                f"codebook_size and dim must be whole numbers of at least 1, not {codebook_size} and {dim}"
            )
        self.codebook_size = codebook_size
        self.dim = dim

    @property
    @abstractmethod
    def codebook(self) -> Tensor:
        """The vectors that ``decode`` looks up: ``[N, D]`` float32."""

    @abstractmethod
    def quantize(self, tokens: Tensor) -> QuantizerOutput:
        """``forward`` on ``tokens`` [B, L, D] float32, with ``S = L`` and channels last."""

    @abstractmethod
    def logits(self, tokens: Tensor) -> Tensor:
        """Logits ``[M, N]`` of ``tokens`` [M, D] float32."""

    def best_codes(self, tokens: Tensor) -> Tensor:
        """The best match of each of ``tokens`` [M, D] float32: ``[M]`` int64."""
        return self.logits(tokens).argmax(1)

    def forward(self, z: Tensor) -> QuantizerOutput:
        """Quantizes latents ``z`` [B, D, *S] of any floating dtype.

        Raises:
            RegvqError: the latents have not ``dim`` channels.
        """
        grid = self._grid(z)
        with torch.autocast(z.device.type, enabled=False):
            flat = self.quantize(z.float().flatten(2).transpose(1, 2))
        # Of the best matches: that is what encoding will give, however many places sample now.
        flat.stats.update(self._usage_stats(flat.best_codes))
        return dataclasses.replace(
            flat,
            quantized=self._to_grid(flat.quantized, grid).to(z.dtype),
            codes=flat.codes.view(len(z), *grid),
            best_codes=flat.best_codes.view(len(z), *grid),
            stochastic_mask=_view(flat.stochastic_mask, grid),
            perturbation=_view(flat.perturbation, grid),
        )

    @torch.no_grad()
    def encode(self, z: Tensor) -> Tensor:
        """The best-matching tokens of ``z`` [B, D, *S]: ``[B, *S]`` int64, drawn without chance."""
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
        return self._to_grid(logits.view(len(z), -1, self.codebook_size), grid)

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
        return tokens.transpose(1, 2).reshape(len(tokens), -1, *grid)

    @torch.no_grad()
    def _usage_stats(self, codes: Tensor) -> dict[str, Tensor]:
        counts = self.sum_over_ranks(functional.token_counts(codes, self.codebook_size))
        return {"usage": functional.usage(counts), "perplexity": functional.perplexity(counts)}


def _view(value: Tensor | None, grid: torch.Size) -> Tensor | None:
    return None if value is None else value.view(len(value), *grid)
