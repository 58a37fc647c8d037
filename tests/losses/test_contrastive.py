"""The probabilistic contrastive loss against PatchNCE, the paper's formula and numbers by hand."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from regvq.errors import RegvqError
from regvq.losses import ContrastiveLoss, PatchNCELoss, ProbabilisticContrastiveLoss
from regvq.losses.contrastive import contrastive_loss, relative_weights
from regvq.nets import OfflineFeatures


def features(seed: int, channels: int = 6, side: int = 3, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, channels, side, side, generator=torch.Generator().manual_seed(seed))


def patch_nce(real: torch.Tensor, fake: torch.Tensor, temperature: float) -> torch.Tensor:
    """PatchNCE written with a cross-entropy, one image at a time."""
    losses = []
    for y, z in zip(real.flatten(2), fake.flatten(2), strict=True):
        cosines = (y / y.norm(dim=0)).T @ (z / z.norm(dim=0))
        losses.append(F.cross_entropy(cosines / temperature, torch.arange(y.shape[1])))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("perturbation", [None, torch.zeros(2, 3, 3), torch.full((2, 3, 3), 0.7)])
def test_uniform_weights_give_patch_nce(perturbation):
    real, fake = features(0), features(1)
    loss = ProbabilisticContrastiveLoss(temperature=0.2)(real, fake, perturbation)
    torch.testing.assert_close(loss, patch_nce(real, fake, 0.2))


def test_two_locations_by_hand():
    # y = ((1,0), (0,1)), z = ((1,0), (1,0)), tau = 1: s = [[1, 1], [0, 0]]. w = (3, 1): Lw' = (1.5, 0.5).
    real = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]]).view(1, 2, 1, 2)
    fake = torch.tensor([[[[2.0, 5.0]], [[0.0, 0.0]]]]).view(1, 2, 1, 2)
    loss = ProbabilisticContrastiveLoss(temperature=1.0)(real, fake, torch.tensor([[[3.0, 1.0]]]))
    first = math.log(1.5 * math.e + math.e) - 1
    second = math.log(0.5 + 1)
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-6)


def test_gradient_is_that_of_the_papers_formula():
    generator = torch.Generator().manual_seed(3)
    similarity = torch.randn(2, 9, 9, generator=generator, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(2, 9, generator=generator, dtype=torch.float64) + 0.05
    share = weights / weights.sum(1, keepdim=True)
    (ours,) = torch.autograd.grad(contrastive_loss(similarity, 9 * share).sum(), similarity)

    # -log [ w'_i e^{s_ii} / ( w'_i e^{s_ii} + (1/L) sum_{j != i} e^{s_ij} ) ], word for word.
    exponentials = similarity.exp()
    own = share * exponentials.diagonal(dim1=1, dim2=2)
    others = (exponentials * (1 - torch.eye(9))).sum(2) / 9
    literal = -(own / (own + others)).log()
    (paper,) = torch.autograd.grad(literal.sum(), similarity)
    torch.testing.assert_close(ours, paper, rtol=1e-12, atol=1e-14)
    # And the values differ by the dropped constant alone.
    dropped = literal + (9 * share).log()
    torch.testing.assert_close(contrastive_loss(similarity, 9 * share), dropped)


def test_the_module_hands_on_that_gradient():
    real, fake = features(0).double(), features(1).double().requires_grad_()
    perturbation = torch.rand(2, 3, 3, generator=torch.Generator().manual_seed(5)) + 0.1
    (ours,) = torch.autograd.grad(ProbabilisticContrastiveLoss(0.3)(real, fake, perturbation), fake)

    share = perturbation.flatten(1) / perturbation.flatten(1).sum(1, keepdim=True)
    y, z = F.normalize(real.flatten(2), dim=1), F.normalize(fake.flatten(2), dim=1)
    exponentials = (y.transpose(1, 2) @ z / 0.3).exp()
    own = share * exponentials.diagonal(dim1=1, dim2=2)
    others = (exponentials * (1 - torch.eye(9))).sum(2) / 9
    (paper,) = torch.autograd.grad(-(own / (own + others)).log().mean(), fake)
    torch.testing.assert_close(ours, paper, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("perturbed", [0, 1, 8])
def test_finite_where_weights_are_zero(perturbed):
    fake = features(1).requires_grad_()
    perturbation = torch.zeros(2, 9)
    perturbation[0, :perturbed] = 4.0
    loss = ProbabilisticContrastiveLoss()(features(0), fake, perturbation.view(2, 3, 3))
    loss.backward()
    assert loss.isfinite()
    assert fake.grad.isfinite().all()
    assert fake.grad.abs().sum() > 0


@pytest.mark.parametrize("value", [0.0, 1e-38, 3.0])
def test_one_location_has_nothing_to_contrast(value):
    fake = features(1, side=1).requires_grad_()
    loss = ProbabilisticContrastiveLoss()(features(0, side=1), fake, torch.full((2, 1, 1), value))
    loss.backward()
    assert loss.item() == 0
    assert fake.grad.abs().sum() == 0


@given(st.integers(0, 1000), st.lists(st.floats(0, 50), min_size=2, max_size=6))
@settings(max_examples=60, deadline=None)
def test_the_larger_the_perturbation_the_weaker_the_pull(seed, weights):
    similarity = torch.randn(1, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    pulls = []
    for weight in sorted(weights):
        s = similarity.clone().requires_grad_()
        contrastive_loss(s, torch.tensor([[weight, 1.0]], dtype=torch.float64))[0, 0].backward()
        pulls.append(-s.grad[0, 0, 0].item())
    assert all(0 <= later <= earlier <= 1 for earlier, later in pairwise(pulls))


def test_a_perturbed_location_is_pulled_less_than_a_calm_one():
    pulls = []
    for where in (0, 8):
        perturbation = torch.full((1, 9), 0.1)
        perturbation[0, where] = 5.0
        fake = features(1, batch=1).requires_grad_()
        ProbabilisticContrastiveLoss(1.0)(features(0, batch=1), fake, perturbation.view(1, 3, 3)).backward()
        pulls.append(
            fake.grad.flatten(2)[0, :, 0] @ F.normalize(features(0, batch=1), dim=1).flatten(2)[0, :, 0]
        )
    perturbed, calm = pulls
    assert calm < perturbed  # the gradient of a pull is negative along the original's feature


@given(st.integers(0, 100), st.integers(1, 5), st.integers(1, 5), st.integers(1, 7), st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_relative_weights_have_mean_one(seed, h, w, height, width):
    perturbation = torch.rand(2, h, w, generator=torch.Generator().manual_seed(seed)).square() * 100
    weights = relative_weights(perturbation, (height, width))
    assert weights.shape == (2, height * width)
    torch.testing.assert_close(weights.mean(1), torch.ones(2))
    torch.testing.assert_close(weights, relative_weights(perturbation * 7, (height, width)))


def test_weights_are_resized_by_area():
    perturbation = torch.tensor([[[0.0, 4.0], [2.0, 2.0]]])
    larger = torch.tensor([[0, 0, 4, 4], [0, 0, 4, 4], [2, 2, 2, 2], [2, 2, 2, 2]]) / 2
    assert relative_weights(perturbation, (4, 4)).view(4, 4).tolist() == larger.tolist()
    assert relative_weights(perturbation, (1, 2)).tolist() == [[0.5, 1.5]]


def test_no_gradient_through_weights_or_original():
    real = features(0).requires_grad_()
    fake = features(1).requires_grad_()
    perturbation = torch.rand(2, 3, 3).requires_grad_()
    ProbabilisticContrastiveLoss()(real, fake, perturbation).backward()
    assert real.grad is None
    assert perturbation.grad is None
    assert fake.grad is not None


def test_many_locations_are_drawn_alike_for_both_images():
    real = features(0, channels=64, side=20)
    loss = ProbabilisticContrastiveLoss(max_locations=16)
    torch.manual_seed(0)
    first, second = loss(real, real, None), loss(real, real, None)
    # Drawn at different places, the images would match at chance level, log 16 and more.
    assert first < 0.01
    assert first != second
    state = torch.get_rng_state()
    loss.eval()
    assert loss(real, real, None) == loss(real, real, None)
    assert torch.equal(torch.get_rng_state(), state)


def test_patch_nce_ignores_the_perturbation():
    real, fake = features(0), features(1)
    perturbation = torch.arange(18.0).view(2, 3, 3)
    torch.testing.assert_close(PatchNCELoss(0.2)(real, fake, perturbation), patch_nce(real, fake, 0.2))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_arithmetic_stays_fp32_under_autocast(dtype):
    real, fake, perturbation = features(0), features(1), torch.rand(2, 3, 3)
    plain = ProbabilisticContrastiveLoss()(real, fake, perturbation)
    with torch.autocast("cpu", dtype):
        assert torch.equal(ProbabilisticContrastiveLoss()(real, fake, perturbation), plain)
    half = ProbabilisticContrastiveLoss()(real.to(dtype), fake.to(dtype), perturbation)
    assert half.dtype == torch.float32


def test_layers_are_averaged():
    layers = [(features(0), features(1)), (features(2, side=2), features(3, side=2))]
    perturbation = torch.rand(2, 4, 4)
    single = ProbabilisticContrastiveLoss(0.1)
    expected = sum(single(y, z, perturbation) for y, z in layers) / 2
    loss = ContrastiveLoss(OfflineFeatures(), ProbabilisticContrastiveLoss(0.1))
    torch.testing.assert_close(loss(*zip(*layers, strict=True), perturbation), expected)


@pytest.mark.parametrize(
    ("real", "fake", "perturbation"),
    [
        (features(0), features(0, side=2), None),
        (features(0)[0], features(0)[0], None),
        (features(0), features(0), torch.zeros(3, 3, 3)),
        (features(0), features(0), torch.zeros(2, 9)),
    ],
)
def test_shapes_that_do_not_fit_are_named(real, fake, perturbation):
    with pytest.raises(RegvqError, match=r"must be .*not \["):
        ProbabilisticContrastiveLoss()(real, fake, perturbation)


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"max_locations": 1}])
def test_impossible_options_are_refused(options):
    with pytest.raises(RegvqError, match="temperature > 0 and max_locations >= 2"):
        ProbabilisticContrastiveLoss(**options)
