"""Sampled tokens: the share is reached, the noise is shared, and what cannot be is said."""

import pytest
import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.evaluation.sampled_tokens import (
    TOLERANCE,
    TemperatureSearch,
    decode_sampled,
    draw,
    sampled_tokens,
)
from regvq.evaluation.tokenizer import evaluate_tokenizer
from regvq.nets import IdentityBackbone, OfflineFeatures
from regvq.quantizers import EMAVectorQuantizer, GumbelQuantizer, Quantizer, VectorQuantizer
from regvq.tokenizers import ImageTokenizer
from regvq.types import QuantizerOutput


class Given(Quantizer):
    """Latents are the logits: a test says what they are."""

    def __init__(self, codebook_size: int) -> None:
        super().__init__(codebook_size, codebook_size)

    @property
    def codebook(self) -> Tensor:
        return torch.eye(self.codebook_size)

    def quantize(self, tokens: Tensor) -> QuantizerOutput:
        best = tokens.argmax(2)
        return QuantizerOutput(self.codebook[best], best, best)

    def logits(self, tokens: Tensor) -> Tensor:
        return tokens


@pytest.fixture
def images() -> Tensor:
    return torch.rand(48, 3, 16, 16) * 2 - 1


@pytest.fixture
def tokenizer(images: Tensor) -> ImageTokenizer:
    # No network and no projection: the nearest code is the one whose pixels are nearest.
    tokenizer = ImageTokenizer(IdentityBackbone(4), EMAVectorQuantizer(32, 48))
    for projection in (tokenizer.quant_conv, tokenizer.post_quant_conv):
        torch.nn.init.dirac_(projection.weight)
        torch.nn.init.zeros_(projection.bias)
    tokenizer(images)
    return tokenizer.eval()


def test_two_codes_against_the_closed_form() -> None:
    # One code is better by 3 everywhere: the other is drawn with probability 1 / (1 + e^(3/T)).
    rows = torch.tensor([[3.0, 0.0]]).repeat(100, 1)
    search = TemperatureSearch(Given(2), rows)
    assert search.share(1.0) == pytest.approx(0.04742587, abs=1e-6)
    # share 0.2 where e^(3/T) = 4.
    assert search.temperature(0.2) == pytest.approx(3 / 1.3862944, rel=0.02)


def test_the_scale_of_the_logits_does_not_matter() -> None:
    rows = torch.randn(500, 16)
    small = TemperatureSearch(Given(16), rows * 1e-3).temperature(0.5)
    large = TemperatureSearch(Given(16), rows * 1e3).temperature(0.5)
    assert small is not None
    assert large is not None
    assert large / small == pytest.approx(1e6, rel=1e-3)


@pytest.mark.parametrize("share", [0.1, 0.4, 0.8, 0.9])
def test_the_expected_share_is_met_on_all_tokens(share: float) -> None:
    rows = torch.cat([torch.randn(6000, 1024), 20 * torch.randn(2000, 1024)])
    search = TemperatureSearch(Given(1024), rows)
    temperature = search.temperature(share)
    assert temperature is not None
    logits = rows.double() / temperature
    expected = 1 - logits.softmax(1).gather(1, rows.argmax(1, keepdim=True)).mean()
    assert float(expected) == pytest.approx(share, abs=TOLERANCE)


def test_what_two_codes_cannot_give_is_none() -> None:
    search = TemperatureSearch(Given(2), torch.randn(200, 2))
    assert search.temperature(0.8) is None
    assert search.temperature(0.3) is not None


def test_tied_logits_change_tokens_however_cold() -> None:
    flat = TemperatureSearch(Given(4), torch.zeros(50, 4))
    assert flat.temperature(0.4) is None
    assert flat.temperature(0.75) is not None
    pairs = TemperatureSearch(Given(4), torch.tensor([[5.0, 5.0, 0.0, 0.0]]).repeat(50, 1))
    assert pairs.temperature(0.2) is None
    assert pairs.temperature(0.6) is not None


def test_draws_follow_the_softmax() -> None:
    rows = torch.tensor([[2.0, 1.0, 0.0]]).repeat(40_000, 1)
    best, warm = draw(Given(3), rows, [0.0, 2.0], seed=0)
    assert torch.equal(best, torch.zeros_like(best))
    frequencies = torch.bincount(warm, minlength=3) / len(warm)
    assert torch.allclose(frequencies, (rows[0] / 2).softmax(0), atol=0.01)


def test_the_noise_is_the_same_for_every_temperature_and_call() -> None:
    rows = torch.randn(300, 16)
    first = draw(Given(16), rows, [1.0, 1.0, 3.0], seed=4)
    again = draw(Given(16), rows, [3.0], seed=4)
    assert torch.equal(first[0], first[1])
    assert torch.equal(first[2], again[0])
    assert not torch.equal(first[2], draw(Given(16), rows, [3.0], seed=5)[0])


def test_the_curve(tokenizer: ImageTokenizer, images: Tensor) -> None:
    state = torch.get_rng_state()
    result = sampled_tokens(tokenizer, images, OfflineFeatures(), shares=(0.0, 0.4, 0.8))
    assert torch.equal(torch.get_rng_state(), state)
    figures = evaluate_tokenizer(tokenizer, [images])
    assert result.at(0.0).psnr == pytest.approx(figures.psnr, abs=1e-4)
    assert result.features == OfflineFeatures().name
    for share in (0.4, 0.8):
        # 768 tokens: four standard deviations of a share are 0.07.
        assert result.at(share).measured_share == pytest.approx(share, abs=0.07)
    psnr = [point.psnr for point in result.points]
    assert psnr == sorted(psnr, reverse=True, key=float)
    assert result.at_one.measured_share == pytest.approx(result.at_one.share, abs=0.07)
    assert result.at_one.temperature == 1.0
    again = sampled_tokens(tokenizer, images, OfflineFeatures(), shares=(0.0, 0.4, 0.8))
    assert again == result
    with pytest.raises(KeyError):
        result.at(0.5)


def test_a_codebook_of_two_says_what_it_cannot_reach(images: Tensor) -> None:
    tokenizer = ImageTokenizer(IdentityBackbone(4), VectorQuantizer(2, 8))
    point = sampled_tokens(tokenizer, images, OfflineFeatures(), shares=(0.8,)).at(0.8)
    assert (point.temperature, point.measured_share, point.psnr, point.frechet) == (None,) * 4


def test_decode_sampled_draws_at_the_temperature(tokenizer: ImageTokenizer, images: Tensor) -> None:
    assert torch.equal(decode_sampled(tokenizer, images, 0.0), tokenizer.reconstruct(images))
    assert not torch.equal(decode_sampled(tokenizer, images, 1e6), tokenizer.reconstruct(images))


def test_works_with_a_linear_head_and_keeps_the_mode(images: Tensor) -> None:
    tokenizer = ImageTokenizer(IdentityBackbone(4), GumbelQuantizer(32, 8)).train()
    result = sampled_tokens(tokenizer, images, OfflineFeatures(), shares=(0.4,))
    assert result.at(0.4).measured_share == pytest.approx(0.4, abs=0.07)
    assert tokenizer.training


def test_bad_input_is_refused(tokenizer: ImageTokenizer, images: Tensor) -> None:
    with pytest.raises(RegvqError, match="shares"):
        sampled_tokens(tokenizer, images, OfflineFeatures(), shares=(1.0,))
    with pytest.raises(RegvqError, match="at least two images"):
        sampled_tokens(tokenizer, images[:1], OfflineFeatures())
