"""The kernels as programs for an H100 or H200, which Triton's compiler makes without one."""

import importlib
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from regvq.quantizers.triton_support import LARGEST_DIM
from tests.quantizers.test_triton_launches import KERNELS, launch_all

pytest.importorskip("triton", reason="Triton is made for Linux")


@pytest.fixture
def triton_tiles() -> ModuleType:
    return importlib.import_module("regvq.quantizers.triton_tiles")


@pytest.fixture
def hopper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton believes that the current device is a GPU of compute capability 9.0."""
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver

    gpu = SimpleNamespace(
        get_current_target=lambda: GPUTarget("cuda", 90, 32),
        get_current_device=lambda: 0,
        get_current_stream=lambda device: 0,
    )
    monkeypatch.setattr(driver, "_active", gpu)


@pytest.mark.parametrize("dim", [64, LARGEST_DIM])
def test_the_programs_fit_the_shared_memory(
    dim: int, triton_tiles: ModuleType, hopper: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = {}

    def compiled(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
        program = kernel.warmup(*arguments, grid=grid, **options)
        shared[program.metadata.name] = program.metadata.shared

    monkeypatch.setattr(triton_tiles, "_launch", compiled)
    launch_all(triton_tiles, "cpu", dim)
    assert shared.keys() == set(KERNELS)
    assert max(shared.values()) <= triton_tiles.SHARED_MEMORY
    assert min(shared[name] for name in KERNELS if name != "noise_matrix") > 0  # blocks are shared at all
