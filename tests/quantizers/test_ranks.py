"""Two gloo ranks learn what one process learns from the joined batch."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from regvq.quantizers import (
    CosineHead,
    EMACodebook,
    EMAVectorQuantizer,
    EuclideanHead,
    GradientCodebook,
    IdentityStraightThrough,
    LinearHead,
    Quantizer,
    RegularizedVectorQuantizer,
    SoftmaxStraightThrough,
    VectorQuantizer,
)
from tests.support.ranks import run_on_ranks

N, D, B, L = 16, 4, 6, 10
STEPS = 3

Result = dict[str, Tensor]


def _without_mask(head: type, straight_through: type, **options: float) -> Quantizer:
    # Every rank draws its own noise and no joined batch draws the same: only what draws none is compared.
    return RegularizedVectorQuantizer(
        N,
        D,
        mask_ratio=0.0,
        prior_weight=0.5,
        head=head(),
        codebook=GradientCodebook(init="normal"),
        straight_through=straight_through(),
        **options,
    )


CASES = {
    "paper's parts": lambda: _without_mask(LinearHead, SoftmaxStraightThrough),
    "cosine": lambda: _without_mask(CosineHead, SoftmaxStraightThrough),
    "Euclidean": lambda: _without_mask(EuclideanHead, IdentityStraightThrough),
    "running posterior": lambda: _without_mask(LinearHead, IdentityStraightThrough, posterior_momentum=0.9),
    "VQ": lambda: VectorQuantizer(N, D, init="normal"),
    "EMA": lambda: EMAVectorQuantizer(N, D, restart=0.0, init="normal"),
}


def _learn(quantizer: Quantizer, batches: list[Tensor], ranks: int) -> Result:
    """Trains under an encoder; gives losses, statistics, gradients and the last state."""
    encoder = torch.nn.Linear(D, D)
    model = torch.nn.ModuleDict({"encoder": encoder, "quantizer": quantizer})
    run = _Step(model)
    step = torch.nn.parallel.DistributedDataParallel(run) if ranks > 1 else run
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    result: Result = {}
    for number, batch in enumerate(batches):
        optimizer.zero_grad()
        loss, shown = step(batch)
        loss.backward()
        result |= {f"{number}/{name}": value.detach() for name, value in shown.items()}
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                result[f"{number}/gradient of {name}"] = parameter.grad.clone()
        optimizer.step()
    state = {f"state/{name}": value for name, value in model.state_dict().items()}
    return result | {name: value.clone() for name, value in state.items()}


class _Step(torch.nn.Module):
    def __init__(self, model: torch.nn.ModuleDict) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Tensor) -> tuple[Tensor, Result]:
        output = self.model["quantizer"](self.model["encoder"](batch).transpose(1, 2))
        loss = (output.quantized - 1).square().mean() + output.loss
        shown = {name: output.stats[name] for name in output.stats}
        if "prior" in output.losses:
            shown["prior"] = output.losses["prior"]
        return loss, shown


def _batches() -> list[Tensor]:
    return list(torch.randn(STEPS, B, L, D, generator=torch.Generator().manual_seed(7)))


def _build(name: str) -> Quantizer:
    torch.manual_seed(1)
    return CASES[name]().train()


def _on_a_rank(rank: int) -> dict[str, Result]:
    results = {}
    for name in CASES:
        half = slice(rank * B // 2, (rank + 1) * B // 2)
        results[name] = _learn(_build(name), [batch[half] for batch in _batches()], ranks=2)
    results["data start and restarts"] = _draws_of(rank)
    return results


def _draws_of(rank: int) -> Result:
    """What depends on chance: each rank has its own random stream and must still agree."""
    torch.manual_seed(100 + rank)
    quantizer = RegularizedVectorQuantizer(
        N, D, mask_ratio=0.5, codebook=EMACodebook(decay=0.5, restart=0.9, init="data")
    ).train()
    seen = []
    for _ in range(STEPS):
        z = torch.randn(2, D, L)
        seen.append(z.transpose(1, 2).reshape(-1, D))
        output = quantizer(z)
    quantizer.eval()
    local = quantizer(torch.randn(1 + rank, D, L))  # another size on each rank: eval talks to nobody
    return {
        "codebook": quantizer.codebook.clone(),
        "count": quantizer.embeddings.count.clone(),
        "variance": quantizer.head.variance.clone(),
        "usage": output.stats["usage"],
        "prior_kl": output.stats["prior_kl"],
        "latents": torch.cat(seen),
        "mask": output.stochastic_mask,
        "local usage": local.stats["usage"],
        "local most": torch.tensor(min(1.0, (1 + rank) * L / N)),
    }


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Result]]:
    folder: Path = tmp_path_factory.mktemp("ranks")
    return run_on_ranks(_on_a_rank, folder)


@pytest.mark.parametrize("name", CASES)
def test_two_ranks_learn_what_the_joined_batch_teaches(name: str, ranks: list[dict[str, Result]]) -> None:
    joined = _learn(_build(name), _batches(), ranks=1)
    for result in (ranks[0][name], ranks[1][name]):
        assert result.keys() == joined.keys()
        for key, value in joined.items():
            torch.testing.assert_close(
                result[key], value, rtol=1e-4, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}"
            )


def test_chance_agrees_where_it_must_and_differs_where_it_should(ranks: list[dict[str, Result]]) -> None:
    first, second = (rank["data start and restarts"] for rank in ranks)
    for shared in ("codebook", "count", "variance", "usage", "prior_kl"):
        assert torch.equal(first[shared], second[shared]), shared
    assert not torch.equal(first["mask"], second["mask"])


def test_a_restart_may_take_a_latent_of_any_rank(ranks: list[dict[str, Result]]) -> None:
    first, second = (rank["data start and restarts"] for rank in ranks)
    codebook = first["codebook"]
    for result in (first, second):
        assert (codebook[:, None] == result["latents"][None]).all(2).any()


def test_eval_counts_its_own_tokens_alone(ranks: list[dict[str, Result]]) -> None:
    for rank in ranks:
        result = rank["data start and restarts"]
        assert 0 < result["local usage"] <= result["local most"]
