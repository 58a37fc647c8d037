"""What is particular to the autoregressive generator."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from regvq.conditions import ClassLabel
from regvq.generators import AutoregressiveGenerator, TokenSource

SOURCE = TokenSource(1000, (16, 16), "of no tokenizer")


def generator(replaced: float) -> AutoregressiveGenerator:
    torch.manual_seed(0)
    return AutoregressiveGenerator(
        ClassLabel(["a"]), SOURCE, dim=16, layers=1, heads=2, hidden=32, replaced=replaced
    )


def test_training_sees_codes_of_which_some_are_random(monkeypatch: pytest.MonkeyPatch) -> None:
    model = generator(0.25).train()
    seen: list[Tensor] = []
    codes = torch.randint(1000, (400, 16, 16))

    def sure(given: Tensor, condition: Tensor) -> Tensor:
        seen.append(given)
        return 100.0 * F.one_hot(codes.flatten(1), 1000)

    monkeypatch.setattr(model, "logits", sure)
    assert model.loss(codes).total == pytest.approx(0, abs=1e-6)  # what is predicted stays as it was
    shares = (seen[0] != codes.flatten(1)).float().mean(1)
    # Uniform in [0, 0.5] over 400 images: the mean's standard error is 0.0072, of each share 0.03.
    assert shares.mean() == pytest.approx(0.25, abs=0.03)
    assert shares.min() < 0.03
    assert 0.44 < shares.max() < 0.62
    assert seen[0].min() >= 0
    assert seen[0].max() < 1000
