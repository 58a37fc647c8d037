"""How much of a codebook is used, and how evenly."""

import torch
from torch import Tensor
from torchmetrics import Metric

from regvq.errors import RegvqError
from regvq.quantizers import functional


class CodebookUsage(Metric):
    """Counts codes; the counts of all ranks are summed before anything is derived from them.

    Args:
        codebook_size: number of codes N, at least 1.
    """

    full_state_update = False
    is_differentiable = False
    counts: Tensor

    def __init__(self, codebook_size: int) -> None:
        super().__init__()
        if codebook_size < 1:
            raise RegvqError(f"codebook_size must be at least 1, not {codebook_size}")
        self.codebook_size = codebook_size
        zeros = torch.zeros(codebook_size, dtype=torch.int64)
        self.add_state("counts", default=zeros, dist_reduce_fx="sum")

    def update(self, codes: Tensor) -> None:
        """Adds ``codes``, int64 of any shape.

        Raises:
            RegvqError: a code lies outside [0, N).
        """
        counts = torch.bincount(codes.flatten(), minlength=self.codebook_size)
        if len(counts) > self.codebook_size:
            raise RegvqError(
                f"code {len(counts) - 1} lies outside the codebook of {self.codebook_size} codes: "
                "were the codes made by another tokenizer?"
            )
        self.counts += counts

    def compute(self) -> dict[str, Tensor]:
        """``counts`` [N] int64, ``usage`` in [0, 1] and ``perplexity`` in [1, N], float64 scalars.

        Of a single code torchmetrics makes the counts a scalar.
        """
        exact = self.counts.double()
        return {
            "counts": self.counts,
            "usage": (self.counts > 0).double().mean(),
            "perplexity": functional.perplexity(exact),
        }
