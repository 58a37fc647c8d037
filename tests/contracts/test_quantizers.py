"""Laws of every quantizer in the package, and of every way to put one together."""

import pytest
import torch

from regvq.configurable import build, describe
from regvq.errors import RegvqError
from tests.support.quantizers import (
    ALL,
    BOUND,
    DIM,
    FOUND,
    SIZE,
    Make,
    any_size,
    assert_same_state,
    every_grid,
    every_quantizer,
    latents,
    state_of,
    trained,
)


def test_the_walk_finds_the_public_quantizers() -> None:
    public = {"VectorQuantizer", "EMAVectorQuantizer", "GumbelQuantizer", "RegularizedVectorQuantizer"}
    assert public <= FOUND.keys()
    assert {"PeerVQ", "PeerSimVQ", "PeerFSQ", "PeerLFQ", "PeerDiVeQ", "PeerNSVQ"} <= ALL.keys()
    assert {name for name, cls in ALL.items() if not cls.exact_in_training} == {"PeerDiVeQ", "PeerNSVQ"}
    assert ALL.keys() - FOUND.keys() <= BOUND.keys() | {"ComposedQuantizer"}


@every_grid
@every_quantizer
def test_decode_of_encode_is_what_forward_gives(make: Make, grid: tuple[int, ...]) -> None:
    quantizer = trained(make).eval()
    z = latents(grid)
    output = quantizer(z)
    codes = quantizer.encode(z)
    assert torch.equal(output.codes, codes)
    assert torch.equal(output.best_codes, codes)
    assert torch.equal(quantizer.decode(codes), output.quantized)
    assert torch.equal(quantizer.codebook[codes].movedim(-1, 1), output.quantized)


@every_quantizer
def test_eval_draws_nothing_and_changes_nothing(make: Make) -> None:
    quantizer = trained(make).eval()
    z = latents()
    before, random_state = state_of(quantizer), torch.get_rng_state()
    quantizer(z)
    quantizer.encode(z)
    quantizer.decode(quantizer.encode(z))
    quantizer.token_logits(z)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert_same_state(before, state_of(quantizer))


@every_grid
@every_quantizer
def test_the_best_logit_is_the_code(make: Make, grid: tuple[int, ...]) -> None:
    quantizer = trained(make)
    z = latents(grid)
    logits = quantizer.token_logits(z)
    assert logits.shape == (2, SIZE, *grid)
    assert logits.dtype == torch.float32
    assert torch.equal(logits.argmax(1), quantizer.encode(z))


@pytest.mark.parametrize("training", [True, False])
@every_grid
@every_quantizer
def test_shapes_and_types(make: Make, grid: tuple[int, ...], training: bool) -> None:
    quantizer = trained(make).train(training)
    output = quantizer(latents(grid))
    assert output.quantized.shape == (2, DIM, *grid)
    assert output.codes.shape == output.best_codes.shape == (2, *grid)
    assert output.codes.dtype == output.best_codes.dtype == torch.int64
    assert 0 <= output.codes.min() <= output.codes.max() < SIZE
    if output.stochastic_mask is not None:
        assert output.stochastic_mask.shape == output.perturbation.shape == (2, *grid)
        assert output.stochastic_mask.dtype == torch.bool
        assert output.perturbation.dtype == torch.float32
        assert not output.perturbation.requires_grad
    assert quantizer.codebook.shape == (SIZE, DIM)
    assert quantizer.codebook.dtype == torch.float32


@every_quantizer
def test_training_looks_up_the_codes_it_reports(make: Make) -> None:
    quantizer = trained(make).train()
    codebook = quantizer.codebook.detach().clone()  # a training step may move it
    z = latents()
    output = quantizer(z)
    rows = codebook[output.codes].movedim(-1, 1)
    if quantizer.exact_in_training:
        assert torch.equal(rows, output.quantized)
    else:  # noise alone parts the value from the row: it is as far from the latent
        assert not torch.equal(rows, output.quantized)
        torch.testing.assert_close((output.quantized - z).norm(dim=1), (rows - z).norm(dim=1))


@every_quantizer
def test_the_gradient_reaches_the_encoder(make: Make) -> None:
    quantizer = trained(make).train()
    z = latents().requires_grad_()
    target = latents()
    (quantizer(z).quantized - target).square().mean().backward()
    assert z.grad is not None
    assert z.grad.isfinite().all()
    assert z.grad.abs().sum() > 0


