"""What is particular to the autoregressive generator."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from regvq.conditions import ClassLabel
from regvq.errors import RegvqError
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


def test_validation_sees_the_codes_themselves() -> None:
    codes = torch.randint(1000, (2, 16, 16))
    with torch.no_grad():
        noisy, plain = (generator(replaced).eval().loss(codes).total for replaced in (0.25, 0.0))
    assert torch.equal(noisy, plain)


@pytest.mark.parametrize("replaced", [-0.1, 0.6])
def test_an_impossible_share_is_refused(replaced: float) -> None:
    with pytest.raises(RegvqError, match="replaced must be"):
        generator(replaced)
