"""The speed benchmark of training: contestants are the library's, and cutting a step changes nothing."""

from pathlib import Path

import pytest
import torch

from benchmarks.cut_step import cut_generator_step, cut_tokenizer_step
from benchmarks.step_parts import PARTS, parts_of_a_step
from benchmarks.training import bars, measure
from regvq.training.run import quiet
from step_cost import cost_of_step
from tests.evaluation.test_cost import counted
from training_contestants import generator_contestant, tokenizer_contestant
from training_settings import SETTINGS, quickened
from training_ways import BF16, EAGER, FAST, FP32, Way, arguments_of, ways

QUICK = quickened(SETTINGS["cpu"])
TINY = "tokenizer, tiny"


def test_a_cut_step_has_the_gradients_of_the_whole_one(tmp_path: Path) -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    gradients = []
    for cut in (False, True):
        with quiet():
            training = tokenizer_contestant(TINY, EAGER, SETTINGS["cpu"], "cpu", tmp_path).training.train()
        torch.manual_seed(0)
        if cut:
            cut_tokenizer_step(training, images, FP32, lambda part: None)
        else:
            loss = training.objective(images, training.model(images), 0, training.model.backbone.last_layer)
            loss.total.backward()
        gradients.append(gradients_of(training))
    assert sum(value is not None for value in gradients[0].values()) > 50
    require_alike(*gradients)


@pytest.mark.parametrize("name", SETTINGS["cpu"].generators)
def test_a_cut_step_of_a_generator_has_the_gradients_of_the_whole_one(name: str, tmp_path: Path) -> None:
    codes = torch.randint(1024, (2, 16, 16), generator=torch.Generator().manual_seed(0))
    gradients = []
    for cut in (False, True):
        with quiet():
            training = generator_contestant(name, EAGER, SETTINGS["cpu"], "cpu", tmp_path).training.train()
        batch = {"codes": codes, "condition": torch.tensor([[1], [2]])}
        torch.manual_seed(0)
        laps: list[str] = []
        if cut:
            cut_generator_step(training, batch, FP32, laps.append)
            assert laps == ["transformer", "head and loss", "head and loss", "transformer"]
        else:
            training.model.loss(codes, batch["condition"]).total.backward()
        gradients.append(gradients_of(training))
    assert sum(value is not None for value in gradients[0].values()) > 15
    require_alike(*gradients)


def gradients_of(training: torch.nn.Module) -> dict[str, torch.Tensor | None]:
    return {name: value.grad for name, value in training.named_parameters()}


def require_alike(whole: dict[str, torch.Tensor | None], cut: dict[str, torch.Tensor | None]) -> None:
    for name, value in whole.items():
        if value is None:
            assert cut[name] is None, name
        else:
            torch.testing.assert_close(cut[name], value, rtol=1e-3, atol=1e-6, msg=name)


def test_every_part_is_timed(tmp_path: Path) -> None:
    with quiet():
        first = tokenizer_contestant(TINY, EAGER, QUICK, "cpu", tmp_path)
        second = generator_contestant("autoregressive-tiny", EAGER, QUICK, "cpu", tmp_path)
    for one in (first, second):
        parts = parts_of_a_step(one, 1)
        assert list(parts) == list(PARTS[one.training.stage])
        assert all(seconds > 0 for seconds in parts.values())


def test_a_contestant_is_what_the_command_line_builds_and_trains(tmp_path: Path) -> None:
    with quiet():
        half = Way(False, BF16, True)
        first = {half: tokenizer_contestant(TINY, half, QUICK, "cpu", tmp_path)}
        second = {EAGER: generator_contestant("autoregressive-tiny", EAGER, QUICK, "cpu", tmp_path)}
        assert (first[half].precision, first[half].clip) == (BF16, 1.0)
        rows = [*measure(first, "a", "images", 2), *measure(second, "b", "tokens", 2)]
    assert [row["way"] for row in rows] == ["eager, bf16, channels last", "eager, fp32"]
    assert rows[1]["per_second"] == pytest.approx(1e3 * 2 * 256 / rows[1]["milliseconds"])
    # Three turns of two steps each, and one for the memory.
    assert first[half].training.batches.value == second[EAGER].training.batches.value == 8
    for row, one in zip(rows, (first[half], second[EAGER]), strict=True):
        weights = sum(value.nbytes for value in one.training.parameters() if value.requires_grad)
        # Weights, gradients and Adam's averages at the least, where somebody counts.
        assert row["peak_bytes"] is None or row["peak_bytes"] > 4 * weights
        assert row["expected_bytes"] > 4 * weights


@pytest.mark.parametrize("device", FAST)
@pytest.mark.parametrize("stage", ["tokenizer", "generator"])
def test_what_the_bars_judge_takes_part(stage: str, device: str) -> None:
    taking_part = ways(stage, quick=False)
    assert {EAGER, FAST[device][stage]} <= set(taking_part)
    assert len({str(way) for way in taking_part}) == len(taking_part)
    assert "--model.compile=true" in arguments_of(FAST[device][stage], stage)


def test_a_quick_run_compiles_the_blocks_of_one_generator_alone() -> None:
    assert [way.compiled for way in ways("tokenizer", quick=True)] == [False]
    assert ways("generator", quick=True) == [EAGER, FAST["cpu"]["generator"]]
    for setting in SETTINGS.values():
        quick = quickened(setting)
        assert len(quick.generators) == len(quick.tokenizers) == 1


def test_the_flops_of_a_step_are_those_that_torch_counts(tmp_path: Path) -> None:
    with quiet():
        first = tokenizer_contestant(TINY, EAGER, SETTINGS["cpu"], "cpu", tmp_path)
        second = generator_contestant("autoregressive-tiny", EAGER, QUICK, "cpu", tmp_path)
    images, training = torch.rand(2, 3, 32, 32) * 2 - 1, first.training.train()

    def step() -> None:
        loss = training.objective(images, training.model(images), 0, training.model.backbone.last_layer)
        loss.total.backward()

    # What it leaves out, such as the contrastive loss, counts for more on small images.
    found = 2 * cost_of_step(training, first.data).flops
    assert counted(step, whole=True) == pytest.approx(found, rel=0.05)
    codes, generator = torch.randint(1024, (2, 16, 16)), second.training.model.train()
    found = 2 * cost_of_step(second.training, second.data).flops
    assert counted(lambda: generator.loss(codes).total.backward()) == pytest.approx(found, rel=0.02)


def test_bars_compare_the_right_rows() -> None:
    rows = [
        {"model": "x", "unit": "images", "way": str(way), "per_second": 10.0 + number}
        for number, way in enumerate(ways("tokenizer", quick=False))
    ]
    (bar,) = bars(rows, "cpu")
    fast = ways("tokenizer", quick=False).index(FAST["cpu"]["tokenizer"])
    assert bar.measured == (10 + fast) / 10
    assert (bar.bound, bar.at_most) == (1.5, False)
