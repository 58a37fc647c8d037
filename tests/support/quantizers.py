"""Every quantizer of the package, and every way to put one together, for the tests that are laws."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import regvq.quantizers
from regvq.quantizers import (
    BalancedStraightThrough,
    CosineHead,
    EMACodebook,
    EuclideanHead,
    GradientCodebook,
    IdentityStraightThrough,
    LinearHead,
    PriorBias,
    Quantizer,
    RegularizedVectorQuantizer,
    RotationStraightThrough,
    SoftmaxStraightThrough,
)
from regvq.quantizers.peers import PeerFSQ, PeerLFQ, PeerVQ
from tests.support.discovery import concrete_subclasses, takes_sizes_alone

SIZE, DIM = 16, 6
GRIDS = {"1-D": (12,), "2-D": (3, 4), "3-D": (2, 3, 2)}
HEADS = [LinearHead, CosineHead, EuclideanHead]
CODEBOOKS = [GradientCodebook, EMACodebook]
STRAIGHT_THROUGHS = [
    BalancedStraightThrough,
    SoftmaxStraightThrough,
    IdentityStraightThrough,
    RotationStraightThrough,
]

Make = Callable[[int, int], Quantizer]


def _combination(head: type, codebook: type, straight_through: type) -> Make:
    def make(size: int, dim: int) -> Quantizer:
        return RegularizedVectorQuantizer(
            size,
            dim,
            prior_weight=0.1,  # what teaches a linear head
            head=head(),
            codebook=codebook(),
            straight_through=straight_through(),
        )

    return make


LEVELS = {1: (3,), 16: (4, 4), 100: (5, 5, 4)}
ALL = {cls.__name__: cls for cls in concrete_subclasses(regvq.quantizers, Quantizer)}
FOUND: dict[str, Make] = {name: cls for name, cls in ALL.items() if takes_sizes_alone(cls)}
# Quantizers that have not any number of codes: the nearest that they can have.
BOUND: dict[str, Make] = {
    "PeerFSQ": lambda size, dim: PeerFSQ(dim, LEVELS.get(size, ())),
    "PeerLFQ": lambda size, dim: PeerLFQ({1: 2, 100: 128}.get(size, size), dim),
}
VARIANTS: dict[str, Make] = (FOUND | BOUND) | {
    "PeerVQ, rotated": lambda size, dim: PeerVQ(size, dim, rotation_trick=True),
    "Reg-VQ, the paper's form": RegularizedVectorQuantizer.paper,
    "Reg-VQ, running posterior": lambda size, dim: RegularizedVectorQuantizer(
        size, dim, posterior_momentum=0.9
    ),
    "Reg-VQ, no mask, no prior": lambda size, dim: RegularizedVectorQuantizer(
        size, dim, mask_ratio=0.0, prior_bias=PriorBias(rate=0.0)
    ),
    **{
        f"Reg-VQ, {head.__name__}, {codebook.__name__}, {form.__name__}": _combination(head, codebook, form)
        for head, codebook, form in itertools.product(HEADS, CODEBOOKS, STRAIGHT_THROUGHS)
    },
}

every_quantizer = pytest.mark.parametrize("make", VARIANTS.values(), ids=VARIANTS.keys())
ANY_SIZE = {name: make for name, make in VARIANTS.items() if name not in BOUND}
any_size = pytest.mark.parametrize("make", ANY_SIZE.values(), ids=ANY_SIZE.keys())
every_grid = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())


def latents(grid: tuple[int, ...] = (3, 4), batch: int = 2) -> Tensor:
    return torch.randn(batch, DIM, *grid)


def trained(make: Make) -> Quantizer:
    """After three training batches, so that buffers and counters have left their first values."""
    torch.manual_seed(1)
    quantizer = make(SIZE, DIM).train()
    for _ in range(3):
        quantizer(latents())
    return quantizer


def state_of(quantizer: Quantizer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in quantizer.state_dict().items()}


def assert_same_state(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
