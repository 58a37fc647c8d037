"""Where matrices stand for the fused kernel, both attend to the same."""

from collections.abc import Callable
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaAttention

from regvq.nets import attention
from regvq.nets.attention import ATTENTION, attend

HALF = 2.0**-8
"""What bfloat16 rounds to, relatively."""


def layer(causal: bool) -> nn.Module:
    config = LlamaConfig(hidden_size=16, num_attention_heads=2, num_key_value_heads=2)
    made = LlamaAttention(config, layer_idx=0)
    made.is_causal = causal
    return made


def sides(dtype: torch.dtype = torch.bfloat16, places: int = 12) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(3, 2, places, 8, generator=generator) for _ in range(3)]
    return [value.to(dtype).requires_grad_() for value in made]


def written_out(call: Callable[[], object]) -> bool:
    """Whether the matrix of weights is formed."""
    with patch.object(
        attention, "eager_attention_forward", wraps=attention.eager_attention_forward
    ) as matrices:
        call()
    return bool(matrices.called)


SEEN = (torch.rand(12, 12, generator=torch.Generator().manual_seed(1)) < 0.5) | torch.eye(
    12, dtype=torch.bool
)


@pytest.mark.parametrize(("causal", "seen"), [(True, None), (False, None), (False, SEEN[None, None])])
def test_matrices_attend_like_the_fused_kernel(causal: bool, seen: Tensor | None) -> None:
    module, given = layer(causal), sides()
    result, weights = attend(module, *given, seen, scaling=8**-0.5)
    assert weights is not None
    result.float().square().sum().backward()
    # In float32 the same numbers go through the fused kernel.
    exact = [value.detach().float().requires_grad_() for value in given]
    expected, weights = attend(module, *exact, seen, scaling=8**-0.5)
    assert weights is None
    expected.square().sum().backward()
    # Scores, weights and results are each rounded once, gradients twice as often.
    torch.testing.assert_close(result.float(), expected, rtol=0, atol=4 * HALF)
    for mine, its in zip(given, exact, strict=True):
        scale = float(its.grad.abs().max())
        torch.testing.assert_close(mine.grad.float(), its.grad, rtol=0, atol=8 * HALF * scale)


def test_matrices_are_for_training_in_half_precision_on_short_sequences() -> None:
    module = layer(causal=True)

    def call(*given: Tensor) -> Callable[[], object]:
        return lambda: attend(module, *given, None, scaling=1.0)

    assert written_out(call(*sides()))
    assert not written_out(call(*sides(torch.float32)))
    assert not written_out(call(*sides(places=513)))
    query, key, value = sides()
    assert not written_out(call(query[:, :, -1:], key, value))
    with torch.no_grad():
        assert not written_out(call(*sides()))
    with patch.object(attention, "_MOST_SCORES", 3 * 2 * 12 * 12 - 1):
        assert not written_out(call(*sides()))
    with torch.autocast("cpu", torch.bfloat16):
        assert written_out(call(*sides(torch.float32)))


def test_the_name_is_no_part_of_a_saved_configuration() -> None:
    config = LlamaConfig(attn_implementation=ATTENTION)
    assert config._attn_implementation == ATTENTION
    assert ATTENTION not in config.to_json_string()
