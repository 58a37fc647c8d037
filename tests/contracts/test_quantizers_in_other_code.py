"""Laws of every quantizer in somebody else's training: checkpointing, casts, NaN, freezing, transforms."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from regvq.errors import RegvqError
from regvq.quantizers import Quantizer
from regvq.quantizers.peers import PeerQuantizer
from tests.support.quantizers import (
    DIM,
    SIZE,
    Make,
    assert_same_state,
    every_quantizer,
    latents,
    state_of,
    trained,
)

reentrant_or_not = pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "not reentrant"])


# Activation checkpointing


def _step(
    quantizer: Quantizer, steps: Callable[[Callable[..., Tensor], Tensor], Tensor], passes: int
) -> tuple[Tensor, list[Tensor]]:
    """Run a training step of ``passes`` forward passes; give the input's gradient and all codes seen."""
    torch.manual_seed(9)
    decoder = nn.Linear(DIM, DIM)
    z = latents((4, 4), batch=2 * passes).requires_grad_()
    codes = []

    def run(part: Tensor) -> Tensor:
        output = quantizer(part)
        codes.append(output.codes)
        loss: Tensor = decoder(output.quantized.movedim(1, -1)).square().mean() + output.loss
        return loss

    torch.manual_seed(10)
    steps(run, z).backward()
    assert z.grad is not None
    return z.grad, codes


def _plainly(run: Callable[..., Tensor], z: Tensor) -> Tensor:
    return run(z)


@reentrant_or_not
@every_quantizer
def test_a_recomputed_pass_gives_the_same_and_moves_nothing(make: Make, reentrant: bool) -> None:
    quantizer, twin = trained(make), trained(make)
    expected, _ = _step(twin, _plainly, passes=1)
    found, codes = _step(quantizer, lambda run, z: checkpoint(run, z, use_reentrant=reentrant), passes=1)
    assert len(codes) == 2  # it did run again
    assert torch.equal(codes[0], codes[1])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)
    assert_same_state(state_of(quantizer), state_of(twin))


@reentrant_or_not
@every_quantizer
def test_two_passes_in_a_step_are_recomputed_each_as_it_was(make: Make, reentrant: bool) -> None:
    quantizer, twin = trained(make), trained(make)

    def both(run: Callable[..., Tensor], z: Tensor) -> Tensor:
        return sum((checkpoint(run, part, use_reentrant=reentrant) for part in z.chunk(2)), torch.zeros(()))

    expected, _ = _step(twin, lambda run, z: run(z[:2]) + run(z[2:]), passes=2)
    found, codes = _step(quantizer, both, passes=2)
    first, second, *again = codes  # the backward pass takes the second first
    assert torch.equal(torch.stack(again), torch.stack([second, first]))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)
    assert_same_state(state_of(quantizer), state_of(twin))


@reentrant_or_not
@every_quantizer
def test_two_passes_in_one_checkpoint_are_told_apart(make: Make, reentrant: bool) -> None:
    quantizer, twin = trained(make), trained(make)

    def both(run: Callable[..., Tensor], z: Tensor) -> Tensor:
        return checkpoint(lambda z: run(z[:2]) + run(z[2:]), z, use_reentrant=reentrant)

    expected, _ = _step(twin, lambda run, z: run(z[:2]) + run(z[2:]), passes=2)
    found, codes = _step(quantizer, both, passes=2)
    assert torch.equal(torch.stack(codes[:2]), torch.stack(codes[2:]))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)
    assert_same_state(state_of(quantizer), state_of(twin))


def test_other_random_numbers_in_the_second_run_are_refused() -> None:
    from regvq.quantizers import RegularizedVectorQuantizer

    quantizer = trained(RegularizedVectorQuantizer)
    z = latents().requires_grad_()
    loss = checkpoint(
        lambda z: quantizer(z).quantized.sum(), z, use_reentrant=False, preserve_rng_state=False
    )
    with pytest.raises(RegvqError, match="preserve_rng_state"):
        loss.backward()


