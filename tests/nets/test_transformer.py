"""The transformers are stock ones."""

import torch

from regvq.nets import (
    TransformerSize,
    bidirectional_transformer,
    causal_transformer,
    hidden_states,
)


def test_hidden_states_are_those_of_the_stock_forward() -> None:
    torch.manual_seed(0)
    model = causal_transformer(TransformerSize(16, 2, 2, 32), vocabulary=11, length=9).model
    inputs = torch.randn(3, 9, 16)
    stock = model(inputs_embeds=inputs, use_cache=False).last_hidden_state
    assert torch.equal(hidden_states(model, inputs), stock)


def test_hidden_states_keep_to_what_may_be_seen() -> None:
    torch.manual_seed(0)
    model = bidirectional_transformer(TransformerSize(16, 2, 2, 32), vocabulary=11, length=9)
    inputs = torch.randn(3, 9, 16)
    seen = (torch.rand(9, 9) < 0.5) | torch.eye(9, dtype=torch.bool)
    stock = model(inputs_embeds=inputs, attention_mask=seen.expand(3, 1, 9, 9), use_cache=False)
    torch.testing.assert_close(hidden_states(model, inputs, seen[None, None]), stock.last_hidden_state)
    free = model(inputs_embeds=inputs, use_cache=False).last_hidden_state
    assert torch.equal(hidden_states(model, inputs), free)
    assert not torch.allclose(free, stock.last_hidden_state, atol=1e-2)
