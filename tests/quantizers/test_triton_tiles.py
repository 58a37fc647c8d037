"""The kernels against the readable maths; without a GPU in Triton's own interpreter."""

import importlib
import itertools
import os
import subprocess
import sys
import warnings
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from regvq.quantizers import tiles
from regvq.quantizers.tiles import GumbelNoise

pytest.importorskip("triton", reason="Triton is made for Linux")

M, N, D, K = 70, 150, 6, 5
"""No multiples of a block."""
CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"


INTERPRETED = "TRITON_INTERPRET"
on_a_device = pytest.mark.skipif(
    not CUDA and INTERPRETED not in os.environ, reason="the interpreter has a process of its own, see below"
)


@pytest.fixture
def kernels() -> ModuleType:
    return importlib.import_module("regvq.quantizers.triton_tiles")


@pytest.mark.skipif(CUDA or INTERPRETED in os.environ, reason="this is the device, or the process")
def test_in_the_interpreter() -> None:
    # Whether kernels are interpreted is decided when Triton is imported, which others have done here.
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n0",
        "-p",
        "no:cacheprovider",
        "-o",
        "addopts=",
        __file__,
    ]
    environment = {**os.environ, INTERPRETED: "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "8 passed" in done.stdout, done.stdout


def leaves() -> list[Tensor]:
    torch.manual_seed(0)
    shapes = ((M, D), (N, D), (N,))
    return [torch.randn(*shape).to(DEVICE).requires_grad_() for shape in shapes]


def noise_for(noisy: bool) -> GumbelNoise | None:
    if not noisy:
        return None
    mask = (torch.arange(M) % 5 < 2).to(DEVICE)
    return GumbelNoise(mask, int(mask.sum()), seed=2**61 + 5, scale=2.5)


@on_a_device
@pytest.mark.parametrize(("noisy", "biased"), list(itertools.product([False, True], repeat=2)))
def test_values_and_gradients_are_those_of_the_matrix(
    noisy: bool, biased: bool, kernels: ModuleType
) -> None:
    latents, weight, bias = leaves()
    bias = bias if biased else None
    noise = noise_for(noisy)
    logits = F.linear(latents, weight, bias)
    drawn = torch.zeros_like(logits) if noise is None else kernels.noise_matrix(noise, N)
    given = [None if leaf is None else leaf.detach() for leaf in (latents, weight, bias)]
    best, chosen = kernels.choose(*given, noise)
    assert torch.equal(best, logits.argmax(1))
    assert torch.equal(chosen, (logits + drawn).argmax(1))
    soft = ((logits + drawn) / 0.7).softmax(1)
    values, slope, upstream = (torch.randn(*shape).to(DEVICE) for shape in ((N, K), (N,), (M, K)))
    for means in (True, False):
        loss = means * (soft @ values * upstream).sum() + soft.sum(0) @ slope / 3
        used = [leaf for leaf in (latents, weight, bias) if leaf is not None]
        wanted = torch.autograd.grad(loss, used, retain_graph=True)
        d_means = upstream if means else None
        found = kernels.soft_gradients(*given, values, slope / 3, d_means, noise, 0.7, True, biased)
        for one, other in zip((part for part in found if part is not None), wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=2e-4, atol=2e-5)


@on_a_device
def test_what_is_not_asked_for_is_not_made(kernels: ModuleType) -> None:
    latents, weight, bias = (leaf.detach() for leaf in leaves())
    values, slope = torch.randn(N, K).to(DEVICE), torch.randn(N).to(DEVICE)
    found = kernels.soft_gradients(latents, weight, bias, values, slope, None, None, 1.0, False, False)
    assert found[1] is None
    assert found[2] is None


@on_a_device
def test_of_equal_logits_the_first_is_taken(kernels: ModuleType) -> None:
    latents, weight = torch.randn(20, D).to(DEVICE), torch.ones(N, D).to(DEVICE)
    assert not kernels.choose(latents, weight, None, None)[0].any()


@on_a_device
def test_no_tokens_are_enough(kernels: ModuleType) -> None:
    _, weight, bias = (leaf.detach() for leaf in leaves())
    assert len(kernels.choose(weight[:0], weight, bias, None)[0]) == 0
