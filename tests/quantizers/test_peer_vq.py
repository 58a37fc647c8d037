"""The EMA codebook of vector-quantize-pytorch: its start, its dead codes, its quotient."""

import copy

import pytest
import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.quantizers.peers import PeerVQ
from regvq.training.averaging import AveragedModel


def one_token_a_code(quantizer: PeerVQ, repeats: int) -> Tensor:
    """Return latents ``[1, D, N * repeats]`` that hold every row of the codebook as often."""
    return quantizer.codebook.repeat(repeats, 1).T[None].clone()


def with_counts(size: int, scale: float, threshold: float) -> PeerVQ:
    """Return a quantizer whose 1,024 codes have EMA counts of 1.5, 1 and 0.2 times ``scale``."""
    torch.manual_seed(0)
    quantizer = PeerVQ(size, 4, kmeans_init=False, dead_code_threshold=threshold).train()
    counts = torch.ones(size)
    counts[:256], counts[-160:] = 1.5, 0.2
    inner = quantizer.peer._codebook
    inner.cluster_size.copy_(scale * counts)
    inner.embed_avg.copy_(inner.embed * inner.cluster_size[..., None])
    return quantizer


@pytest.mark.parametrize("repeats", [1, 4])
def test_dead_codes_have_less_than_a_share_of_the_mean_count(repeats: int) -> None:
    """256 x 1.5 + 608 x 1 + 160 x 0.2 = 1,024 tokens: a mean count of 1, and half of it is the threshold.

    After a step with one token a code the counts are 1.495, 1 and 0.208: the 160 last ones are replaced,
    with four times the tokens as well.
    """
    quantizer = with_counts(1024, repeats, threshold=0.5)
    quantizer(one_token_a_code(quantizer, repeats))
    inner = quantizer.peer._codebook
    torch.testing.assert_close(inner.cluster_size[0, 0], torch.tensor(1.495 * repeats))
    torch.testing.assert_close(inner.cluster_size[0, 300], torch.tensor(1.0 * repeats))
    # What is replaced has the count of the threshold, as the package resets it.
    torch.testing.assert_close(inner.cluster_size[0, -160:], torch.full((160,), 0.5 * repeats))


def test_a_threshold_of_zero_replaces_nothing() -> None:
    quantizer = with_counts(1024, 1, threshold=0.0)
    quantizer(one_token_a_code(quantizer, 1))
    torch.testing.assert_close(
        quantizer.peer._codebook.cluster_size[0, -160:], torch.full((160,), 0.99 * 0.2 + 0.01)
    )
    with pytest.raises(RegvqError, match="dead_code_threshold"):
        PeerVQ(16, 4, dead_code_threshold=-1.0)


def test_few_codes_are_replaced_where_a_step_has_a_token_a_code() -> None:
    torch.manual_seed(0)
    quantizer = PeerVQ(1024, 8).train()
    quantizer(torch.randn(4, 8, 256))  # starts the codebook
    for _ in range(3):
        before = quantizer.codebook.clone()
        z = torch.randn(4, 8, 256)
        quantizer(z)
        rows = z.transpose(1, 2).flatten(0, 1)
        now = quantizer.codebook
        on_latents = (torch.cdist(now, rows).amin(1) < 1e-6) & (now != before).any(1)
        assert on_latents.sum() <= 10


def test_the_recomputed_codebook_is_the_package_s() -> None:
    torch.manual_seed(0)
    quantizer = PeerVQ(16, 4, dead_code_threshold=0.0, decay=0.9, kmeans_init=False).train()
    with torch.no_grad():
        quantizer.peer._codebook.embed[:, 8:] += 100  # never the nearest
        quantizer.peer._codebook.embed_avg[:, 8:] += 100
    for _ in range(120):  # counts without tokens fall to 1e-6, less than what smoothing adds
        quantizer(torch.randn(2, 4, 8))
    assert quantizer.peer._codebook.cluster_size[0, 8:].max() < 1e-5
    trained = quantizer.codebook.clone()
    quantizer.derive()
    assert torch.equal(quantizer.codebook, trained)
    averaged = AveragedModel(quantizer, 0.99)
    averaged.update(quantizer)
    assert torch.equal(averaged.model.codebook, trained)


def test_a_first_batch_smaller_than_the_codebook_starts_every_code_near_latents() -> None:
    torch.manual_seed(0)
    quantizer = PeerVQ(64, 4).train()
    z = 5 + torch.randn(1, 4, 24)
    with pytest.warns(UserWarning, match="24 distinct latents for 64 codes"):
        output = quantizer(z)
    quantizer(z)  # a second warning would be an error
    assert torch.equal(output.quantized, z)  # each latent has a code of its own
    codebook, rows = quantizer.codebook, z[0].T
    assert len(codebook.unique(dim=0)) == 64
    assert torch.cdist(codebook, rows).amin(1).max() < rows.std(0).norm()


def test_repeated_latents_are_one() -> None:
    torch.manual_seed(0)
    quantizer = PeerVQ(8, 4).train()
    few = torch.randn(3, 4)
    with pytest.warns(UserWarning, match="3 distinct latents for 8 codes"):
        quantizer(few.repeat(30, 1).T[None])
    assert len(quantizer.codebook.unique(dim=0)) == 8


def test_a_start_leaves_no_code_at_zero() -> None:
    torch.manual_seed(0)
    quantizer = PeerVQ(64, 4, dead_code_threshold=0.0).train()
    # Two tight groups far apart: k-means leaves most codes without latents.
    z = torch.cat([torch.randn(1, 4, 66) * 1e-3 + 9, torch.randn(1, 4, 66) * 1e-3 - 9], dim=2)
    quantizer(z)
    assert quantizer.codebook.norm(dim=1).min() > 1


@pytest.mark.parametrize("training", [True, False])
def test_losses_are_no_buffers(training: bool) -> None:
    quantizer = PeerVQ(16, 4, commitment=0.0).train()
    quantizer(torch.randn(2, 4, 16))
    quantizer.train(training)
    output = quantizer(torch.randn(2, 4, 16))
    with torch.no_grad():
        for value in (*output.losses.values(), output.loss):
            value += 1
    assert quantizer.peer.zero == 0


def test_a_copy_trains_as_the_original() -> None:
    torch.manual_seed(0)
    quantizer = PeerVQ(16, 4).train()
    quantizer(torch.randn(2, 4, 16))
    twin, z = copy.deepcopy(quantizer), torch.randn(2, 4, 16)
    torch.manual_seed(1)
    one = quantizer(z)
    torch.manual_seed(1)
    assert torch.equal(twin(z).quantized, one.quantized)
