"""The page of speeds is what the figures say, and the benchmarks' JSON is what it reads."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import cost, quantizers, ranks, sampling, training
from benchmarks.performance import FIGURES, PAGE, SECTIONS, page, read_figures
from cost_check import verdict, within
from measuring import Bar, finish

FACTS = {"device": "an abacus", "threads": 1}


def written(path: Path, bars: list[Bar], **content: Any) -> Any:
    finish(path, bars, machine=FACTS, **content)
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(read_figures()), "run: python benchmarks/performance.py"


def test_every_file_of_figures_is_shown() -> None:
    known = {f"{name}{ending}" for name, one in SECTIONS.items() for ending in one.devices}
    assert {file.stem for file in FIGURES.iterdir()} <= known


def test_what_was_not_measured_says_how_to() -> None:
    text = page({})
    assert text.count("Not measured yet.") == 8
    assert "benchmarks/sampling.py --device cuda --json docs/performance/sampling-cuda.json" in text


def test_the_costs_are_those_of_the_shipped_configurations() -> None:
    found = read_figures()["cost"]
    assert found["rows"] == cost.predict(**found["assumed"])
    assert found["two_processes"] == cost.efficiencies(cost.RANKS)
    once, twice = (cost.predict(**{**found["assumed"], "gpus": gpus}) for gpus in (8, 16))
    # Twice the GPUs see twice the images in the same hours, and encode them all in half.
    assert [row["hours"] for row in twice] == pytest.approx(
        [row["hours"] / (1 if "steps" in row else 2) for row in once]
    )


def test_codes_pixels_and_networks_can_be_chosen() -> None:
    assumed = read_figures()["cost"]["assumed"]
    first, *_ = cost.predict(**assumed)
    more, *_ = cost.predict(**{**assumed, "codes": assumed["codes"] + 1000})
    # Vectors, sums, seven numbers and a byte a code, and the averages of all that.
    assert 1e9 * (more["gigabytes"] - first["gigabytes"]) == pytest.approx(4000 * 2 * (2 * 64 + 7.25))
    larger, _, generator = cost.predict(
        **{**assumed, "size": 512, "generators": ["generator/diffusion-tiny"]}
    )
    assert larger["tokens"] == 4 * first["tokens"]
    assert generator["training"] == "generator, diffusion-tiny"
    small, *_ = cost.predict(**{**assumed, "backbone_config": "backbone/small-128"})
    assert small["parameters"] < first["parameters"]
    alone, *_ = cost.predict(**{**assumed, "gpus": 1})
    assert alone["hours_exchanging"] == 0
    assert first["hours_exchanging"] > 0


def test_the_efficiency_of_two_processes_stands_beside_the_cost(tmp_path: Path) -> None:
    figures = written(
        tmp_path / "ranks.json", [], rows=[ranks.row("tokenizer", {1: [100.0], 2: [150.0]})], steps=40
    )
    gained = cost.efficiencies(tmp_path / "ranks.json")
    assert gained == {"tokenizer": figures["rows"][0]["efficiency"]}
    assert cost.efficiencies(tmp_path / "none.json") == {}
    text = page({"cost": {**read_figures()["cost"], "two_processes": gained}})
    assert "measured to have on a CPU: tokenizer 75%." in text


@pytest.mark.parametrize(("ratio", "held"), [(0.49, False), (0.51, True), (1.99, True), (2.01, False)])
def test_a_prediction_is_held_in_both_directions(ratio: float, held: bool) -> None:
    assert within(ratio) is held
    assert verdict(ratio) == f"{ratio:.2f} {'within' if held else 'OUTSIDE'}"
    assert verdict(None) == "–"


def test_what_the_benchmarks_write_can_be_shown(tmp_path: Path) -> None:
    way = str(training.EAGER)
    step = {"milliseconds": 4.0, "spread": 0.5, "per_second": 1234.0}
    step |= {"precision": training.FP32, "flops": 2_000_000_000}
    step |= {"expected_bytes": 8_000_000, "peak_bytes": 20_000_000}
    bars = [Bar("x over y", 2.0, 1.0), Bar("y over x", 2.0, 1.0, at_most=False)]
    figures = {
        "quantizers": written(
            tmp_path / "1.json", bars, rows=quantizers.measure(8, 16, 4, 3, "cpu"), tokens=16, dim=4
        ),
        "training": written(
            tmp_path / "2.json",
            bars,
            rows=[{"model": "m", "way": way, "unit": "images", "batch_size": 2, **step}],
            parts={
                model: {way: dict.fromkeys(parts, 0.5)} for model, parts in (("m", "abcdefg"), ("n", "ab"))
            },
            ceilings={training.FP32: 4e12},
        ),
        "ranks": written(
            tmp_path / "4.json", [], rows=[ranks.row("tokenizer", {1: [100.0], 2: [150.0]})], steps=40
        ),
        "sampling-cuda": written(
            tmp_path / "3.json",
            bars,
            rows=sampling.measure(
                *sampling.generators("cpu", dim=8, layers=1, heads=2, hidden=8), 1, 1, "cpu", quick=True
            ),
        ),
    }
    text = page(figures)
    assert text.count("Measured on: device an abacus, threads 1.") == 4
    assert "| m: eager, fp32 | 4.0 ± 0.5 | 1,234 images | 1.00 |" in text
    assert "| eager, fp32 |" + " 14.3 |" * 7 in text
    assert "| n: part of a step, % | a | b |" in text
    assert "| eager, fp32 |" + " 50.0 |" * 2 in text
    # 2 GFLOP at a quarter of 4 TFLOP/s are 2 ms; in 4 ms it was an eighth.
    time = "2.0 | 4,000.0 | 2.0 | 4.0 | 2.00 within | 12%"
    assert f"| m: eager, fp32 | {time} | 8.0 | 20.0 | 2.50 OUTSIDE |" in text
    assert "| tokenizer | 16 | 100.0 | 150.0 | 75% |" in text
    assert "| x over y | 2.00 | at most 1 | missed |" in text
    assert "| y over x | 2.00 | at least 1 | reached |" in text
    assert text.count("| AR, cached | 1 |") == 1
