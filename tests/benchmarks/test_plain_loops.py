"""The plain loops: their axes, their data, token corruption, short trainings."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import loop_corruption
import loop_data
import loop_measure
import plain_loops
from loop_contestants import CONTESTANTS, SUBJECT
from loop_training import EVERY, PlainVQVAE, run_loop
from loop_zoo import LOOPS, MOST_LOGITS


def values(setting: str) -> set[Any]:
    """Return every value that a setting takes in some loop."""
    return {getattr(loop, setting) for loop in LOOPS.values()}


def test_there_are_enough_loops_and_a_third_is_held_back() -> None:
    assert len(LOOPS) >= 24
    held_back = [loop.held_back for loop in LOOPS.values()]
    assert held_back == [index % 3 == 2 for index in range(len(LOOPS))]
    assert len({loop.fingerprint for loop in LOOPS.values()}) == len(LOOPS)


@pytest.mark.parametrize("loop", LOOPS.values(), ids=lambda loop: loop.name)
def test_a_step_stays_small_and_its_shares_are_whole(loop: Any) -> None:
    assert loop.tokens * loop.codebook_size <= MOST_LOGITS
    assert loop.batch_size % (loop.accumulate * loop.ranks) == 0


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ("data", {"photos", "tiny", "digits", "drawings", "video"}),
        ("encoder", {"conv", "group", "batch", "layer", "residual", "vit", "frozen-dct", "frozen-conv"}),
        ("scale", {0.01, 0.1, 1.0, 10.0, 100.0}),
        ("offset", {0.0, 10.0}),
        ("dim", {4, 8, 64, 256}),
        ("codebook_size", {16, 64, 512, 4096, 16384}),
        ("optimizer", {"adam", "adamw", "sgd"}),
        ("lr", {1e-4, 1e-3, 1e-2}),
        ("loss", {"mse", "l1", "cross-entropy"}),
        ("precision", {"fp32", "bf16"}),
        ("accumulate", {1, 4}),
        ("checkpoint", {"none", "encoder", "decoder"}),
        ("ranks", {1, 2}),
    ],
)
def test_every_value_of_an_axis_occurs(setting: str, wanted: set[Any]) -> None:
    assert wanted <= values(setting)


def test_batches_reach_from_an_eighth_to_eight_times_the_codes() -> None:
    shares = {loop.tokens / loop.codebook_size for loop in LOOPS.values()}
    assert {1 / 8, 8.0} <= shares


def test_every_dimension_of_a_grid_occurs() -> None:
    assert {loop_data.SOURCES[data].dims for data in values("data")} == {1, 2, 3}


def test_contestants_get_the_same_networks_and_batches() -> None:
    loop = LOOPS["photos"]
    one, two = (PlainVQVAE(loop, name, 3, 0) for name in ("EMA-VQ", SUBJECT))
    for part in ("encoder", "decoder"):
        pairs = zip(getattr(one, part).parameters(), getattr(two, part).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    first = loop_data.batch_indices(3, 7, 16)
    torch.manual_seed(99)
    assert torch.equal(first, loop_data.batch_indices(3, 7, 16))
    for seed, step in ((3, 8), (4, 7)):
        assert not torch.equal(first, loop_data.batch_indices(seed, step, 16))
    assert not torch.equal(
        next(one.encoder.parameters()), next(PlainVQVAE(loop, "EMA-VQ", 4, 0).encoder.parameters())
    )


def test_draws_from_the_posterior_by_hand() -> None:
    # Variance 1/2: weights exp(-d^2) of 1, e^-1 and e^-9 make 0.7310, 0.2689 and 0.0001.
    codebook = torch.tensor([[0.0], [1.0], [3.0]])
    latents = torch.zeros(4, 1)
    uniform = torch.tensor([0.7, 0.74, 0.999, 0.99995])
    assert loop_corruption.posterior_draws(latents, codebook, 0.5, uniform).tolist() == [0, 1, 1, 2]
    # A quantizer without any error keeps every token.
    assert loop_corruption.posterior_draws(latents + 1, codebook, 0.0, uniform).tolist() == [1] * 4
    assert loop_corruption.error_variance(
        torch.tensor([[0.5, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([0])
    ) == pytest.approx((0.25 + 1) / 2)


def test_draws_among_the_nearest_by_hand() -> None:
    codebook = torch.tensor([[0.0], [1.0], [3.0]])
    latents = torch.full((3, 1), 1.2)
    uniform = torch.tensor([0.1, 0.6, 0.999])
    assert loop_corruption.nearest_draws(latents, codebook, uniform, among=2).tolist() == [1, 0, 0]
    assert loop_corruption.nearest_draws(latents, codebook, uniform).tolist() == [1, 0, 2]


def test_tokens_change_at_the_first_positions_of_the_order() -> None:
    codes, draws = torch.zeros(5, dtype=torch.long), torch.tensor([1, 0, 1, 1, 1])
    tokens, changed = loop_corruption.corrupted(codes, draws, 0.4, torch.tensor([1, 2, 0, 3, 4]))
    assert tokens.tolist() == [0, 0, 1, 0, 0]
    assert changed == pytest.approx(0.2)


def test_distances_far_from_the_origin_are_exact() -> None:
    codebook = torch.tensor([[1000.0, 1000.0], [1000.0, 1001.0]])
    latents = torch.tensor([[1000.5, 1000.0]])
    expected = torch.tensor([[0.25, 1.25]])
    assert torch.allclose(loop_corruption.squared_distances(latents, codebook), expected)


@pytest.mark.parametrize(
    ("name", "figures", "expected"),
    [
        ("photos", (0.04, 0.04, 1.0), 20.0),
        ("photos, L1", (0.1, 0.04, 1.0), 20.0),
        ("frozen DCT", (0.04, 0.04, 0.4), 10.0),
        ("drawings, cross-entropy", (0.1 * np.log(2), 0.0, 1.0), 10.0),
    ],
)
def test_quality_by_hand(name: str, figures: tuple[float, float, float], expected: float) -> None:
    assert loop_measure.quality(LOOPS[name], *figures) == pytest.approx(expected)


@pytest.mark.parametrize(
    "name",
    [
        "photos",
        "drawings, cross-entropy",
        "frozen DCT",
        "video",
        "photos, ViT",
        "photos, L1",
        "photos, bf16",
        "photos, accumulate 4",
        "photos, checkpointed encoder",
        "photos, checkpointed decoder",
    ],
)
def test_a_short_training_leaves_a_row(name: str) -> None:
    row = run_loop(replace(LOOPS[name], steps=2), SUBJECT, 0, None)
    assert row["error"] is None
    assert 0 < row["usage"] <= 1 <= row["perplexity"] <= LOOPS[name].codebook_size
    assert row["curve"] == []
    assert list(row["corruption"]) == [
        "clean",
        "posterior 40 %",
        "posterior 80 %",
        "nearest 40 %",
        "nearest 80 %",
    ]
    at_40, at_80 = (row["corruption"][f"nearest {share} %"]["changed"] for share in (40, 80))
    assert 0 < at_40 <= 0.4
    assert at_40 < at_80 <= 0.8


def test_a_batch_may_be_trained_in_parts() -> None:
    # VQ keeps no running statistics: micro-batches, recomputation and ranks must not matter to it.
    plain = run_loop(replace(LOOPS["photos"], steps=2), "VQ", 0, None)
    parts = [{"accumulate": 4}, {"checkpoint": "encoder"}, {"checkpoint": "decoder"}, {"ranks": 2}]
    for settings in parts:
        row = run_loop(replace(LOOPS["photos"], steps=2, **settings), "VQ", 0, None)
        assert row["error"] is None, settings
        assert row["loss"] == pytest.approx(plain["loss"], rel=1e-4), settings


def test_the_curve_is_measured_in_eval_mode_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = replace(LOOPS["photos, tokens N/8"], steps=EVERY)
    with_curve = run_loop(loop, SUBJECT, 0, None)
    assert [point["step"] for point in with_curve["curve"]] == [EVERY]
    monkeypatch.setattr("loop_training.EVERY", 10**6)
    without = run_loop(loop, SUBJECT, 0, None)
    assert without["curve"] == []
    assert without["loss"] == with_curve["loss"]


def test_a_failure_becomes_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(codebook_size: int, dim: int) -> Any:
        raise RuntimeError("first\nno such thing")

    monkeypatch.setitem(CONTESTANTS, "broken", fails)
    row = run_loop(LOOPS["photos"], "broken", 0, None)
    assert row["error"] == "RuntimeError: no such thing"


def test_a_loss_that_is_not_finite_becomes_a_row() -> None:
    row = run_loop(replace(LOOPS["photos, SGD"], lr=1e12, steps=5), "VQ", 0, None)
    assert row["error"].startswith("FloatingPointError: the loss is")


def test_data_sets_are_read_from_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not loop_data.available("tiny", None)
    assert not loop_data.available("tiny", tmp_path)
    monkeypatch.setattr(loop_data, "POOL", 6)
    monkeypatch.setattr(loop_data, "HELD_OUT", 4)
    _write_data_sets(tmp_path)
    for data, shape in (("tiny", (6, 3, 32, 32)), ("digits", (6, 1, 1024))):
        assert loop_data.available(data, tmp_path)
        train = loop_data.pool(data, "train", tmp_path).inputs
        assert train.shape == shape
        assert train.abs().max() <= 1
        assert len(loop_data.pool(data, "val", tmp_path).inputs) == 4


def _write_data_sets(folder: Path) -> None:
    rng = np.random.default_rng(0)
    buffer, ends = io.BytesIO(), [0]
    for _ in range(3):
        Image.fromarray(rng.integers(255, size=(64, 64, 3), dtype=np.uint8)).save(buffer, "JPEG")
        ends.append(buffer.tell())
    data = np.frombuffer(buffer.getvalue(), np.uint8)
    for split in ("train", "val"):
        np.savez(folder / f"tiny_imagenet64_{split}.npz", data=data, offsets=np.array(ends))
    sounds = rng.integers(-9000, 9000, size=4 * 2000).astype(np.int16)
    offsets, take = np.arange(5) * 2000, np.array([0, 4, 5, 49])
    np.savez(folder / "spoken_digits_8khz.npz", data=sounds, offsets=offsets, take=take)


def test_held_back_loops_run_only_when_asked() -> None:
    searched = plain_loops.chosen_loops(None, False, None)
    assert len(searched) < len(plain_loops.chosen_loops(None, True, None)) == len(LOOPS)
    assert not any(loop.held_back for loop in searched)
    assert [loop.steps for loop in plain_loops.chosen_loops(["digits"], False, 7)] == [7]


def test_another_setting_is_another_row() -> None:
    loop = LOOPS["photos"]
    paths = {
        plain_loops.path_of(Path("rows"), one, name, seed)
        for one in (loop, replace(loop, steps=3))
        for name in CONTESTANTS
        for seed in (0, 1)
    }
    assert len(paths) == 4 * len(CONTESTANTS)


def test_only_failures_are_forgotten(tmp_path: Path) -> None:
    kept, failed = tmp_path / "kept.json", tmp_path / "failed.json"
    kept.write_text('{"error": null}')
    failed.write_text('{"error": "ValueError: no"}')
    plain_loops.forget_failures([kept, failed, tmp_path / "missing.json"])
    assert kept.is_file()
    assert not failed.exists()