@every_quantizer
def test_a_copy_is_kept_no_longer_than_its_graph(make: Make) -> None:
    quantizer = trained(make)
    for _ in range(3):
        loss = checkpoint(
            lambda z: quantizer(z).quantized.sum(), latents().requires_grad_(), use_reentrant=False
        )
        assert len(quantizer._replays._copies) == 1
        loss.backward()
        del loss
    assert len(quantizer._replays._copies) == 0
    quantizer(latents().requires_grad_())
    assert len(quantizer._replays._copies) == 0  # without checkpointing there is none


# Tokens that are not finite


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@every_quantizer
def test_a_token_that_is_not_finite_teaches_nothing(make: Make, value: float) -> None:
    quantizer, z = trained(make), latents((4, 4), batch=4)
    z[1, 2, 3, 0] = value
    output = quantizer(z.requires_grad_())
    assert output.stats["non_finite"] == 1
    assert not output.quantized[1, :, 3, 0].isfinite().any()  # the loss of this step shows it
    others = torch.ones(4, 4, 4, dtype=torch.bool)
    others[1, 3, 0] = False
    assert output.quantized.movedim(1, -1)[others].isfinite().all()
    assert 0 <= output.codes.min() <= output.codes.max() < SIZE
    assert output.loss.isfinite()
    for name, tensor in state_of(quantizer).items():
        assert tensor.isfinite().all(), name
    again = quantizer(latents((4, 4), batch=4))
    assert again.quantized.isfinite().all()
    assert again.stats["non_finite"] == 0


