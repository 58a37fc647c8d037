"""Each prior against numbers computed by hand."""

import math

import pytest
import torch

from regvq.errors import RegvqError
from regvq.priors import EmpiricalPrior, GaussianPrior, UniformPrior, ZipfPrior


def test_uniform_gives_every_code_the_same_share() -> None:
    torch.testing.assert_close(UniformPrior().log_prob(4).exp(), torch.full((4,), 0.25))


def test_gaussian_is_a_bell_over_the_index() -> None:
    # Two codes off the centre by half an index, two by one and a half; sigma = 0.25 * 4 = 1.
    inner, outer = math.exp(-0.125), math.exp(-1.125)
    expected = torch.tensor([outer, inner, inner, outer]) / (2 * (inner + outer))
    torch.testing.assert_close(GaussianPrior(0.25).log_prob(4).exp(), expected)


def test_gaussian_keeps_its_share_of_the_codebook_at_any_size() -> None:
    central = [GaussianPrior(0.1).log_prob(size).exp() for size in (100, 10_000)]
    masses = [prob[len(prob) * 4 // 10 : len(prob) * 6 // 10].sum().item() for prob in central]
    assert masses[0] == pytest.approx(0.6827, abs=1e-3)  # one standard deviation on each side
    assert masses[1] == pytest.approx(0.6827, abs=1e-3)


def test_zipf_falls_as_one_over_the_rank() -> None:
    expected = torch.tensor([1.0, 1 / 2, 1 / 3]) / (11 / 6)
    torch.testing.assert_close(ZipfPrior().log_prob(3).exp(), expected)


def test_zipf_offset_flattens_the_head() -> None:
    # (1 + 2) ** -2 : (2 + 2) ** -2 = 16 : 9
    torch.testing.assert_close(ZipfPrior(2.0, 2.0).log_prob(2).exp(), torch.tensor([0.64, 0.36]))


def test_empirical_smooths_its_counts() -> None:
    log_prob = EmpiricalPrior([3, 0, 1], smoothing=2.0).log_prob(3)
    torch.testing.assert_close(log_prob.exp(), torch.tensor([0.5, 0.2, 0.3]))


def test_empirical_reads_its_counts_from_a_text() -> None:
    told = EmpiricalPrior("3 0\n 1.5", smoothing=2.0).log_prob(3)
    assert torch.equal(told, EmpiricalPrior([3, 0, 1.5], smoothing=2.0).log_prob(3))


@pytest.mark.parametrize("counts", ["", "3, 0", "three", "1 nan"])
def test_empirical_refuses_a_text(counts: str) -> None:
    with pytest.raises(RegvqError, match="an empirical prior needs counts"):
        EmpiricalPrior(counts)


def test_empirical_knows_its_codebook() -> None:
    with pytest.raises(RegvqError, match="3 counts, the codebook 4 codes"):
        EmpiricalPrior([1, 2, 3]).log_prob(4)


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("width", [0.0, 0.009, -1.0, NAN])
def test_gaussian_refuses_a_width(width: float) -> None:
    with pytest.raises(RegvqError, match="width"):
        GaussianPrior(width)


@pytest.mark.parametrize(
    ("exponent", "offset"), [(-1.0, 0.0), (1.0, -0.5), (NAN, 0.0), (INF, 0.0), (1.0, NAN)]
)
def test_zipf_refuses(exponent: float, offset: float) -> None:
    with pytest.raises(RegvqError, match="exponent and offset"):
        ZipfPrior(exponent, offset)


@pytest.mark.parametrize(
    ("counts", "smoothing"),
    [([], 1.0), ([1, -1], 1.0), ([1, NAN], 1.0), ([1, INF], 1.0), ([1, 2], 0.0), ([1, 2], NAN)],
)
def test_empirical_refuses(counts: list[float], smoothing: float) -> None:
    with pytest.raises(RegvqError, match=r"counts|smoothing"):
        EmpiricalPrior(counts, smoothing)
