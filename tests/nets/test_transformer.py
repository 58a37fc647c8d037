"""The transformers are stock ones."""

import torch

from regvq.nets import TransformerSize, causal_transformer, hidden_states


def test_hidden_states_are_those_of_the_stock_forward() -> None:
    torch.manual_seed(0)
    model = causal_transformer(TransformerSize(16, 2, 2, 32), vocabulary=11, length=9).model
    ids = torch.randint(11, (3, 9))
    assert torch.equal(hidden_states(model, ids), model(input_ids=ids, use_cache=False).last_hidden_state)
