"""The textbook quantizers against the formulas of their paper."""

import pytest
import torch

from regvq.quantizers import EMAVectorQuantizer, VectorQuantizer


def _one_dimensional(quantizer: VectorQuantizer) -> VectorQuantizer:
    with torch.no_grad():
        quantizer.embeddings.weight.copy_(torch.tensor([[0.0], [10.0]]))
    return quantizer


def test_nearest_neighbour_and_both_losses() -> None:
    quantizer = _one_dimensional(VectorQuantizer(2, 1, commitment=0.25, codebook_weight=1.0))
    z = torch.tensor([[[1.0, 9.0, 4.0, 7.0]]], requires_grad=True)
    output = quantizer(z)
    assert output.codes.tolist() == [[0, 1, 0, 1]]
    assert output.quantized.tolist() == [[[0.0, 10.0, 0.0, 10.0]]]
    error = (1 + 1 + 16 + 9) / 4
    assert output.losses["commitment"].item() == pytest.approx(0.25 * error)
    assert output.losses["codebook"].item() == pytest.approx(error)
    assert output.perturbation is None
    assert output.stochastic_mask is None


def test_gradients_of_latents_and_codebook() -> None:
    quantizer = _one_dimensional(VectorQuantizer(2, 1, commitment=0.25, codebook_weight=1.0))
    z = torch.tensor([[[1.0, 9.0, 4.0, 7.0]]], requires_grad=True)
    output = quantizer(z)
    (3 * output.quantized.sum() + output.loss).backward()
    assert z.grad is not None
    # 3 straight through, and 0.25 * 2 * (z - e) / 4
    torch.testing.assert_close(z.grad, torch.tensor([[[3.125, 2.875, 3.5, 2.625]]]))
    # 2 * sum over the code's tokens of (e - z) / 4
    expected = torch.tensor([[-(1 + 4) / 2], [(1 + 3) / 2]])
    torch.testing.assert_close(quantizer.embeddings.weight.grad, expected)


def test_logits_are_the_distances_over_twice_the_running_error() -> None:
    quantizer = _one_dimensional(VectorQuantizer(2, 1))
    quantizer(torch.tensor([[[2.0, 8.0]]]))  # mean squared error 4
    logits = quantizer.token_logits(torch.tensor([[[4.0]]]))
    torch.testing.assert_close(logits, torch.tensor([[[-16 / 8], [-36 / 8]]]))


def test_an_ema_codebook_finds_the_clusters() -> None:
    centres = 10 * torch.eye(4)
    quantizer = EMAVectorQuantizer(16, 4, decay=0.8).train()
    for _ in range(100):
        members = torch.randint(4, (2, 32))
        quantizer((centres[members] + 0.1 * torch.randn(2, 32, 4)).transpose(1, 2))
    distance = torch.cdist(centres, quantizer.codebook)
    assert distance.amin(1).max() < 0.2  # no cluster is left without a code ...
    assert distance.amin(0).max() < 0.5  # ... and no code away from all clusters
    assert not list(quantizer.parameters())
