"""Laws of every generator in the package, under every kind of condition."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import regvq
import regvq.generators
from regvq.conditions import ClassLabel, Condition, NoCondition
from regvq.errors import RegvqError
from regvq.generators import UNKNOWN, Generator, TokenSource
from regvq.types import SamplingOptions
from tests.contracts.test_conditions import KINDS as CONDITIONS
from tests.contracts.test_conditions import Toy, prepared
from tests.support.discovery import concrete_subclasses

KINDS = concrete_subclasses(regvq.generators, Generator)
SOURCE = TokenSource(codebook_size=12, grid=(4, 4), fingerprint="0123456789abcdef")
WAYS = {
    "plain": SamplingOptions(seed=3),
    "truncated": SamplingOptions(seed=3, temperature=0.7, top_k=5, top_p=0.9),
    "guided": SamplingOptions(seed=3, guidance=2.5, guidance_schedule="linear"),
    "few steps": SamplingOptions(seed=3, steps=5),
    "parallel": SamplingOptions(seed=3, parallel=True, steps=6),
}


def tiny(kind: type[Generator], condition: Condition | None = None, **arguments: Any) -> Generator:
    torch.manual_seed(0)
    condition = condition or ClassLabel(["a", "b"])
    return kind(condition, SOURCE, dim=32, layers=2, heads=2, hidden=64, **arguments)


def codes_of(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(SOURCE.codebook_size, (count, *SOURCE.grid), generator=generator)


def learn(generator: Generator, codes: torch.Tensor, ids: torch.Tensor, steps: int) -> list[float]:
    """Trains on one batch: the losses."""
    optimizer = torch.optim.Adam(generator.parameters(), 1e-2)
    losses = []
    for _ in range(steps):
        loss = generator.loss(codes, ids).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    return losses


def test_both_are_found() -> None:
    assert {kind.__name__ for kind in KINDS} >= {"AutoregressiveGenerator", "DiscreteDiffusionGenerator"}


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_finite_and_reaches_every_weight_that_matters(
    kind: type[Generator], condition: type[Condition]
) -> None:
    generator = tiny(kind, prepared(condition))
    ids = generator.condition.of(Toy().batch(0, 1, 2))
    loss = generator.loss(codes_of(3), ids)
    loss.total.backward()
    assert loss.total.isfinite()
    assert torch.isclose(loss.total, sum(loss.terms.values(), torch.zeros(())))
    assert math.isfinite(float(loss.stats["bits_per_token"]))
    for name, weight in generator.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), name  # noqa: PT018


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_falls_on_a_toy_set(kind: type[Generator], condition: type[Condition]) -> None:
    generator = tiny(kind, prepared(condition))
    codes, ids = codes_of(2).repeat(4, 1, 1), generator.condition.of(Toy().batch(*(0, 1) * 4))
    losses = learn(generator, codes, ids, steps=40)
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_a_toy_set_and_its_condition(kind: type[Generator]) -> None:
    """Class a is a grid of code 1, class b of code 7."""
    generator = tiny(kind, condition_dropout=0.0)
    codes = torch.tensor([1, 7])[torch.arange(16) % 2][:, None, None].expand(-1, *SOURCE.grid)
    ids = generator.condition.ids(torch.arange(16) % 2)
    losses = learn(generator, codes, ids, steps=60)
    assert sum(losses[-5:]) < 0.1 * sum(losses[:5])
    drawn = generator.sample(ids[:2], 2, SamplingOptions(seed=0))
    assert (drawn[0] == 1).float().mean() > 0.9
    assert (drawn[1] == 7).float().mean() > 0.9


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_shape_and_range(kind: type[Generator], condition: type[Condition]) -> None:
    generator = tiny(kind, prepared(condition))
    for options in WAYS.values():
        drawn = generator.sample(generator.condition.of(Toy().batch(0, 1)), 2, options)
        assert drawn.shape == (2, *SOURCE.grid)
        assert drawn.dtype == torch.int64
        assert drawn.min() >= 0 and drawn.max() < SOURCE.codebook_size  # noqa: PT018


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_known_tokens_stay(kind: type[Generator], condition: type[Condition], way: str) -> None:
    generator = tiny(kind, prepared(condition))
    ids = generator.condition.of(Toy().batch(0, 1, 1))
    whole = codes_of(3)
    known = torch.where(
        torch.rand(whole.shape, generator=torch.Generator().manual_seed(1)) < 0.5, whole, UNKNOWN
    )
    known[2] = whole[2]
    drawn = generator.sample(ids, 3, WAYS[way], known)
    assert torch.equal(drawn[known != UNKNOWN], known[known != UNKNOWN])
    assert torch.equal(drawn[2], whole[2])
    assert not torch.equal(drawn[:2], generator.sample(ids, 3, replace(WAYS[way], seed=4), known)[:2])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_an_image_whatever_stands_beside_it(
    kind: type[Generator], condition: type[Condition], way: str
) -> None:
    generator = tiny(kind, prepared(condition))
    ids = generator.condition.of(Toy().batch(0, 1, 1))
    drawn = generator.sample(ids, 3, WAYS[way])
    assert torch.equal(drawn, generator.sample(ids, 3, WAYS[way]))
    assert torch.equal(drawn[1:2], generator.sample(ids[1:2], 1, replace(WAYS[way], first=1)))
    assert not torch.equal(drawn[1], drawn[2])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_sampling_changes_nothing_and_counts_its_passes(
    kind: type[Generator], condition: type[Condition], way: str
) -> None:
    generator = tiny(kind, prepared(condition)).train()
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    chance = torch.get_rng_state()
    passes: list[None] = []
    generator.sample(None, 2, WAYS[way], report=lambda: passes.append(None))
    assert len(passes) == generator.passes(WAYS[way])
    assert generator.training
    assert torch.equal(torch.get_rng_state(), chance)
    for name, value in generator.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("kind", KINDS)
def test_guidance_of_one_asks_the_network_once_and_of_zero_forgets_the_condition(
    kind: type[Generator], schedule: str, parallel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = tiny(kind)
    for weight in generator.parameters():  # as it starts, it hardly listens to its condition
        torch.nn.init.normal_(weight, std=0.3)
    ids = generator.condition.ids([0, 1])
    given = SamplingOptions(seed=1, parallel=parallel, guidance_schedule=schedule)
    plain = generator.sample(ids, 2, given)
    assert not torch.equal(plain, generator.sample(ids, 2, replace(given, guidance=9.0)))
    if schedule == "constant":
        forgotten = generator.sample(ids, 2, replace(given, guidance=0.0))
        assert torch.equal(forgotten, generator.sample(None, 2, given))

    def refuse(*_: object) -> torch.Tensor:
        raise AssertionError("a guidance of 1 must not mix anything")

    # l_0 + 1 (l_c - l_0) is l_c but for rounding: only without it the result is exactly the unguided one.
    monkeypatch.setattr("regvq.generators.autoregressive.guided", refuse)
    monkeypatch.setattr("regvq.generators.discrete_diffusion.guided", refuse)
    assert torch.equal(plain, generator.sample(ids, 2, replace(given, guidance=1.0)))
    with pytest.raises(AssertionError, match="must not mix"):
        generator.sample(ids, 2, replace(given, guidance=2.0))


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_null_condition_is_the_dropped_condition(
    kind: type[Generator], condition: type[Condition]
) -> None:
    generator = tiny(kind, prepared(condition), condition_dropout=0.999999).train()
    codes = codes_of(4)
    torch.manual_seed(1)
    dropped = generator.loss(codes, generator.condition.of(Toy().batch(0, 1, 0, 1))).total
    torch.manual_seed(1)
    null = generator.loss(codes, None).total
    assert torch.equal(dropped, null)
    given = SamplingOptions(seed=2)
    explicit = generator.sample(generator.condition.null(2), 2, given)
    assert torch.equal(generator.sample(None, 2, given), explicit)


@pytest.mark.parametrize("kind", KINDS)
def test_training_alone_sees_codes_of_which_some_are_random(
    kind: type[Generator], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A chain that replaces codes by itself would hide who replaced them.
    alone = {"transition": "absorbing"} if kind.in_steps else {}
    generator = tiny(kind, NoCondition(), replaced=0.25, **alone)
    seen: list[torch.Tensor] = []
    original = generator.logits
    monkeypatch.setattr(
        generator, "logits", lambda codes, *rest: (seen.append(codes), original(codes, *rest))[1]
    )
    codes = codes_of(400)
    rows = codes.flatten(1)
    generator.train().loss(codes)
    generator.eval().loss(codes)
    trained, validated = (given != generator.vocabulary.mask for given in seen)
    assert torch.equal(seen[1][validated], rows[validated])
    other = (seen[0] != rows) & trained
    # Uniform in [0, 0.5] over 400 images, of whose replacements one in N is the code itself.
    expected = 0.25 * (1 - 1 / SOURCE.codebook_size)
    assert other.sum() / trained.sum() == pytest.approx(expected, abs=0.03)
    assert seen[0][other].max() < SOURCE.codebook_size


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("replaced", [-0.1, 0.6])
def test_an_impossible_share_is_refused(kind: type[Generator], replaced: float) -> None:
    with pytest.raises(RegvqError, match=r"replaced must be in \[0, 0.5\]"):
        tiny(kind, NoCondition(), replaced=replaced)


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_save_and_load_give_the_same_samples(
    kind: type[Generator], condition: type[Condition], tmp_path: Path
) -> None:
    generator = tiny(kind, prepared(condition))
    generator.save_pretrained(tmp_path)
    loaded = regvq.load_generator(tmp_path)
    assert type(loaded) is kind
    assert not loaded.training
    assert loaded.source.fingerprint == SOURCE.fingerprint
    ids = loaded.condition.of(Toy().batch(0, 1))
    assert torch.equal(loaded.sample(ids, 2, WAYS["guided"]), generator.sample(ids, 2, WAYS["guided"]))


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_keeps_the_loss_finite(kind: type[Generator]) -> None:
    generator = tiny(kind)
    with torch.autocast("cpu", torch.bfloat16):
        loss = generator.loss(codes_of(4), generator.condition.ids([0, 1, 0, 1])).total
    loss.backward()
    assert loss.isfinite()
    assert all(weight.grad.isfinite().all() for weight in generator.parameters() if weight.grad is not None)


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_is_a_sentence(kind: type[Generator]) -> None:
    generator = tiny(kind, NoCondition())
    with pytest.raises(RegvqError, match="models 4 x 4 tokens, not"):
        generator.loss(torch.zeros(1, 4, 5, dtype=torch.int64))
    with pytest.raises(RegvqError, match="ids must be"):
        generator.sample(torch.zeros(2, 1, dtype=torch.int64), 2)
    with pytest.raises(RegvqError, match="known tokens of 1 images for a batch of 2"):
        generator.sample(None, 2, known=codes_of(1))
    with pytest.raises(RegvqError, match="known tokens must lie in"):
        generator.sample(None, 1, known=codes_of(1) + 12)
    with pytest.raises(RegvqError, match="temperature must be positive"):
        generator.sample(None, 1, SamplingOptions(temperature=0.0))
    with pytest.raises(RegvqError, match="steps must be at least 1, not 0"):
        generator.sample(None, 1, SamplingOptions(steps=0))
    with pytest.raises(RegvqError, match="guidance_schedule must be one of constant, linear, cosine"):
        generator.sample(None, 1, SamplingOptions(guidance_schedule="quadratic"))
