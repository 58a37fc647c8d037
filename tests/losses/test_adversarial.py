"""The adversary: hinge numbers by hand, the adaptive weight, start and ramp, who gets which gradient."""

import math

import pytest
import torch
import torch.distributed as dist
from torch import nn

from regvq.errors import RegvqError
from regvq.losses import AdversarialLoss
from regvq.losses.adversarial import gradient_at, hinge_discriminator, hinge_generator
from regvq.nets import PatchDiscriminator


def discriminator() -> PatchDiscriminator:
    torch.manual_seed(0)
    return PatchDiscriminator(channels=8, layers=2, norm_groups=4)


def decoder() -> nn.Conv2d:
    torch.manual_seed(1)
    return nn.Conv2d(4, 3, 3, padding=1)


def batch(seed: int, channels: int = 3) -> torch.Tensor:
    return torch.rand(2, channels, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_hinge_by_hand():
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0, 1.0])
    # real: relu(1 - x) = 0, 0.5, 2; fake: relu(1 + x) = 0, 1, 2.
    assert hinge_discriminator(real, fake).item() == pytest.approx((2.5 / 3 + 1) / 2)
    assert hinge_generator(fake).item() == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("ramp", "expected"),
    [
        (0, [0, 0, 0.5, 0.5, 0.5, 0.5]),
        (1, [0, 0, 0.5, 0.5, 0.5, 0.5]),
        (4, [0, 0, 0.125, 0.25, 0.375, 0.5]),
    ],
)
def test_start_and_ramp(ramp, expected):
    loss = AdversarialLoss(nn.Identity(), weight=0.5, start=2, ramp=ramp)
    assert [loss.strength(step) for step in range(6)] == pytest.approx(expected)


def test_before_the_start_nothing_is_computed():
    class Untouchable(nn.Module):
        def forward(self, images):
            raise AssertionError("the discriminator ran")

    loss = AdversarialLoss(Untouchable(), start=3)
    layer = decoder()
    output = loss(batch(0), layer(batch(1, 4)), torch.ones(()), 2, layer.weight)
    assert (output.terms, output.stats, output.total.item()) == ({}, {}, 0.0)
    with pytest.raises(AssertionError, match="ran"):
        loss(batch(0), layer(batch(1, 4)), torch.ones(()), 3, layer.weight)


def test_on_several_ranks_idle_parameters_get_a_gradient_of_zero(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        critic, layer = discriminator(), decoder()
        output = AdversarialLoss(critic, start=3)(
            batch(0), layer(batch(1, 4)), torch.ones(()), 2, layer.weight
        )
    finally:
        dist.destroy_process_group()
    output.total.backward()
    assert output.total.item() == 0
    assert all(p.grad is not None and not p.grad.any() for p in critic.parameters())


def test_adaptive_weight_is_the_ratio_of_gradient_norms():
    layer, images, hidden = decoder(), batch(0), batch(1, 4)
    loss = AdversarialLoss(discriminator(), weight=0.8)
    reconstruction = layer(hidden)
    image_loss = (reconstruction - images).abs().mean()
    output = loss(images, reconstruction, image_loss, 0, layer.weight)

    again = layer(hidden)
    wanted = torch.autograd.grad((again - images).abs().mean(), layer.weight)[0].norm()
    given = torch.autograd.grad(-loss.discriminator(layer(hidden)).mean(), layer.weight)[0].norm()
    expected = wanted / (given + 1e-4)
    torch.testing.assert_close(output.stats["adaptive_weight"], expected)
    torch.testing.assert_close(
        output.terms["adversarial"], 0.8 * expected * output.stats["raw/adversarial"]
    )
    assert not output.stats["adaptive_weight"].requires_grad


def test_adaptive_weight_is_held_below_ten_thousand():
    class Deaf(nn.Module):
        def forward(self, images):
            return 1e-9 * images

    layer = decoder()
    reconstruction = layer(batch(1, 4))
    output = AdversarialLoss(Deaf())(batch(0), reconstruction, 100 * reconstruction.sum(), 0, layer.weight)
    assert output.stats["adaptive_weight"].item() == 1e4


@pytest.mark.parametrize("adaptive", [True, False])
def test_without_gradient_or_adaptation_the_balance_is_one(adaptive):
    layer = decoder()
    with torch.set_grad_enabled(not adaptive):
        reconstruction = layer(batch(1, 4))
        loss = AdversarialLoss(discriminator(), adaptive=adaptive)
        output = loss(batch(0), reconstruction, reconstruction.mean(), 0, layer.weight)
    assert output.stats["adaptive_weight"].item() == 1.0


def test_the_gradient_survives_half_precision():
    # The gradient at a pixel is 1e-4 / 512**2 = 4e-10, less than the least float16, 6e-8.
    layer = nn.Conv2d(1, 1, 1, bias=False).half()
    with torch.no_grad():
        layer.weight.fill_(1.0)
    hidden = torch.full((1, 1, 512, 512), 0.5, dtype=torch.float16)
    reconstruction = layer(hidden).float()
    loss = 1e-4 * reconstruction.mean()
    plain = torch.autograd.grad(loss, layer.weight, retain_graph=True)[0]
    assert plain.item() == 0.0
    assert gradient_at(loss, reconstruction, layer.weight).item() == pytest.approx(0.5e-4, rel=1e-2)


def test_each_side_gets_its_own_gradient_from_one_backward():
    critic, layer, images, hidden = discriminator(), decoder(), batch(0), batch(1, 4)
    loss = AdversarialLoss(critic, weight=0.7, adaptive=False)
    reconstruction = layer(hidden)
    loss(images, reconstruction, reconstruction.mean(), 0, layer.weight).total.backward()
    ours = [parameter.grad.clone() for parameter in (*layer.parameters(), *critic.parameters())]

    generator = -0.7 * critic(layer(hidden)).mean()
    separate = list(torch.autograd.grad(generator, list(layer.parameters())))
    fake = critic(layer(hidden).detach())
    hinge = 0.5 * ((1 - critic(images)).relu().mean() + (1 + fake).relu().mean())
    separate += torch.autograd.grad(hinge, list(critic.parameters()))
    for one, other in zip(ours, separate, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)
    assert all(parameter.requires_grad for parameter in critic.parameters())


def test_scores_are_reported():
    critic, images, fake = discriminator(), batch(0), batch(1)
    _, real_score, fake_score = AdversarialLoss(critic).discriminator_side(images, fake)
    torch.testing.assert_close(real_score, critic(images).mean())
    torch.testing.assert_close(fake_score, critic(fake).mean())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_finite_under_autocast(dtype):
    critic, layer, images = discriminator(), decoder(), batch(0)
    with torch.autocast("cpu", dtype):
        reconstruction = layer(batch(1, 4)).float()
        image_loss = nn.functional.l1_loss(reconstruction, images)
        output = AdversarialLoss(critic)(images, reconstruction, image_loss, 0, layer.weight)
    output.total.backward()
    assert output.total.dtype == torch.float32
    assert all(value.isfinite() for value in (*output.terms.values(), *output.stats.values()))
    assert all(p.grad.isfinite().all() for p in (*layer.parameters(), *critic.parameters()))
    assert 0 < output.stats["adaptive_weight"].item() < math.inf


@pytest.mark.parametrize("options", [{"start": -1}, {"ramp": -2}])
def test_negative_steps_are_refused(options):
    with pytest.raises(RegvqError, match="must not be negative"):
        AdversarialLoss(nn.Identity(), **options)
