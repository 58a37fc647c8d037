"""The kernels against the readable maths; without a GPU in Triton's own interpreter."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor

from regvq.quantizers import CosineHead, EuclideanHead, Head, LinearHead
from regvq.quantizers.functional import kl_slope, regularized_choice
from regvq.quantizers.scores import Scores
from regvq.quantizers.tiles import GumbelNoise

pytest.importorskip("triton", reason="Triton is made for Linux")

M, N = 70, 150
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
        command, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "13 passed" in done.stdout, done.stdout


HEADS: dict[str, Callable[[], Head]] = {
    "linear": lambda: LinearHead(3.0),
    "cosine": lambda: CosineHead(6.0),
    "Euclidean": EuclideanHead,
}


def case(head: Callable[[], Head], dim: int) -> Scores:
    """Of random latents and codes, as factors that are leaves."""
    torch.manual_seed(0)
    built = head()
    built.bind(N, dim)
    latents, codes = torch.randn(M, dim), torch.randn(N, dim)
    scores = built(built.project(latents), built.project(codes))
    factors = (scores.latents, scores.weight, scores.bias)
    return Scores(*(None if one is None else one.detach().to(DEVICE).requires_grad_() for one in factors))


def given() -> tuple[Tensor, Tensor, Tensor]:
    """Latents, weight and bias without gradient."""
    scores = case(LinearHead, 6)
    assert scores.bias is not None
    return scores.latents.detach(), scores.weight.detach(), scores.bias.detach()


def noise_for(ratio: float) -> GumbelNoise:
    mask = (torch.arange(M) % 5 < 5 * ratio).to(DEVICE)
    return GumbelNoise(mask, int(mask.sum()), seed=2**61 + 5, scale=2.5)


@on_a_device
@pytest.mark.parametrize(
    ("dim", "ratio", "temperature"),
    [(6, None, 0.7), (6, 0.4, 1.0), (16, 1.0, 0.7)],
    ids=["no noise", "some noise", "noise"],
)
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
def test_values_and_gradients_are_those_of_the_matrix(
    head: Callable[[], Head], dim: int, ratio: float | None, temperature: float, kernels: ModuleType
) -> None:
    scores = case(head, dim)
    factors = scores.latents, scores.weight, scores.bias
    detached = [None if factor is None else factor.detach() for factor in factors]
    noise = None if ratio is None else noise_for(ratio)
    logits = scores.logits()
    drawn = torch.zeros_like(logits) if noise is None else kernels.noise_matrix(noise, N)
    mask = torch.zeros(M, dtype=torch.bool, device=DEVICE) if noise is None else noise.mask
    log_prior = torch.linspace(0, 1, N, device=DEVICE).log_softmax(0)
    wanted = regularized_choice(logits, drawn, mask, temperature, log_prior)
    best, chosen = kernels.choose(*detached, noise)
    assert torch.equal(best, wanted.best_codes)
    assert torch.equal(chosen, wanted.codes)
    slope = kl_slope(wanted.posterior, log_prior, M)
    values, upstream = torch.randn(N, dim).to(DEVICE), torch.randn(M, dim).to(DEVICE)
    used = [factor for factor in factors if factor is not None]
    for means in (True, False):
        loss = means * (wanted.assignment @ values * upstream).sum() + M * wanted.kl / 3
        gradients = torch.autograd.grad(loss, used, retain_graph=True)
        d_means = upstream if means else None
        found = kernels.soft_gradients(
            *detached, values, slope / 3, d_means, noise, temperature, True, scores.bias is not None
        )
        for one, other in zip((part for part in found if part is not None), gradients, strict=True):
            torch.testing.assert_close(one, other, rtol=2e-4, atol=2e-5)


@on_a_device
def test_noise_on_no_token_changes_nothing(kernels: ModuleType) -> None:
    latents, weight, bias = given()
    best, chosen = kernels.choose(latents, weight, bias, noise_for(0.0))
    assert torch.equal(best, chosen)


@on_a_device
def test_what_is_not_asked_for_is_not_made(kernels: ModuleType) -> None:
    latents, weight, bias = given()
    values, slope = torch.randn(N, 6).to(DEVICE), torch.randn(N).to(DEVICE)
    found = kernels.soft_gradients(latents, weight, bias, values, slope, None, None, 1.0, False, False)
    assert found[1] is None
    assert found[2] is None


@on_a_device
def test_of_equal_logits_the_first_is_taken(kernels: ModuleType) -> None:
    # Whole numbers: whatever order a product adds them up in, all logits of a token are equal.
    latents, weight = torch.randint(-9, 9, (20, 6)).float().to(DEVICE), torch.ones(N, 6).to(DEVICE)
    assert not kernels.choose(latents, weight, None, None)[0].any()


@on_a_device
def test_no_tokens_are_enough(kernels: ModuleType) -> None:
    _, weight, bias = given()
    assert len(kernels.choose(weight[:0], weight, bias, None)[0]) == 0
