"""What is particular to the autoregressive generator."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from regvq.conditions import ClassLabel
from regvq.generators import AutoregressiveGenerator, TokenSource
from regvq.generators.base import UNKNOWN
from regvq.types import SamplingOptions

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


def test_compiled_sampling_draws_the_same_codes() -> None:
    torch.manual_seed(0)
    source = TokenSource(50, (4, 4), "of no tokenizer")
    model = AutoregressiveGenerator(ClassLabel(["a", "b"]), source, dim=32, layers=2, heads=2, hidden=64)
    known = torch.full((2, 4, 4), UNKNOWN)
    known[:, 1, 2] = 7
    ids = model.condition.ids([0, 1])
    draws = [
        (ids, SamplingOptions(seed=1, guidance=2.0), known),
        (ids, SamplingOptions(seed=2, guidance=2.0, top_k=20), None),
    ]
    wanted = [model.sample(condition, 2, options, given) for condition, options, given in draws]
    model.compiled = True
    found = [model.sample(condition, 2, options, given) for condition, options, given in draws]
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))
    assert found[0][:, 1, 2].tolist() == [7, 7]
    (steps,) = model._steps.values()  # both batches went through one graph
    assert steps.cache.layers[0].keys.shape == (4, 2, 17, 16)
    assert not [name for name in model.state_dict() if "step" in name]


def test_without_a_compiler_sampling_goes_on_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regvq.generators.autoregressive.lacking", lambda device: "nothing is there")
    source = TokenSource(50, (2, 2), "of no tokenizer")
    model = AutoregressiveGenerator(ClassLabel(["a"]), source, dim=16, layers=1, heads=2, hidden=32)
    wanted = model.sample(None, 2)
    model.compiled = True
    with pytest.warns(UserWarning, match="nothing is there: sampling runs uncompiled"):
        assert torch.equal(model.sample(None, 2), wanted)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(model.sample(None, 2), wanted)