@every_quantizer
def test_a_loop_with_a_gradient_scaler_recovers(make: Make) -> None:
    torch.manual_seed(0)
    quantizer, encoder = make(SIZE, DIM).train(), nn.Conv2d(DIM, DIM, 1)
    optimizer = torch.optim.Adam([*encoder.parameters(), *quantizer.parameters()], lr=1e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for step in range(6):
        x = latents()
        if step == 2:
            x[0, 0, 0, 0] = torch.inf
        optimizer.zero_grad()
        output = quantizer(encoder(x))
        loss = (output.quantized - x).square().mean() + output.loss
        assert bool(loss.isfinite()) == (step != 2)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    assert encoder.weight.isfinite().all()
    assert quantizer.codebook.isfinite().all()
    assert loss.isfinite()


# Casts, empty batches


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@every_quantizer
def test_a_cast_quantizer_trains(make: Make, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    quantizer = make(SIZE, DIM).to(dtype).train()
    before = quantizer.codebook.detach().clone()
    optimizer = torch.optim.SGD([*quantizer.parameters(), nn.Parameter(torch.zeros(1))], lr=0.1)
    for _ in range(3):
        z = latents().to(dtype).requires_grad_()
        output = quantizer(z)
        assert output.quantized.dtype == dtype
        optimizer.zero_grad()
        (output.quantized.float().square().mean() + output.loss).backward()
        assert z.grad is not None
        assert z.grad.dtype == dtype
        optimizer.step()
    assert quantizer.codebook.isfinite().all()
    assert not torch.equal(quantizer.codebook, before)


@every_quantizer
def test_statistics_stay_in_float32(make: Make) -> None:
    quantizer = trained(make)
    before = {name: value.clone() for name, value in quantizer.named_buffers()}
    quantizer.half()
    for name, value in quantizer.named_buffers():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
@every_quantizer
def test_a_default_format_changes_nothing(make: Make, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    twin = make(SIZE, DIM).train()
    twin(latents())
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    try:
        quantizer = make(SIZE, DIM)
    finally:
        torch.set_default_dtype(torch.float32)
    for name, value in quantizer.named_buffers():
        assert not value.is_floating_point() or value.dtype in (
            torch.float32,
            dict(twin.named_buffers())[name].dtype,
        )


@every_quantizer
def test_an_empty_batch_gives_empty_tokens_and_moves_no_code(make: Make) -> None:
    quantizer = trained(make)
    before = quantizer.codebook.detach().clone()
    for training in (True, False):
        output = quantizer.train(training)(torch.zeros(0, DIM, 3, 4, requires_grad=True))
        assert output.codes.shape == (0, 3, 4)
        assert output.quantized.shape == (0, DIM, 3, 4)
        assert output.loss.isfinite()
        (output.quantized.sum() + output.loss).backward()
    torch.testing.assert_close(quantizer.codebook.detach(), before)
    assert quantizer.encode(torch.zeros(0, DIM, 3, 4)).shape == (0, 3, 4)


# Frozen quantizers


@every_quantizer
def test_a_frozen_quantizer_does_not_move(make: Make) -> None:
    quantizer = trained(make)
    before = state_of(quantizer)
    quantizer.requires_grad_(False).train()
    z = latents().requires_grad_()
    for _ in range(3):
        output = quantizer(z)
        (output.quantized.square().mean() + output.loss).backward()
    assert_same_state(before, state_of(quantizer))
    assert all(parameter.grad is None for parameter in quantizer.parameters())
    assert z.grad is not None  # the encoder before it goes on learning
    quantizer.requires_grad_(True)
    quantizer(z)
    frozen, moving = dict(before), state_of(quantizer)
    learns_alone = any(not torch.equal(frozen[name], moving[name]) for name in frozen)
    assert learns_alone or list(quantizer.parameters()) or not before


@every_quantizer
def test_a_quantizer_in_eval_mode_inside_of_a_model_that_trains_does_not_move(make: Make) -> None:
    quantizer = trained(make)
    model = nn.Sequential(nn.Conv2d(DIM, DIM, 1), quantizer).train()
    quantizer.eval()
    before, random_state = state_of(quantizer), torch.get_rng_state()
    output = model(latents((3, 4)).requires_grad_())
    output.quantized.sum().backward()
    torch.set_rng_state(random_state)
    assert_same_state(before, state_of(quantizer))
    assert model[0].weight.grad is not None


# Transforms


@every_quantizer
def test_functional_gradients_are_those_of_autograd(make: Make) -> None:
    quantizer, twin = trained(make), trained(make)
    z = latents()

    def loss(z: Tensor, of: Quantizer) -> Tensor:
        output = of(z)
        total: Tensor = (output.quantized - 1).square().sum() + output.loss
        return total

    if isinstance(quantizer, PeerQuantizer) and quantizer.moves_in_place:
        with pytest.raises(RegvqError, match=r"torch\.func"):
            torch.func.grad(loss)(z, quantizer)
        return
    torch.manual_seed(5)
    found = torch.func.grad(loss)(z, quantizer)
    torch.manual_seed(5)
    leaf = z.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss(leaf, twin), leaf)
    torch.testing.assert_close(found, expected)
    assert_same_state(state_of(quantizer), state_of(twin))
    quantizer(latents())  # nothing of the transform is left in it


def test_vmap_is_refused() -> None:
    from regvq.quantizers import EMAVectorQuantizer

    quantizer = trained(EMAVectorQuantizer)
    with pytest.raises(RegvqError, match=r"torch\.func\.vmap"):
        torch.func.vmap(lambda z: quantizer(z[None]).quantized[0])(latents())


@every_quantizer
def test_a_compiled_model_runs_the_quantizer_as_it_is(make: Make) -> None:
    torch.manual_seed(0)
    quantizer = trained(make)
    twin = copy.deepcopy(quantizer)
    around = nn.Conv2d(DIM, DIM, 1)
    z = latents((3, 4))

    def run(of: Quantizer, z: Tensor) -> Tensor:
        output = of(around(z))
        total: Tensor = around(output.quantized).square().mean() + output.loss
        return total

    torch._dynamo.reset()
    compiled = torch.compile(run, backend="eager")
    torch.manual_seed(1)
    found = compiled(quantizer, z)
    torch.manual_seed(1)
    torch.testing.assert_close(found, run(twin, z))
    assert_same_state(state_of(quantizer), state_of(twin))
    torch._dynamo.reset()
    with pytest.raises(Exception, match="leave fullgraph=True out"):
        torch.compile(run, backend="eager", fullgraph=True)(quantizer, z)
    torch._dynamo.reset()
