"""A tokenizer's figures against figures worked out outside."""

import math

import pytest
import torch

from regvq.errors import RegvqError
from regvq.evaluation import evaluate_tokenizer
from regvq.nets import IdentityBackbone
from regvq.quantizers import EMAVectorQuantizer
from regvq.tokenizers import ImageTokenizer


def _tokenizer() -> ImageTokenizer:
    tokenizer = ImageTokenizer(IdentityBackbone(4), EMAVectorQuantizer(16, 8))
    tokenizer(torch.rand(8, 3, 16, 16) * 2 - 1)  # starts the codes from data
    return tokenizer


def test_figures_of_a_tokenizer() -> None:
    tokenizer = _tokenizer()
    images = torch.rand(6, 3, 16, 16) * 2 - 1
    figures = evaluate_tokenizer(tokenizer, images.split(4))
    tokenizer.eval()
    codes = tokenizer.encode(images)
    error = (tokenizer.decode(codes) - images).double().square().mean()
    counts = torch.bincount(codes.flatten(), minlength=16)
    shares = counts[counts > 0].double() / counts.sum()
    assert figures.psnr == pytest.approx(10 * math.log10(4 / float(error)), abs=1e-4)
    assert figures.counts.tolist() == counts.tolist()
    assert figures.usage == pytest.approx(float((counts > 0).double().mean()))
    assert figures.bits_per_token == pytest.approx(float(-(shares * shares.log2()).sum()))
    assert (figures.images, figures.tokens) == (6, 6 * 16)
    assert -1 <= figures.ssim <= 1


def test_leaves_mode_and_weights_alone() -> None:
    tokenizer = _tokenizer().train()
    before = tokenizer.fingerprint()
    evaluate_tokenizer(tokenizer, [torch.zeros(2, 3, 16, 16)])
    assert tokenizer.training
    assert tokenizer.fingerprint() == before


def test_no_images_is_an_error() -> None:
    with pytest.raises(RegvqError, match="no images"):
        evaluate_tokenizer(_tokenizer(), [])
