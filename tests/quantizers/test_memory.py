"""No tensor grows with tokens times codes: what every operation makes is looked at."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from regvq.quantizers import (
    CosineHead,
    EuclideanHead,
    LinearHead,
    Quantizer,
    RegularizedVectorQuantizer,
    SoftmaxStraightThrough,
    VectorQuantizer,
    tiles,
)

TOKENS, CODES, DIM = 1024, 512, 4
HEADS = {"linear": lambda: LinearHead(3.0), "cosine": CosineHead, "Euclidean": EuclideanHead}


class Largest(TorchDispatchMode):
    """Notes the most entries of a tensor that an operation makes, forward or backward."""

    entries = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                # Of the storage: a view of a large tensor is as large.
                self.entries = max(self.entries, leaf.untyped_storage().nbytes() // leaf.element_size())
        return made


def regularized(head: str, mask_ratio: float) -> Callable[[], Quantizer]:
    """With the straight-through form and the prior, which both go through the softmax of all codes."""
    return lambda: RegularizedVectorQuantizer(
        CODES, DIM, mask_ratio=mask_ratio, head=HEADS[head](), straight_through=SoftmaxStraightThrough()
    )


QUANTIZERS: dict[str, Callable[[], Quantizer]] = {
    "VQ": lambda: VectorQuantizer(CODES, DIM),
    "Reg-VQ": lambda: RegularizedVectorQuantizer(CODES, DIM),
} | {
    f"Reg-VQ, {head}, mask {ratio}": regularized(head, ratio) for head in HEADS for ratio in (0.0, 0.4, 1.0)
}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them, logits and scratch, are an eighth of the matrix."""
    monkeypatch.setattr(tiles, "_ENTRIES", {"cpu": 64 * CODES})


@pytest.mark.parametrize("make", QUANTIZERS.values(), ids=QUANTIZERS.keys())
def test_the_matrix_is_never_made(make: Callable[[], Quantizer]) -> None:
    quantizer, z = make().train(), torch.randn(2, DIM, TOKENS // 2, requires_grad=True)
    with Largest() as largest:
        output = quantizer(z)
        (output.quantized.square().mean() + output.loss).backward()
        quantizer.eval().encode(z)
    assert z.grad is not None
    assert 0 < largest.entries <= TOKENS * CODES // 4


def test_it_would_be_noticed() -> None:
    quantizer, z = VectorQuantizer(CODES, DIM), torch.randn(1, DIM, TOKENS)
    with Largest() as largest:
        quantizer.token_logits(z)
    assert largest.entries >= TOKENS * CODES
