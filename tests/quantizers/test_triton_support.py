"""Where there are no kernels: that is said once, and what our own kernels raise is not taken for it."""

import importlib
import subprocess
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from regvq.quantizers import triton_support
from regvq.quantizers.triton_support import LARGEST_DIM, kernels_for

pytest.importorskip("triton", reason="Triton is made for Linux")


class OnGpu:
    """What ``kernels_for`` looks at of latents that lie on a GPU, for which the CPU stands in."""

    is_cuda, device = True, torch.device("cpu")

    def __init__(self, dim: int = 64, dtype: torch.dtype = torch.float32) -> None:
        self.shape, self.dtype = (10, dim), dtype


@pytest.fixture
def triton_tiles() -> ModuleType:
    return importlib.import_module("regvq.quantizers.triton_tiles")


@pytest.fixture(autouse=True)
def not_looked_yet() -> Iterator[None]:
    triton_support._working.cache_clear()
    yield
    triton_support._working.cache_clear()


def missing(name: str) -> ModuleType:
    raise ImportError(f"No module named {name!r}")


def failing(error: Exception) -> Any:
    class Kernel:
        def __getitem__(self, grid: tuple[int, ...]) -> "Kernel":
            return self

        def __call__(self, *arguments: Any, **options: Any) -> None:
            raise error

    return Kernel()


def on_a_gpu(triton_tiles: ModuleType, monkeypatch: pytest.MonkeyPatch, shared: int, probe: Any) -> None:
    """A GPU whose launches do what ``probe`` does, as far as looking for one goes."""
    facts = type("Properties", (), {"shared_memory_per_block_optin": shared})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: facts)
    monkeypatch.setattr(triton_tiles.kernels, "probe", probe)


def said_once(message: str) -> None:
    latents: Any = OnGpu()
    with pytest.warns(UserWarning, match=message):
        assert kernels_for(latents) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kernels_for(latents) is None


def test_without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_support.importlib, "import_module", missing)
    said_once("Triton cannot be imported")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Failed to find C compiler."),
        subprocess.CalledProcessError(1, "gcc"),  # no Python.h
        PermissionError("the cache of programs"),
    ],
)
def test_where_triton_can_make_no_program(
    error: Exception, triton_tiles: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_gpu(triton_tiles, monkeypatch, 2**20, failing(error))
    said_once(rf"Triton does not work here \({type(error).__name__}")


def test_on_a_gpu_with_little_shared_memory(
    triton_tiles: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_gpu(triton_tiles, monkeypatch, 2**16, failing(AssertionError("not launched")))
    said_once("this GPU has 65536")


def test_an_error_of_our_own_kernels_is_raised(
    triton_tiles: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[Tensor] = []
    probe = type("Kernel", (), {"__getitem__": lambda self, grid: launched.append})()
    on_a_gpu(triton_tiles, monkeypatch, 2**20, probe)
    latents: Any = OnGpu()
    kernels = kernels_for(latents)
    assert kernels is triton_tiles
    assert len(launched) == 1
    monkeypatch.setattr(triton_tiles.kernels, "choose", failing(RuntimeError("a mistake")))
    with pytest.raises(RuntimeError, match="a mistake"):
        kernels.choose(torch.zeros(4, 6), torch.zeros(5, 6), None, None)


@pytest.mark.parametrize(
    "latents", [torch.zeros(2, 64), OnGpu(LARGEST_DIM + 1), OnGpu(dtype=torch.float64)]
)
def test_what_has_no_kernels_looks_for_none(latents: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_support.importlib, "import_module", missing)
    assert kernels_for(latents) is None
