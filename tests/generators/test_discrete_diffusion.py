"""What is particular to the diffusion generator."""

from dataclasses import replace

import pytest
import torch

from regvq.conditions import ClassLabel
from regvq.generators import UNKNOWN, DiscreteDiffusionGenerator
from tests.contracts.test_generators import SOURCE, WAYS, codes_of


@pytest.mark.parametrize("way", WAYS)
def test_where_codes_are_only_masked_no_mask_is_left(way: str) -> None:
    """A truncated prediction may exclude the very code that is there: it stays."""
    torch.manual_seed(0)
    generator = DiscreteDiffusionGenerator(
        ClassLabel(["a"]), SOURCE, dim=32, layers=2, heads=2, hidden=64, transition="absorbing"
    )
    torch.nn.init.normal_(generator.head.weight)  # sure of itself, and often of something new
    known = codes_of(4)
    known[:, :2] = UNKNOWN
    drawn = generator.sample(None, 4, replace(WAYS[way], top_k=1), known)
    assert drawn.max() < SOURCE.codebook_size
    assert torch.equal(drawn[:, 2:], known[:, 2:])
