"""DiVeQ and NSVQ: training is the packages' own, eval is their hard inference, replacement is shared."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.quantizers.peers import PeerDiVeQ, PeerNSVQ
from tests.support.ranks import run_on_ranks

DIM, SIZE = 6, 32
BOTH = pytest.mark.parametrize("cls", [PeerDiVeQ, PeerNSVQ])
Noisy = type[PeerDiVeQ] | type[PeerNSVQ]


def latents(batch: int = 8) -> Tensor:
    return torch.randn(batch, DIM, 12)


def trained(cls: Noisy, **options: object) -> PeerDiVeQ | PeerNSVQ:
    torch.manual_seed(0)
    quantizer = cls(SIZE, DIM, **options).train()
    for _ in range(3):
        quantizer(latents())
    return quantizer


@BOTH
def test_encoding_is_the_package_s_inference(cls: Noisy) -> None:
    quantizer = trained(cls).eval()
    z = latents()
    hard, indices, _ = quantizer.peer.inference(z.transpose(1, 2).flatten(0, 1))
    assert torch.equal(quantizer.encode(z).flatten(), indices)
    assert torch.equal(quantizer(z).quantized.transpose(1, 2).flatten(0, 1), hard)


@BOTH
def test_a_training_step_is_the_package_s(cls: Noisy) -> None:
    quantizer, twin = trained(cls), trained(cls)
    z = latents().requires_grad_()
    other = z.detach().clone().requires_grad_()
    torch.manual_seed(1)
    output = quantizer(z)
    output.quantized.square().sum().backward()
    twin.peer.codebook_reset = True  # as the package counts by itself
    torch.manual_seed(1)
    torch.randint(2**62, ())  # the number of the pass
    quantized, indices, _ = twin.peer(other.transpose(1, 2).flatten(0, 1))
    quantized.square().sum().backward()
    assert torch.equal(output.quantized, quantized.view(8, 12, DIM).transpose(1, 2))
    assert torch.equal(output.codes.flatten(), indices)
    assert output.losses == {}
    torch.testing.assert_close(z.grad, other.grad)
    torch.testing.assert_close(quantizer.peer.codebook.grad, twin.peer.codebook.grad)
    for name, value in quantizer.peer.state_dict().items():
        assert torch.equal(value, twin.peer.state_dict()[name]), name


@BOTH
def test_the_codebook_starts_on_distinct_latents(cls: Noisy) -> None:
    torch.manual_seed(0)
    z, quantizer = latents(), cls(SIZE, DIM).train()
    quantizer(z)
    rows = z.transpose(1, 2).flatten(0, 1)
    assert (quantizer.codebook[:, None] == rows[None]).all(2).any(1).all()
    assert len(quantizer.codebook.unique(dim=0)) == SIZE


@BOTH
def test_a_small_first_batch_starts_all_codes_near_latents_and_says_so(cls: Noisy) -> None:
    torch.manual_seed(0)
    z, quantizer = 5 + latents(batch=1), cls(SIZE, DIM).train()
    with pytest.warns(UserWarning, match="12 distinct latents for 32 codes"):
        quantizer(z)
    rows = z.transpose(1, 2).flatten(0, 1)
    assert len(quantizer.codebook.unique(dim=0)) == SIZE
    # Noise of a tenth of the spread in each of six channels: 0.24 of it on average.
    nearest = torch.cdist(quantizer.codebook, rows).amin(1)
    assert nearest.max() < rows.std()


@BOTH
def test_the_package_s_start_can_be_kept(cls: Noisy) -> None:
    torch.manual_seed(0)
    quantizer = cls(SIZE, DIM, init="package").train()
    before = quantizer.codebook.clone()
    quantizer(latents())
    assert torch.equal(quantizer.codebook, before)
    assert 0 <= before.min() <= before.max() <= 1 / SIZE


@BOTH
def test_unused_codes_are_replaced_at_the_interval_s_end_in_training_alone(cls: Noisy) -> None:
    torch.manual_seed(0)
    quantizer = cls(SIZE, DIM, replacement_iters=4, discard_threshold=0.5).train()
    quantizer(latents())
    with torch.no_grad():
        quantizer.peer.codebook[20:] += 100  # out of reach of all latents
    for _ in range(3):
        quantizer(latents())
    assert quantizer.peer.codebook_usage[20:].max() <= 1  # of the first step
    quantizer.eval()
    for _ in range(5):
        quantizer(latents())
    assert quantizer.codebook[20:].min() > 50
    assert int(quantizer.peer.iter_counter) == 4
    quantizer.train()(latents())
    assert quantizer.codebook.max() < 50
    # The usage begins anew: no code was used in more than this one step.
    assert quantizer.peer.codebook_usage.max() == 1


@BOTH
def test_a_step_can_be_replayed_from_its_buffers(cls: Noisy) -> None:
    """As activation checkpointing does: buffers and random state are put back, parameters are not."""
    torch.manual_seed(0)
    quantizer = cls(SIZE, DIM, replacement_iters=2, discard_threshold=0.9).train()
    for _ in range(5):  # the first step starts the codebook, the third and the fifth replace codes
        z = latents()
        buffers, state = {k: v.clone() for k, v in quantizer.named_buffers()}, torch.get_rng_state()
        first = quantizer(z)
        for name, value in quantizer.named_buffers():
            value.copy_(buffers[name])
        torch.set_rng_state(state)
        again = quantizer(z)
        assert torch.equal(first.codes, again.codes)
        assert torch.equal(first.quantized, again.quantized)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"replacement_iters": -1}, "replacement_iters"),
        ({"discard_threshold": 1.5}, "discard_threshold"),
        ({"perturb_eps": -1.0}, "perturb_eps"),
        ({"init": "uniform"}, "init"),
    ],
)
@BOTH
def test_arguments_out_of_range_are_named(cls: Noisy, options: dict[str, object], said: str) -> None:
    with pytest.raises(RegvqError, match=said):
        cls(SIZE, DIM, **options)


def test_noise_must_be_positive() -> None:
    with pytest.raises(RegvqError, match="noise_std"):
        PeerDiVeQ(SIZE, DIM, noise_std=0.0)


@pytest.mark.parametrize(("cls", "package"), [(PeerDiVeQ, "diveq"), (PeerNSVQ, "nsvq")])
def test_without_the_package_it_is_a_sentence(
    cls: Noisy, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RegvqError, match=rf"package {package}: pip install 'regvq\[peers\]'"):
        cls(SIZE, DIM)


def _on_a_rank(rank: int) -> dict[str, dict[str, Tensor]]:
    """Train on other latents and other random draws on each rank."""
    results = {}
    for cls in (PeerDiVeQ, PeerNSVQ):
        torch.manual_seed(100 + rank)
        quantizer = cls(SIZE, DIM, replacement_iters=2, discard_threshold=0.9).train()
        quantizer(latents(batch=2))  # 24 latents a rank, 48 of both: enough for 32 codes
        start = quantizer.codebook.detach().clone()
        for _ in range(2):  # the second of these replaces codes
            quantizer(latents(batch=1))
        results[cls.__name__] = {
            "start": start,
            "codebook": quantizer.codebook.detach().clone(),
            "usage": quantizer.peer.codebook_usage.clone(),
            "codes": quantizer(latents(batch=1)).codes,
        }
    return results


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    folder: Path = tmp_path_factory.mktemp("ranks")
    return run_on_ranks(_on_a_rank, folder)


@BOTH
def test_ranks_start_and_replace_alike(cls: Noisy, ranks: list[dict[str, dict[str, Tensor]]]) -> None:
    first, second = (rank[cls.__name__] for rank in ranks)
    assert torch.equal(first["start"], second["start"])
    assert torch.equal(first["codebook"], second["codebook"])
    assert torch.equal(first["usage"], second["usage"])
    assert not torch.equal(first["codebook"], first["start"])  # some were replaced
    assert not torch.equal(first["codes"], second["codes"])
