"""Laws of every prior in the package."""

import pytest
import torch

import regvq.priors
from regvq.configurable import build, describe
from regvq.priors import EmpiricalPrior, GaussianPrior, Prior, ZipfPrior
from tests.support.discovery import concrete_subclasses

SIZES = [1, 2, 7, 1024, 65536]
VARIANTS = {
    "narrow Gaussian": lambda size: GaussianPrior(width=0.01),
    "flat Zipf": lambda size: ZipfPrior(exponent=0.0),
    "steep Zipf": lambda size: ZipfPrior(exponent=4.0, offset=2.7),
    "one-code empirical": lambda size: EmpiricalPrior([1e6] + [0.0] * (size - 1), smoothing=1e-3),
}


def _default(cls: type[Prior], size: int) -> Prior:
    if cls is EmpiricalPrior:  # the one prior that knows its size
        return EmpiricalPrior([float(index % 5) for index in range(size)])
    return cls()


def _found(size: int) -> dict[str, Prior]:
    priors = {cls.__name__: _default(cls, size) for cls in concrete_subclasses(regvq.priors, Prior)}
    return priors | {name: make(size) for name, make in VARIANTS.items()}


NAMES = sorted(_found(1))


def test_the_walk_finds_the_public_priors() -> None:
    assert {"UniformPrior", "GaussianPrior", "ZipfPrior", "EmpiricalPrior"} <= set(NAMES)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_is_a_finite_normalised_distribution(name: str, size: int) -> None:
    log_prob = _found(size)[name].log_prob(size)
    assert log_prob.shape == (size,)
    assert log_prob.dtype == torch.float32
    assert log_prob.device.type == "cpu"
    assert log_prob.isfinite().all()
    assert log_prob.double().exp().sum().item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_is_pure(name: str) -> None:
    prior = _found(7)[name]
    state = torch.get_rng_state()
    first = prior.log_prob(7)
    kept = first.clone()
    first.zero_()  # a caller that writes into the answer must not change the next one
    assert torch.equal(prior.log_prob(7), kept)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", NAMES)
def test_a_description_rebuilds_it(name: str) -> None:
    prior = _found(7)[name]
    rebuilt = build(describe(prior))
    assert type(rebuilt) is type(prior)
    assert torch.equal(rebuilt.log_prob(7), prior.log_prob(7))
