"""Truncation and drawing, worked out by hand and by counting."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from regvq.errors import RegvqError
from regvq.generators.sampling import check_options, guidance_at, guided, pick, truncated, uniforms
from regvq.types import SamplingOptions

LOGITS = torch.tensor([0.5, 0.1, 0.25, 0.15]).log()


def kept(logits: torch.Tensor) -> list[int]:
    return torch.isfinite(logits).nonzero().flatten().tolist()


def test_top_k_keeps_the_likeliest() -> None:
    assert kept(truncated(LOGITS, 2, 1.0)) == [0, 2]
    assert kept(truncated(LOGITS, 0, 1.0)) == [0, 1, 2, 3]
    assert kept(truncated(LOGITS, 9, 1.0)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("top_p", "expected"), [(0.01, [0]), (0.5, [0]), (0.51, [0, 2]), (0.76, [0, 2, 3]), (1.0, [0, 1, 2, 3])]
)
def test_top_p_keeps_the_fewest_that_reach_it(top_p: float, expected: list[int]) -> None:
    assert kept(truncated(LOGITS, 0, top_p)) == expected


@given(st.integers(0, 10**6), st.integers(2, 50), st.integers(0, 50), st.floats(0.01, 0.999))
def test_truncation_walks_down_from_the_likeliest(seed: int, count: int, top_k: int, top_p: float) -> None:
    """Against a plain loop in double precision; every fourth logit twice, so that there are ties."""
    logits = torch.randn(count, generator=torch.Generator().manual_seed(seed)) * 2
    logits[::4] = logits[0]
    allowed = sorted(logits.tolist(), reverse=True)[: top_k or count]
    allowed = [value for value in sorted(logits.tolist(), reverse=True) if value >= allowed[-1]]
    weights = [math.exp(value) for value in allowed]
    before = [sum(weights[:place]) / sum(weights) for place in range(len(weights))]
    # Nearer to the border than single precision tells apart, either answer is right.
    assume(min(abs(share - top_p) for share in before) > 1e-5)
    least = [value for value, share in zip(allowed, before, strict=True) if share < top_p][-1]
    expected = [place for place, value in enumerate(logits.tolist()) if value >= least]
    assert kept(truncated(logits.requires_grad_(), top_k, top_p)) == expected


def test_pick_inverts_the_cumulated_sum() -> None:
    probability = torch.tensor([0.25, 0.0, 0.5, 0.25, 0.0]).expand(6, 5)
    uniform = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 0.75, 0.9999999])
    assert pick(probability, uniform).tolist() == [0, 0, 2, 2, 3, 3]


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_pick_never_takes_what_has_no_probability(seed: int, uniform: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    probability = torch.rand(9, generator=generator) * (torch.rand(9, generator=generator) < 0.4)
    if probability.sum() == 0:
        probability[seed % 9] = 1
    assert probability[int(pick(probability, torch.tensor(uniform)))] > 0


def test_pick_has_the_frequencies_of_the_distribution() -> None:
    probability = torch.tensor([0.1, 0.6, 0.3])
    count = 100_000
    drawn = pick(probability.expand(count, 3), uniforms(SamplingOptions(seed=5), 1, count)[0])
    # Five standard deviations of a share.
    for code, share in enumerate(probability.tolist()):
        spread = 5 * math.sqrt(share * (1 - share) / count)
        assert float((drawn == code).float().mean()) == pytest.approx(share, abs=spread)


def test_an_image_has_a_stream_of_its_own() -> None:
    four = uniforms(SamplingOptions(seed=1), 4, 3)
    assert torch.equal(uniforms(SamplingOptions(seed=1, first=2), 2, 3), four[2:])
    assert not torch.equal(uniforms(SamplingOptions(seed=2), 4, 3), four)
    assert len(four.unique()) == 12


def test_guidance_is_a_line_through_both_predictions() -> None:
    conditional, unconditional = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 1.0])
    assert guided(conditional, unconditional, 3.0).tolist() == [4.0, -5.0]
    assert guided(conditional, unconditional, 0.0).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("schedule", "middle"), [("constant", 5.0), ("linear", 3.0), ("cosine", 3.0)])
def test_a_guidance_schedule_ends_at_the_scale(schedule: str, middle: float) -> None:
    options = SamplingOptions(guidance=5.0, guidance_schedule=schedule)
    assert guidance_at(options, 1.0) == pytest.approx(5.0)
    assert guidance_at(options, 0.5) == pytest.approx(middle)
    assert guidance_at(options, 0.0) == (5.0 if schedule == "constant" else 1.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": 0.0},
        {"temperature": -1.0},
        {"temperature": math.nan},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"guidance": -0.5},
        {"guidance": math.inf},
        {"steps": 0},
    ],
)
def test_an_option_that_means_nothing_is_named(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(RegvqError, match=f"{name} must be"):
        check_options(SamplingOptions(**wrong))
