"""What all benchmarks have in common: options, turns, versions, and a place in the Makefile."""

import importlib
import importlib.metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import measuring
from benchmarks import offline_features, ranks, recipe, stochastic_mask
from benchmarks.performance import SECTIONS

FOLDER = Path(measuring.__file__).parent
WRITERS = {"loop_page", "performance", "publish", "reliability", "results"}
"""They make pages of figures, and measure nothing."""
BENCHMARKS = sorted(
    file.stem
    for file in FOLDER.glob("*.py")
    if "__main__" in file.read_text(encoding="utf-8") and file.stem not in WRITERS
)


def test_they_are_found() -> None:
    assert {"cost", "offline_features", "quantizers", "ranks", "recipe", "sampling"} <= set(BENCHMARKS)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_takes_json_and_quick(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit) as end:
        module.main()
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "--json" in shown
    assert "--quick" in shown


@pytest.mark.parametrize("name", ["offline_features", "quantizers", "sampling", "training"])
def test_contestants_that_are_timed_take_turns(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert "take_turns(" in text
    assert "perf_counter" not in text


def test_feature_nets_take_turns() -> None:
    order: list[int] = []

    def net(number: int) -> torch.nn.Module:
        module = torch.nn.Identity()
        module.register_forward_pre_hook(lambda *_: order.append(number))
        return module

    assert len(offline_features.milliseconds([net(1), net(2)], 4, rounds=2)) == 2
    assert order == [1, 2] * 3


def test_one_process_and_two_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[int] = []

    def started(stage: str, steps: int, processes: int) -> float:
        order.append(processes)
        return 1.0

    monkeypatch.setattr(ranks, "started", started)
    monkeypatch.setattr("sys.argv", ["ranks"])
    assert ranks.main() == 0
    assert order == [1, 2] * 5 * len(ranks.BATCH)


def test_make_bench_runs_every_benchmark_of_the_page() -> None:
    recipe = (FOLDER.parent / "Makefile").read_text(encoding="utf-8").partition("\nbench:")[2]
    run = recipe.partition("\n\n")[0]
    for name in SECTIONS:
        assert f"benchmarks/{name}.py --quick" in run


def test_figures_carry_the_versions_of_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measuring.machine()
    assert found["torch"] == torch.__version__
    assert found.get("CUDA") == torch.version.cuda
    for library in ("lightning", "transformers", "vector-quantize-pytorch"):
        assert found[library] == importlib.metadata.version(library)

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    assert "transformers" not in measuring.machine()


@pytest.mark.parametrize(("module", "most"), [(recipe, 5), (stochastic_mask, 3)])
def test_a_quick_run_trains_few(
    module: ModuleType, most: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[int] = []

    def none_missing(wanted: dict[Path, Any], jobs: int, report: Any) -> list[Any]:
        asked.append(len(wanted))
        return []

    monkeypatch.setattr(module, "run_missing", none_missing)
    monkeypatch.setattr(module, "table", lambda rows: "")
    for arguments in ([], ["--quick"]):
        monkeypatch.setattr("sys.argv", [module.__name__, "--output", str(tmp_path), *arguments])
        module.main()
    assert asked[1] == most < asked[0]
