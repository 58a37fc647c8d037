"""The closed forms against dense matrices, and the bound against a distribution that can be enumerated."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from regvq.generators.diffusion_math import (
    DiffusionSchedule,
    absorbing,
    bound_term,
    mask_and_replace,
    q_posterior,
    q_pred,
)

SIZE, STEPS = 5, 7
SCHEDULES = {
    "mask and replace": mask_and_replace(STEPS, SIZE),
    "absorbing": absorbing(STEPS, SIZE),
    "replace only": mask_and_replace(STEPS, SIZE, final_mask=0.0),
}


def step_matrix(schedule: DiffusionSchedule, t: int) -> Tensor:
    """``[N + 1, N + 1]``, column ``j`` the distribution at ``t`` of what was ``j`` at ``t - 1``."""
    alpha = schedule.kept[t] / schedule.kept[t - 1]
    gamma = 1 - (1 - schedule.masked[t]) / (1 - schedule.masked[t - 1])
    beta = (1 - alpha - gamma) / SIZE
    matrix = torch.zeros(SIZE + 1, SIZE + 1, dtype=torch.float64)
    matrix[:SIZE, :SIZE] = beta
    matrix[range(SIZE), range(SIZE)] += alpha
    matrix[SIZE, :SIZE] = gamma
    matrix[SIZE, SIZE] = 1
    return matrix


def matrix_between(schedule: DiffusionSchedule, s: int, t: int) -> Tensor:
    """The product of the steps from ``s`` to ``t``."""
    result = torch.eye(SIZE + 1, dtype=torch.float64)
    for step in range(s + 1, t + 1):
        result = step_matrix(schedule, step) @ result
    return result


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_step_is_a_distribution_and_the_chain_forgets(name: str) -> None:
    schedule = SCHEDULES[name]
    for t in range(1, STEPS + 1):
        matrix = step_matrix(schedule, t)
        assert (matrix >= -1e-15).all()
        assert torch.allclose(matrix.sum(0), torch.ones(SIZE + 1, dtype=torch.float64))
    end = matrix_between(schedule, 0, STEPS)[:, :SIZE]
    assert torch.allclose(end, end[:, :1].expand(-1, SIZE), atol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_q_pred_is_a_column_of_the_product(name: str) -> None:
    schedule = SCHEDULES[name]
    x_0 = torch.arange(SIZE)[None]
    for t in range(STEPS + 1):
        dense = matrix_between(schedule, 0, t)[:, :SIZE].T.float()
        assert torch.allclose(q_pred(x_0, schedule, torch.tensor([t]))[0], dense, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("stride", [1, 3])
def test_q_posterior_is_bayes_rule_on_matrices(name: str, stride: int) -> None:
    schedule = SCHEDULES[name]
    generator = torch.Generator().manual_seed(0)
    for t in range(stride, STEPS + 1):
        s = t - stride
        forward = matrix_between(schedule, s, t)
        from_start, until_t = matrix_between(schedule, 0, s), matrix_between(schedule, 0, t)
        for x_t in range(SIZE + 1):
            p_x_0 = torch.rand(SIZE, generator=generator, dtype=torch.float64)
            p_x_0 = p_x_0 / p_x_0.sum()
            dense = torch.zeros(SIZE + 1, dtype=torch.float64)
            for k in range(SIZE):
                if until_t[x_t, k] > 1e-14:
                    dense += p_x_0[k] * forward[x_t] * from_start[:, k] / until_t[x_t, k]
            if dense.sum() == 0:
                continue  # this state cannot occur
            dense = dense / dense.sum()
            mine = q_posterior(
                torch.tensor([[x_t]]),
                p_x_0.float()[None, None],
                schedule,
                torch.tensor([t]),
                torch.tensor([s]),
            )
            assert torch.allclose(mine[0, 0], dense.float(), rtol=0, atol=1e-6), (t, x_t)


@pytest.mark.parametrize("name", SCHEDULES)
def test_at_time_zero_nothing_is_masked(name: str) -> None:
    p_x_0 = torch.full((1, 1, SIZE), 1 / SIZE)
    posterior = q_posterior(
        torch.tensor([[0 if name == "replace only" else SIZE]]),
        p_x_0,
        SCHEDULES[name],
        torch.tensor([STEPS]),
        torch.tensor([0]),
    )
    assert float(posterior[0, 0, SIZE]) == 0


@pytest.mark.parametrize("name", ["mask and replace", "absorbing"])
@pytest.mark.parametrize("right", [False, True], ids=["a wrong model", "the right model"])
def test_the_bound_is_never_below_the_entropy(name: str, right: bool) -> None:
    """Two tokens that mostly agree; every state of every time is enumerated, nothing is drawn."""
    schedule = SCHEDULES[name]
    joint = torch.eye(SIZE, dtype=torch.float64) * 0.16 + 0.2 / SIZE**2
    joint = joint / joint.sum()
    entropy = float(-(joint * joint.log()).sum())
    pairs = torch.tensor(list(itertools.product(range(SIZE), repeat=2)))
    states = torch.tensor(list(itertools.product(range(SIZE + 1), repeat=2)))
    bound = 0.0
    for t in range(1, STEPS + 1):
        time = torch.tensor([t])
        single = matrix_between(schedule, 0, t)[:, :SIZE]
        # q(x_t | x_0) of both tokens: [pairs, states].
        likelihood = single[states[:, 0]][:, pairs[:, 0]].T * single[states[:, 1]][:, pairs[:, 1]].T
        weight = joint.flatten()[:, None] * likelihood
        if right:
            posterior = weight / weight.sum(0).clamp_min(1e-300)
            table = posterior.T.reshape(-1, SIZE, SIZE)
            p_x_0 = torch.stack([table.sum(2), table.sum(1)], dim=1)
        else:
            p_x_0 = torch.rand(
                len(states), 2, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(t)
            )
            p_x_0 = p_x_0 / p_x_0.sum(-1, keepdim=True)
        for pair, row in zip(pairs, weight, strict=True):
            possible = row > 0
            count = int(possible.sum())
            term = bound_term(
                pair.expand(count, 2),
                states[possible],
                p_x_0[possible].float(),
                schedule,
                time.expand(count),
            )
            bound += float((row[possible] * term.sum(1).double()).sum())
    assert bound >= entropy - 1e-6
    independent = 2 * math.log(SIZE)
    assert (bound < independent) == right


def test_the_bound_of_one_step_is_the_cross_entropy_of_the_masked() -> None:
    schedule = absorbing(1, SIZE)
    p_x_0 = torch.tensor([[[0.1, 0.2, 0.3, 0.15, 0.25]]])
    term = bound_term(torch.tensor([[2]]), torch.tensor([[SIZE]]), p_x_0, schedule, torch.tensor([1]))
    assert float(term) == pytest.approx(-math.log(0.3), abs=1e-6)


def test_a_code_that_a_truncated_prediction_excludes_stays_where_nothing_is_replaced() -> None:
    schedule = absorbing(10, 3)
    p_x_0 = torch.tensor([[[0.0, 1.0, 0.0]]])
    posterior = q_posterior(torch.tensor([[2]]), p_x_0, schedule, torch.tensor([5]), torch.tensor([4]))
    assert posterior.tolist() == [[[0.0, 0.0, 1.0, 0.0]]]
