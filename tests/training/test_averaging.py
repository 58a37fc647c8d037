"""Averaged weights against the recurrence, written out."""

import pytest
import torch

from regvq.errors import RegvqError
from regvq.nets import IdentityBackbone
from regvq.quantizers import EMAVectorQuantizer, VectorQuantizer
from regvq.tokenizers import ImageTokenizer
from regvq.training import AveragedModel


def test_the_first_update_copies_and_later_ones_follow_the_warmed_up_decay() -> None:
    tokenizer = ImageTokenizer(IdentityBackbone(2), VectorQuantizer(4, 3))
    averaged = AveragedModel(tokenizer, decay=0.25)
    gain = tokenizer.backbone.gain
    seen = []
    for value in (5.0, 9.0, 1.0):
        gain.data.fill_(value)
        averaged.update(tokenizer)
        seen.append(float(averaged.model.backbone.gain))
    second = 5 * 2 / 11 + 9 * 9 / 11
    assert seen == pytest.approx([5, second, second * 0.25 + 1 * 0.75])


def test_an_averaged_ema_codebook_is_its_averaged_sums_over_its_averaged_counts() -> None:
    tokenizer = ImageTokenizer(IdentityBackbone(2), EMAVectorQuantizer(4, 3, restart=0.5))
    averaged = AveragedModel(tokenizer, decay=0.9)
    for _ in range(5):
        tokenizer(torch.rand(2, 3, 8, 8) * 2 - 1)
        averaged.update(tokenizer)
    book, trained = averaged.model.quantizer.embeddings, tokenizer.quantizer.embeddings
    assert torch.allclose(book.weight, book.total / book.count[:, None])
    assert not torch.equal(book.weight, trained.weight)
    assert averaged.model.quantizer.steps.value == tokenizer.quantizer.steps.value == 5


def test_a_code_that_is_put_elsewhere_is_copied_and_not_averaged_between_two_places() -> None:
    tokenizer = ImageTokenizer(IdentityBackbone(2), EMAVectorQuantizer(4, 3, restart=0.5))
    averaged = AveragedModel(tokenizer, decay=0.9)
    for _ in range(3):
        tokenizer(torch.rand(2, 3, 8, 8) * 2 - 1)
        averaged.update(tokenizer)
    book, trained = averaged.model.quantizer.embeddings, tokenizer.quantizer.embeddings
    trained.count[2] = 0.0  # dead in the next step, whatever its tokens
    trained.total[2] = 0.0
    trained.decay = 1 - 1e-9
    tokenizer(torch.rand(2, 3, 8, 8) * 2 - 1)
    assert trained.moved.tolist() == [False, False, True, False]
    averaged.update(tokenizer)
    assert torch.equal(book.count[2], trained.count[2])
    torch.testing.assert_close(book.weight[2], trained.weight[2])
    assert not trained.moved.any()  # seen; from now on it is averaged again
    assert not torch.allclose(book.weight[0], trained.weight[0])


def test_it_stays_in_eval_mode_and_takes_no_gradient() -> None:
    averaged = AveragedModel(ImageTokenizer(IdentityBackbone(2), VectorQuantizer(4, 3)), 0.9)
    averaged.train()
    assert not any(module.training for module in averaged.modules())
    assert not any(value.requires_grad for value in averaged.parameters())


def test_an_impossible_decay_is_refused() -> None:
    with pytest.raises(RegvqError, match="ema_decay"):
        AveragedModel(ImageTokenizer(IdentityBackbone(2), VectorQuantizer(4, 3)), 1.0)
