"""The objective: its total, its terms, and who receives a gradient."""

import pytest
import torch
from torch import nn

from regvq.losses import (
    AdversarialLoss,
    ContrastiveLoss,
    L2Loss,
    Objective,
    PerceptualLoss,
    ProbabilisticContrastiveLoss,
)
from regvq.nets import IdentityBackbone, OfflineFeatures, PatchDiscriminator
from regvq.types import QuantizerOutput, TokenizerOutput


def images(seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def passed(
    backbone: IdentityBackbone, perturbation: torch.Tensor | None = None
) -> tuple[TokenizerOutput, torch.Tensor]:
    """A tokenizer's output without a tokenizer, and the latents it hangs on."""
    latents = backbone.encode(images(1)).requires_grad_()
    codes = torch.zeros(2, 4, 4, dtype=torch.long)
    losses = {"prior": 0.25 * latents.square().mean(), "commitment": latents.mean()}
    output = QuantizerOutput(latents, codes, codes, perturbation=perturbation, losses=losses)
    return TokenizerOutput(backbone.decode(latents), output), latents


def full(start: int = 0) -> Objective:
    torch.manual_seed(0)
    return Objective(
        L2Loss(weight=2.0),
        PerceptualLoss(OfflineFeatures(), weight=0.5),
        ContrastiveLoss(OfflineFeatures(), weight=0.1),
        AdversarialLoss(PatchDiscriminator(8, 2, 4), weight=0.8, start=start),
    )


def test_total_is_the_sum_of_the_terms():
    backbone = IdentityBackbone(4)
    output, _ = passed(backbone, torch.rand(2, 4, 4))
    loss = full()(images(), output, 0, backbone.gain)
    assert set(loss.terms) == {
        "reconstruction",
        "perceptual",
        "contrastive",
        "adversarial",
        "discriminator",
        "quantizer/prior",
        "quantizer/commitment",
    }
    torch.testing.assert_close(loss.total, sum(loss.terms.values()))
    for name, weight in (("reconstruction", 2.0), ("perceptual", 0.5), ("contrastive", 0.1)):
        torch.testing.assert_close(loss.terms[name].detach(), weight * loss.stats[f"raw/{name}"])
    assert not any(value.requires_grad for value in loss.stats.values())
    for name, value in output.quantizer.losses.items():
        assert loss.terms[f"quantizer/{name}"] is value


def test_the_least_objective_is_l1():
    backbone = IdentityBackbone(4)
    output, _ = passed(backbone)
    loss = Objective()(images(), output, 0, backbone.gain)
    assert set(loss.terms) == {"reconstruction", "quantizer/prior", "quantizer/commitment"}
    expected = (output.reconstruction - images()).abs().mean() + output.quantizer.loss
    torch.testing.assert_close(loss.total, expected)


def test_the_adversary_waits_for_its_start():
    backbone, objective = IdentityBackbone(4), full(start=5)
    output, _ = passed(backbone)
    early = objective(images(), output, 4, backbone.gain)
    early.total.backward(retain_graph=True)
    assert "adversarial" not in early.terms
    assert "discriminator" not in early.terms
    assert all(parameter.grad is None for parameter in objective.discriminator_parameters())
    assert {"adversarial", "discriminator"} <= set(objective(images(), output, 5, backbone.gain).terms)


def test_one_backward_serves_both_sides_and_leaves_frozen_nets_alone():
    backbone, objective = IdentityBackbone(4), full()
    output, latents = passed(backbone, torch.rand(2, 4, 4))
    objective(images(), output, 0, backbone.gain).total.backward()
    assert backbone.gain.grad.abs() > 0
    assert latents.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in objective.discriminator_parameters())
    # Only the discriminator learns: feature nets hold no parameter and leave nothing in a checkpoint.
    learned = {id(parameter) for parameter in objective.parameters()}
    assert learned == {id(parameter) for parameter in objective.discriminator_parameters()}
    assert all(key.startswith("adversarial.discriminator.") for key in objective.state_dict())


def test_the_adaptive_weight_balances_all_image_losses():
    backbone, objective = IdentityBackbone(4), full()
    output, _ = passed(backbone)
    objective.contrastive = None
    loss = objective(images(), output, 0, backbone.gain)
    image_loss = loss.terms["reconstruction"] + loss.terms["perceptual"]
    (wanted,) = torch.autograd.grad(image_loss, backbone.gain, retain_graph=True)
    scores = objective.adversarial.discriminator(output.reconstruction)
    (given,) = torch.autograd.grad(-scores.mean(), backbone.gain)
    expected = wanted.abs() / (given.abs() + 1e-4)
    torch.testing.assert_close(loss.stats["adaptive_weight"], expected, rtol=1e-4, atol=1e-6)


def test_the_contrastive_term_reads_the_quantizers_perturbation():
    backbone, net = IdentityBackbone(4), OfflineFeatures()
    perturbation = torch.zeros(2, 4, 4)
    perturbation[:, 0, 0] = 1.0
    objective = Objective(contrastive=ContrastiveLoss(net, ProbabilisticContrastiveLoss(0.3)))
    output, _ = passed(backbone, perturbation)
    value = objective(images(), output, 0, backbone.gain).stats["raw/contrastive"]
    real, fake = net(images()), net(output.reconstruction.detach())
    torch.testing.assert_close(value, objective.contrastive(real, fake, perturbation))
    assert value != objective.contrastive(real, fake, None)


def test_one_net_runs_once_for_both_feature_losses():
    class Counting(OfflineFeatures):
        runs = 0

        def layers(self, images):
            Counting.runs += 1
            return super().layers(images)

    backbone = IdentityBackbone(4)
    output, _ = passed(backbone)
    objective = Objective(perceptual=PerceptualLoss(Counting()), contrastive=ContrastiveLoss(Counting()))
    assert objective.contrastive.features is objective.perceptual.features
    objective(images(), output, 0, backbone.gain)
    assert Counting.runs == 2  # the originals and the reconstructions


def test_discriminator_parameters():
    assert Objective().discriminator_parameters() == []
    critic = nn.Linear(2, 1)
    found = Objective(adversarial=AdversarialLoss(critic)).discriminator_parameters()
    assert found == list(critic.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_total_is_finite_fp32_under_autocast(dtype):
    backbone = IdentityBackbone(4)
    output, latents = passed(backbone, torch.rand(2, 4, 4))
    with torch.autocast("cpu", dtype):
        loss = full()(images(), output, 0, backbone.gain)
    loss.total.backward()
    assert loss.total.dtype == torch.float32
    assert loss.total.isfinite()
    assert latents.grad.isfinite().all()
