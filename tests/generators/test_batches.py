"""Many images in batches: no batch shows, and a full memory is met once."""

import pytest
import torch
from torch import Tensor

from regvq.conditions import ClassLabel
from regvq.errors import RegvqError
from regvq.generators import AutoregressiveGenerator, TokenSource
from regvq.generators.batches import sample_in_batches
from regvq.types import SamplingOptions


@pytest.fixture
def generator() -> AutoregressiveGenerator:
    torch.manual_seed(0)
    source = TokenSource(12, (2, 3), "")
    return AutoregressiveGenerator(ClassLabel(["a", "b"]), source, dim=16, layers=1, heads=2, hidden=32)


def ids(count: int) -> Tensor:
    return torch.arange(count)[:, None] % 2 + 1


def test_the_batch_size_does_not_show(generator: AutoregressiveGenerator) -> None:
    done: list[int] = []
    whole = sample_in_batches(generator, ids(7), SamplingOptions(seed=2), 7)
    parts = sample_in_batches(generator, ids(7), SamplingOptions(seed=2), 3, report=done.append)
    assert torch.equal(whole, parts)
    # After each of the six passes of a batch, what it amounts to in images.
    assert done == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 6, 6, 6, 6, 7]


class Small(AutoregressiveGenerator):
    """Has memory for two images."""

    def sample_sequence(self, condition: Tensor, *arguments: object, **named: object) -> Tensor:
        if len(condition) > 2:
            raise torch.OutOfMemoryError("no memory")
        return super().sample_sequence(condition, *arguments, **named)


@pytest.mark.parametrize(
    ("images", "batch", "enough"),
    [(7, 4, True), (7, 5, True), (7, 6, False), (4, 16, True), (7, 16, False)],
)
def test_a_full_memory_halves_the_batch_once_and_says_so(
    generator: AutoregressiveGenerator, images: int, batch: int, enough: bool
) -> None:
    small = Small(generator.condition, generator.source, dim=16, layers=1, heads=2, hidden=32)
    small.load_state_dict(generator.state_dict())
    said: list[str] = []
    if not enough:
        with pytest.raises(RegvqError, match="not enough memory to sample 3 images at once"):
            sample_in_batches(small, ids(images), SamplingOptions(), batch, notice=said.append)
    else:
        drawn = sample_in_batches(small, ids(images), SamplingOptions(), batch, notice=said.append)
        assert torch.equal(drawn, sample_in_batches(generator, ids(images), SamplingOptions(), images))
    assert said == [f"memory ran out: going on with {min(batch, images) // 2} images at once"]


def test_a_memory_that_decoding_fills_is_met_likewise(generator: AutoregressiveGenerator) -> None:
    def decode(codes: Tensor) -> Tensor:
        if len(codes) > 2:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:121] can't allocate memory: you tried to")
        return codes.float()

    said: list[str] = []
    drawn = sample_in_batches(generator, ids(4), SamplingOptions(), 16, finish=decode, notice=said.append)
    assert said == ["memory ran out: going on with 2 images at once"]
    assert torch.equal(drawn, sample_in_batches(generator, ids(4), SamplingOptions(), 4).float())


def test_other_errors_are_not_taken_for_a_full_memory(generator: AutoregressiveGenerator) -> None:
    with pytest.raises(RegvqError, match="temperature must be positive"):
        sample_in_batches(generator, ids(1), SamplingOptions(temperature=-1), 1)
