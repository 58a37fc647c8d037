"""Quantizers of other packages on two gloo ranks: built before the ranks meet, or after."""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from regvq.quantizers import Quantizer
from regvq.quantizers.peers import PeerFSQ, PeerLFQ, PeerSimVQ, PeerVQ
from tests.quantizers.test_ranks import STEPS, B, D, L, N, Result, _batches, _learn
from tests.support.ranks import run_on_ranks

Results = dict[str, Result]

# Nothing here is drawn in a training step, so one process can repeat it with the joined batch.
CASES: dict[str, Callable[[], Quantizer]] = {
    "VQ": lambda: PeerVQ(N, D, kmeans_init=False, dead_code_threshold=0.0),
    "VQ, rotated": lambda: PeerVQ(N, D, kmeans_init=False, dead_code_threshold=0.0, rotation_trick=True),
    "SimVQ": lambda: PeerSimVQ(N, D),
    "FSQ": lambda: PeerFSQ(D, (4, 4)),
    "LFQ": lambda: PeerLFQ(2 * N, D),
    "LFQ without projection": lambda: PeerLFQ(N, D, entropy_weight=1.0, commitment=0.0),
}


def _build() -> dict[str, Quantizer]:
    quantizers = {}
    for name, make in CASES.items():
        torch.manual_seed(1)
        quantizers[name] = make().train()
    return quantizers


def _build_early() -> dict[str, Quantizer]:
    """Build, and let the package decide for this process that there are no other ranks."""
    quantizers = _build()
    importlib.import_module("vector_quantize_pytorch").VectorQuantize(D, N)
    PeerLFQ(N, D).train()(torch.randn(1, D, L))
    return quantizers


def _taught(quantizer: Quantizer, batches: list[Tensor], ranks: int) -> Result:
    torch.manual_seed(2)  # of the encoder
    return _learn(quantizer, batches, ranks)


def _on_a_rank(rank: int, early: dict[str, Quantizer]) -> dict[str, Results]:
    half = slice(rank * B // 2, (rank + 1) * B // 2)
    batches = [batch[half] for batch in _batches()]
    when = {"early": early, "late": _build()}
    found = {
        time: {name: _taught(quantizer, batches, ranks=2) for name, quantizer in quantizers.items()}
        for time, quantizers in when.items()
    }
    package = importlib.import_module("vector_quantize_pytorch.vector_quantize_pytorch")
    cached = torch.tensor(package.is_distributed())
    drawn = {"k-means": _draws_of(rank, N), "small batch": _draws_of(rank, 4 * N)}
    return {**found, "drawn": drawn, "package": {"": {"synchronizes": cached}}}


def _draws_of(rank: int, size: int) -> Result:
    """Train with a start and replacements that each rank would draw otherwise."""
    torch.manual_seed(100 + rank)
    quantizer = PeerVQ(size, D, decay=0.5, dead_code_threshold=0.9).train()
    for _ in range(STEPS):
        before, z = quantizer.codebook.clone(), torch.randn(2, D, L)
        output = quantizer(z)
    inner = quantizer.peer._codebook
    return {
        "codebook": quantizer.codebook.clone(),
        "count": inner.cluster_size.clone(),
        "sum": inner.embed_avg.clone(),
        "before": before,
        "latents": z.transpose(1, 2).reshape(-1, D),
        "codes": output.codes,
    }


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Results]]:
    folder: Path = tmp_path_factory.mktemp("ranks")
    return run_on_ranks(_on_a_rank, folder, before=_build_early)


@pytest.mark.parametrize("when", ["early", "late"])
@pytest.mark.parametrize("name", CASES)
def test_two_ranks_learn_what_the_joined_batch_teaches(
    name: str, when: str, ranks: list[dict[str, Results]]
) -> None:
    joined = _taught(_build()[name], _batches(), ranks=1)
    # LFQ's softmax has an inverse temperature of 100, which multiplies roundings.
    close = {"rtol": 1e-3, "atol": 1e-4} if "LFQ" in name else {"rtol": 1e-4, "atol": 1e-5}
    for result in (ranks[0][when][name], ranks[1][when][name]):
        assert result.keys() == joined.keys()
        for key, value in joined.items():
            torch.testing.assert_close(
                result[key], value, **close, msg=lambda text, key=key: f"{key}: {text}"
            )


def test_the_package_alone_would_not_have_synchronized(ranks: list[dict[str, Results]]) -> None:
    for rank in ranks:
        assert not rank["package"][""]["synchronizes"]


@pytest.mark.parametrize("case", ["k-means", "small batch"])
def test_ranks_start_and_replace_alike(case: str, ranks: list[dict[str, Results]]) -> None:
    first, second = (rank["drawn"][case] for rank in ranks)
    for shared in ("codebook", "count", "sum", "before"):
        assert torch.equal(first[shared], second[shared]), shared
    assert not torch.equal(first["codes"], second["codes"])


def test_a_replaced_code_may_be_a_latent_of_any_rank(ranks: list[dict[str, Results]]) -> None:
    for rank in ranks:
        result = rank["drawn"]["small batch"]
        assert (result["codebook"][:, None] == result["latents"][None]).all(2).any()


def test_the_entropy_of_one_process_is_the_package_s() -> None:
    torch.manual_seed(0)
    quantizer = PeerLFQ(N, 6).train()
    z = torch.randn(2, 10, 6, requires_grad=True)
    _, parts = quantizer.peer(z, return_loss_breakdown=True)
    ours = quantizer.batch_entropy(z)
    torch.testing.assert_close(ours, parts.batch_entropy)
    (theirs,) = torch.autograd.grad(parts.batch_entropy, z)
    (mine,) = torch.autograd.grad(ours, z)
    torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_one_process_calls_no_collective(name: str) -> None:
    """It would fail without a process group."""
    assert not torch.distributed.is_initialized()
    quantizer = _build()[name]
    assert isinstance(quantizer(torch.randn(2, D, L)).quantized, Tensor)


def test_a_process_alone_forgets_the_ranks_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    package = importlib.import_module("vector_quantize_pytorch.lookup_free_quantization")
    package.is_distributed.cache_clear()
    with monkeypatch.context() as ranks:
        ranks.setattr(torch.distributed, "is_initialized", lambda: True)
        ranks.setattr(torch.distributed, "get_world_size", lambda: 2)
        assert package.is_distributed()
    assert package.is_distributed()  # it keeps the answer
    PeerLFQ(N, D).train()(torch.randn(2, D, L))
    assert not package.is_distributed()
