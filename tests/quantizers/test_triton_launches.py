"""How the kernels are launched, for which no GPU is needed."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from regvq.quantizers.tiles import GumbelNoise

pytest.importorskip("triton", reason="Triton is made for Linux")

KERNELS = ("choose", "latents_gradient", "weight_gradient", "noise_matrix")


@pytest.fixture
def triton_tiles() -> ModuleType:
    return importlib.import_module("regvq.quantizers.triton_tiles")


def launch_all(triton_tiles: ModuleType, device: str, dim: int) -> None:
    """Every kernel once, with all that it can be asked for."""
    latents, weight, bias, slope = (
        torch.zeros(*shape, device=device) for shape in ((70, dim), (160, dim), (160,), (160,))
    )
    noise = GumbelNoise(torch.ones(70, dtype=torch.bool, device=device), 70, seed=2**61)
    triton_tiles.choose(latents, weight, bias, noise)
    triton_tiles.soft_gradients(
        latents, weight, bias, weight, slope, latents, noise, 0.7, of_weight=True, of_bias=True
    )
    triton_tiles.noise_matrix(noise, 160)


def test_a_kernel_runs_on_the_device_of_its_tensors(
    triton_tiles: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = [torch.device("cuda:0")]
    launched = []

    class Kernel:
        def __init__(self, name: str) -> None:
            self.name = name

        def __getitem__(self, grid: tuple[int, ...]) -> "Kernel":
            return self

        def __call__(self, *arguments: Any, **options: Any) -> None:
            launched.append(self.name)
            tensors = [given for given in arguments if isinstance(given, Tensor)]
            assert {tensor.device for tensor in tensors} == {current[-1]}

    @contextmanager
    def device_of(tensor: Tensor) -> Iterator[None]:
        current.append(tensor.device)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "device_of", device_of)
    for name in KERNELS:
        monkeypatch.setattr(triton_tiles.kernels, name, Kernel(name))
    launch_all(triton_tiles, "meta", dim=6)  # a device that is not the current one
    assert launched == list(KERNELS)
