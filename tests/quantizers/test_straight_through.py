"""Each straight-through form: the value is the embedding's, the gradient that of a dense reference."""

import pytest
import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.quantizers import (
    BalancedStraightThrough,
    IdentityStraightThrough,
    RotationStraightThrough,
    SoftmaxStraightThrough,
    StraightThrough,
)
from regvq.quantizers.functional import expected_gradient, rotation_straight_through

M, N, D = 7, 5, 4


def _case() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Latents, logits, codes with gradient, in float64; and the gradient that comes from above."""
    latents = torch.randn(M, D, dtype=torch.float64, requires_grad=True)
    logits = torch.randn(M, N, dtype=torch.float64, requires_grad=True)
    codes = torch.randn(N, D, dtype=torch.float64, requires_grad=True)
    return latents, logits, codes, torch.randn(M, D, dtype=torch.float64)


@pytest.mark.parametrize(
    "form",
    [
        IdentityStraightThrough(),
        BalancedStraightThrough(),
        RotationStraightThrough(),
        SoftmaxStraightThrough(),
    ],
)
def test_the_value_is_the_embedding_to_the_bit(form: StraightThrough) -> None:
    latents, logits, codes, _ = _case()
    chosen = codes[logits.argmax(1)]
    expected = expected_gradient(logits.softmax(1), codes)
    assert torch.equal(form(latents, chosen, chosen, expected), chosen)


def test_identity_copies_the_gradient_to_the_latents_alone() -> None:
    latents, logits, codes, upstream = _case()
    chosen = codes[logits.argmax(1)]
    quantized = IdentityStraightThrough()(latents, chosen, chosen, None)
    gradients = torch.autograd.grad(quantized, (latents, codes), upstream, allow_unused=True)
    assert torch.equal(gradients[0], upstream)
    assert gradients[1] is None


def test_softmax_gives_the_gradient_of_the_plain_formula() -> None:
    _, logits, codes, upstream = _case()
    posterior = logits.softmax(1)
    one_hot = torch.nn.functional.one_hot(logits.argmax(1), N).to(codes)
    plain = (one_hot - posterior.detach() + posterior) @ codes
    expected = torch.autograd.grad(plain, (logits, codes), upstream, retain_graph=True)
    chosen = codes[logits.argmax(1)]
    quantized = SoftmaxStraightThrough()(logits[:, :D], chosen, chosen, expected_gradient(posterior, codes))
    gradients = torch.autograd.grad(quantized, (logits, codes), upstream)
    torch.testing.assert_close(gradients, expected, rtol=1e-12, atol=1e-12)


def _rotation(start: Tensor, end: Tensor) -> Tensor:
    """The dense [D, D] rotation from one unit vector to another within the plane they span."""
    # In the basis (start, the rest of end), the rotation by the angle between them.
    cosine = start @ end
    rest = end - cosine * start
    sine = rest.norm()
    rest = rest / sine
    plane = torch.outer(start, start) + torch.outer(rest, rest)
    turn = torch.outer(rest, start) - torch.outer(start, rest)
    return torch.eye(len(start), dtype=start.dtype) - plane + cosine * plane + sine * turn


def test_rotation_equals_an_explicit_rotation_matrix() -> None:
    latents, logits, codes, upstream = _case()
    chosen = codes[logits.argmax(1)].detach()
    quantized = RotationStraightThrough()(latents, chosen, chosen, None)
    (gradient,) = torch.autograd.grad(quantized, latents, upstream)
    for h, e, g, actual in zip(latents.detach(), chosen, upstream, gradient, strict=True):
        rotation = _rotation(h / h.norm(), e / e.norm())
        scale = e.norm() / h.norm()
        torch.testing.assert_close(rotation @ rotation.T, torch.eye(D, dtype=h.dtype))
        torch.testing.assert_close(scale * rotation @ h, e)
        torch.testing.assert_close(actual, scale * rotation.T @ g)


def test_rotation_is_finite_where_the_angle_is_not_defined() -> None:
    latents = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    chosen = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])  # from zero, opposite, to zero
    quantized = rotation_straight_through(latents, chosen)
    assert torch.equal(quantized, chosen)
    quantized.sum().backward()
    assert latents.grad is not None
    assert latents.grad.isfinite().all()


def test_commitment_pulls_the_latents_alone() -> None:
    latents = torch.tensor([[1.0, 2.0], [0.0, 0.0]], requires_grad=True)
    best = torch.tensor([[0.0, 0.0], [0.0, 2.0]], requires_grad=True)
    losses = IdentityStraightThrough(commitment=0.5).losses(
        latents, best, torch.ones(len(latents), dtype=torch.bool)
    )
    # squares 1, 4, 0, 4: mean 2.25, weighted 1.125; gradient 0.5 * 2 * difference / 4 elements
    assert losses["commitment"].item() == pytest.approx(1.125)
    losses["commitment"].backward()
    torch.testing.assert_close(latents.grad, torch.tensor([[0.25, 0.5], [0.0, -0.5]]))
    assert best.grad is None


def test_no_commitment_is_no_term() -> None:
    assert (
        IdentityStraightThrough(commitment=0).losses(
            torch.ones(2, 2), torch.zeros(2, 2), torch.ones(2, dtype=torch.bool)
        )
        == {}
    )


def test_a_negative_commitment_is_refused() -> None:
    with pytest.raises(RegvqError, match="commitment"):
        RotationStraightThrough(commitment=-0.1)
