"""Two optimizers as one: the same steps as each of them alone, and the same after a restart."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.optim import AdamW, Muon
from torch.optim.lr_scheduler import LambdaLR

from regvq.errors import RegvqError
from regvq.nets import TransformerBlock, TransformerSize, causal_transformer
from regvq.training.muon import MuonAdamW, MuonOptions, split_matrices

ADAMW = {"learning_rate": 0.01, "betas": (0.9, 0.95), "weight_decay": 0.2}


def network() -> nn.Module:
    torch.manual_seed(0)
    return causal_transformer(TransformerSize(dim=16, layers=2, heads=2, hidden=32), 10, 8)


def lower(model: nn.Module, number: int) -> None:
    """Gradients of some loss, another one at every step."""
    model.zero_grad()
    ids = torch.randint(10, (4, 8), generator=torch.Generator().manual_seed(number))
    model(input_ids=ids, labels=ids).loss.backward()


def joined(model: nn.Module) -> MuonAdamW:
    return MuonAdamW(*split_matrices(model, TransformerBlock), MuonOptions(0.02, 0.1), **ADAMW)


def test_the_matrices_are_those_inside_the_blocks() -> None:
    model = network()
    matrices, others = split_matrices(model, TransformerBlock)
    assert {id(one) for one in (*matrices, *others)} == {id(one) for one in model.parameters()}
    assert len(matrices) == 2 * 7  # query, key, value, output; gate, up, down
    names = {name for name, one in model.named_parameters() if any(one is other for other in others)}
    assert {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"} <= names


def test_the_steps_are_those_of_the_two_alone() -> None:
    model, reference = network(), network()
    matrices, others = split_matrices(reference, TransformerBlock)
    apart = (
        AdamW(others, lr=0.01, betas=(0.9, 0.95), weight_decay=0.2),
        Muon(matrices, lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    )
    optimizer = joined(model)
    schedule = LambdaLR(optimizer, lambda step: 1 / (step + 1))
    for step in range(4):
        lower(model, step)
        lower(reference, step)
        assert float(optimizer.step(lambda: torch.tensor(3.0))) == 3
        for part, rate in zip(apart, (0.01, 0.02), strict=True):
            part.step()
            part.param_groups[0]["lr"] = rate / (step + 2)
        schedule.step()
    for one, other in zip(model.parameters(), reference.parameters(), strict=True):
        assert torch.equal(one, other)


def test_restored_it_goes_on_bit_for_bit() -> None:
    model = network()
    optimizer = joined(model)
    for step in range(3):
        lower(model, step)
        optimizer.step()
    again = network()
    again.load_state_dict(model.state_dict())
    restored = joined(again)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for group in (*optimizer.param_groups, *restored.param_groups):
        group["lr"] = 0.01  # as a scheduler does after a restart
    for each, its in ((model, optimizer), (again, restored)):
        lower(each, 7)
        its.step()
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_gradients_are_forgotten_in_both() -> None:
    model = network()
    lower(model, 0)
    joined(model).zero_grad()
    assert all(one.grad is None for one in model.parameters())


def test_a_matrix_s_step_has_the_size_of_adamw_s() -> None:
    model = network()
    before = [one.detach().clone() for one in split_matrices(model, TransformerBlock)[0]]
    lower(model, 0)
    optimizer = MuonAdamW(*split_matrices(model, TransformerBlock), MuonOptions(0.02, 0.0), **ADAMW)
    optimizer.step()
    for old, new in zip(before, split_matrices(model, TransformerBlock)[0], strict=True):
        # An orthogonal step times 0.2 sqrt(max(rows, columns)) has the mean size 0.2. Five iterations
        # leave singular values of 0.7 to 1.2, and the gradient of 32 tokens need not have full rank.
        assert 0.1 < (new.detach() - old).square().mean().sqrt() / 0.02 < 0.25


@pytest.mark.parametrize(
    "options",
    [{"learning_rate": 0.0}, {"weight_decay": -1.0}, {"momentum": 1.0}, {"learning_rate": math.nan}],
)
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(RegvqError, match="muon needs"):
        MuonOptions(**options)
