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
    assert done == [3, 6, 7]


class Small(AutoregressiveGenerator):
    """Has memory for two images."""

    def sample_sequence(self, condition: Tensor, *arguments: object, **named: object) -> Tensor:
        if len(condition) > 2:
            raise torch.OutOfMemoryError("no memory")
        return super().sample_sequence(condition, *arguments, **named)


@pytest.mark.parametrize(("batch", "enough"), [(4, True), (5, True), (6, False)])
def test_a_full_memory_halves_the_batch_once_and_says_so(
    generator: AutoregressiveGenerator, batch: int, enough: bool
) -> None:
    small = Small(generator.condition, generator.source, dim=16, layers=1, heads=2, hidden=32)
    small.load_state_dict(generator.state_dict())
    said: list[str] = []
    if not enough:
        with pytest.raises(RegvqError, match="not enough memory to sample 3 images at once"):
            sample_in_batches(small, ids(7), SamplingOptions(), batch, notice=said.append)
    else:
        drawn = sample_in_batches(small, ids(7), SamplingOptions(), batch, notice=said.append)
        assert torch.equal(drawn, sample_in_batches(generator, ids(7), SamplingOptions(), 7))
    assert said == [f"memory ran out: going on with {batch // 2} images at once"]


def test_other_errors_are_not_taken_for_a_full_memory(generator: AutoregressiveGenerator) -> None:
    with pytest.raises(RegvqError, match="temperature must be positive"):
        sample_in_batches(generator, ids(1), SamplingOptions(temperature=-1), 1)