@every_quantizer
def test_a_training_step_moves_the_codebook(make: Make) -> None:
    quantizer = trained(make).train()
    before = quantizer.codebook.detach().clone()
    optimizer = torch.optim.SGD([*quantizer.parameters(), torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    output = quantizer(latents().requires_grad_())
    (output.quantized.square().mean() + output.loss).backward()
    optimizer.step()
    moved = (quantizer.codebook.detach() - before).abs().amax(1) > 0
    assert moved.any()
    assert quantizer.codebook.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@every_quantizer
def test_half_precision_changes_nothing_inside(make: Make, dtype: torch.dtype) -> None:
    quantizer = trained(make).train()
    twin = make(SIZE, DIM).train()
    twin.load_state_dict(quantizer.state_dict())
    z = (100 * latents()).to(dtype)  # large enough for squares to leave half precision
    half, full = z.clone().requires_grad_(), z.float().requires_grad_()
    torch.manual_seed(2)
    with torch.autocast("cpu", dtype=dtype):
        output = quantizer(half)
        codes, logits = quantizer.encode(half), quantizer.token_logits(half)
    torch.manual_seed(2)
    expected = twin(full)
    assert output.quantized.dtype == dtype
    assert torch.equal(output.quantized, expected.quantized.to(dtype))
    assert torch.equal(output.codes, expected.codes)
    assert output.loss.dtype == torch.float32
    assert torch.equal(output.loss, expected.loss)
    assert torch.equal(codes, twin.encode(full))
    assert logits.isfinite().all()
    (output.quantized.float().sum() + output.loss).backward()
    (expected.quantized.sum() + expected.loss).backward()
    assert half.grad is not None
    assert full.grad is not None
    assert half.grad.isfinite().all()
    assert torch.equal(half.grad, full.grad.to(dtype))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@every_quantizer
def test_weights_kept_in_half_precision_still_compute_in_full(make: Make, dtype: torch.dtype) -> None:
    quantizer = trained(make).eval().to(dtype)
    twin = trained(make).eval()
    twin.load_state_dict({name: value.float() for name, value in quantizer.state_dict().items()})
    z = latents()
    codes = quantizer.encode(z.to(dtype))
    assert torch.equal(codes, twin.encode(z.to(dtype).float()))
    assert torch.equal(quantizer(z.to(dtype)).codes, codes)
    assert torch.equal(quantizer.decode(codes), twin.decode(codes))


@every_quantizer
def test_the_loss_is_the_sum_of_finite_losses(make: Make) -> None:
    output = trained(make)(latents().requires_grad_())
    assert output.loss.shape == ()
    assert output.loss.dtype == torch.float32
    assert output.loss.isfinite()
    torch.testing.assert_close(output.loss, sum(output.losses.values(), torch.zeros(())))
    for value in output.stats.values():
        assert value.shape == ()
        assert value.isfinite()
        assert not value.requires_grad
    assert 0 < output.stats["usage"] <= 1
    assert 1 <= output.stats["perplexity"] <= SIZE


@every_quantizer
def test_the_state_dict_carries_everything(make: Make) -> None:
    quantizer = trained(make)
    twin = make(SIZE, DIM).train()
    twin.load_state_dict({name: value.clone() for name, value in quantizer.state_dict().items()})
    z = latents()
    torch.manual_seed(3)
    expected = quantizer(z)
    torch.manual_seed(3)
    output = twin(z)
    assert torch.equal(output.quantized, expected.quantized)
    assert torch.equal(output.loss, expected.loss)
    assert_same_state(state_of(twin), state_of(quantizer))


@every_quantizer
def test_a_description_rebuilds_it(make: Make) -> None:
    quantizer = trained(make).eval()
    description = describe(quantizer)
    twin = build(description).eval()
    assert type(twin) is type(quantizer)
    assert describe(twin) == description
    twin.load_state_dict(quantizer.state_dict())
    z = latents()
    assert torch.equal(twin(z).quantized, quantizer(z).quantized)
    assert torch.equal(twin(z).loss, quantizer(z).loss)


@any_size
def test_one_code_is_enough(make: Make) -> None:
    quantizer = make(1, DIM).train()
    for _ in range(2):
        output = quantizer(latents().requires_grad_())
    assert output.codes.max() == 0
    assert output.quantized.isfinite().all()
    assert output.loss.isfinite()
    assert output.stats["usage"] == output.stats["perplexity"] == 1


@pytest.mark.filterwarnings("ignore:the first batch has")
@every_quantizer
def test_more_codes_than_tokens(make: Make) -> None:
    quantizer = make(100, DIM).train()
    z = latents().requires_grad_()
    for _ in range(2):
        output = quantizer(z)
    (output.quantized.square().mean() + output.loss).backward()
    assert output.loss.isfinite()
    assert z.grad is not None
    assert z.grad.isfinite().all()


@pytest.mark.parametrize("code", [-1, SIZE, 10**9])
@every_quantizer
def test_a_code_outside_the_codebook_is_refused(make: Make, code: int) -> None:
    quantizer = make(SIZE, DIM)
    with pytest.raises(ValueError, match=rf"\[0, {SIZE}\)"):
        quantizer.decode(torch.tensor([[0, 1, code]]))


@every_quantizer
def test_codes_are_integers(make: Make) -> None:
    with pytest.raises(RegvqError, match="integers"):
        make(SIZE, DIM).decode(torch.zeros(1, 2))


@every_quantizer
def test_any_integer_type_decodes(make: Make) -> None:
    quantizer = make(SIZE, DIM)
    codes = torch.tensor([[0, 3, 15]])
    for dtype in (torch.uint8, torch.int16, torch.int32):
        assert torch.equal(quantizer.decode(codes.to(dtype)), quantizer.decode(codes))


@pytest.mark.parametrize("shape", [(2, DIM + 1, 4), (2, DIM), (2, 4, DIM, DIM + 1)])
@every_quantizer
def test_other_channels_are_refused(make: Make, shape: tuple[int, ...]) -> None:
    quantizer = make(SIZE, DIM)
    for call in (quantizer, quantizer.encode, quantizer.token_logits):
        with pytest.raises(RegvqError, match=str(DIM)):
            call(torch.zeros(shape))


@pytest.mark.parametrize(("size", "dim"), [(0, DIM), (-3, DIM), (SIZE, 0)])
@every_quantizer
def test_sizes_below_one_are_refused(make: Make, size: int, dim: int) -> None:
    with pytest.raises(RegvqError, match=r"at least [123]"):
        make(size, dim)
