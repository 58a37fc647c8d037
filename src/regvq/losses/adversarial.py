"""The adversary as one object with a generator side and a discriminator side."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from regvq.errors import RegvqError
from regvq.quantizers.collectives import sum_over_ranks
from regvq.ranks import world_size
from regvq.types import LossOutput

SCALE = 1024.0


def hinge_discriminator(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """``(mean max(0, 1 - real) + mean max(0, 1 + fake)) / 2``: a float32 scalar, not negative.

    Lim and Ye, "Geometric GAN", 2017.
    """
    real = nn.functional.relu(1 - real_scores.float()).mean()
    fake = nn.functional.relu(1 + fake_scores.float()).mean()
    return (real + fake) / 2


def hinge_generator(fake_scores: Tensor) -> Tensor:
    """``-mean fake``: a float32 scalar."""
    return -fake_scores.float().mean()


def gradient_at(loss: Tensor, reconstruction: Tensor, last_layer: nn.Parameter) -> Tensor:
    """The gradient that ``loss`` sends through ``reconstruction`` to ``last_layer``.

    The gradient of a mean over a batch of images is about 1e-7 a pixel, which half precision rounds
    to zero. So it is scaled on its way back to the image and again through the decoder's last layer,
    and unscaled after it, which changes nothing but the rounding: the way back is linear.

    Args:
        loss: a float32 scalar that depends on ``reconstruction``.
        reconstruction: ``[B, 3, H, W]`` float32, in the graph (cast from what an autocast decoder gave).
        last_layer: a parameter that ``reconstruction`` depends on.

    Returns:
        float32 of the layer's shape, without gradient; the graphs of ``loss`` and ``reconstruction`` are
        kept.
    """
    (pixels,) = torch.autograd.grad(loss * SCALE, reconstruction, retain_graph=True)
    # A sum of SCALE leaves room on both sides of half precision's range, 6e-5 to 65504: spread over a
    # million pixels the entries stay normal, and added up over all of them they stay finite.
    scale = pixels.abs().sum().clamp_min(torch.finfo(torch.float32).tiny) / SCALE
    (weight,) = torch.autograd.grad(reconstruction, last_layer, pixels / scale, retain_graph=True)
    gradient: Tensor = weight.float() * (scale / SCALE)
    return gradient


class AdversarialLoss(nn.Module):
    """A hinge GAN loss with VQ-GAN's adaptive weight, a start step and a ramp.

    Esser et al., "Taming Transformers for High-Resolution Image Synthesis", CVPR 2021, equations 6
    and 7. Both sides go into one total and one backward pass: the generator's side sees constants for
    the discriminator's parameters, the discriminator's side a detached reconstruction, so neither
    sends the other a gradient.

    Args:
        discriminator: images ``[B, 3, H, W]`` in about [-1, 1] to scores of any shape, high for real.
        weight: of the generator's side, times the adaptive weight.
        start: the step from which on there is an adversary; before it nothing of it is computed.
        ramp: steps over which the generator's weight then grows linearly; 0 starts at once.
        adaptive: whether the generator's side is balanced against the other image losses by the norms
            of their gradients at the decoder's last layer. Where no gradient is recorded (validation)
            the balance is 1.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        weight: float = 0.8,
        start: int = 0,
        ramp: int = 0,
        adaptive: bool = True,
    ) -> None:
        super().__init__()
        if start < 0 or ramp < 0:
            raise RegvqError(f"start and ramp must not be negative, not {start} and {ramp}")
        if not weight >= 0:
            raise RegvqError(f"the adversary's weight must not be negative, not {weight}")
        self.discriminator = discriminator
        self.weight = weight
        self.start = start
        self.ramp = ramp
        self.adaptive = adaptive

    def strength(self, step: int) -> float:
        """Weight of the generator's side at ``step`` (0, 1, …), before the adaptive weight."""
        if step < self.start:
            return 0.0
        return self.weight * min(1.0, (step - self.start + 1) / max(self.ramp, 1))

    def forward(
        self,
        images: Tensor,
        reconstruction: Tensor,
        image_loss: Tensor,
        step: int,
        last_layer: nn.Parameter,
    ) -> LossOutput:
        """Both sides, weighted.

        Args:
            images: the originals, ``[B, 3, H, W]`` in [-1, 1].
            reconstruction: ``[B, 3, H, W]`` float32, in the graph.
            image_loss: the weighted sum of the losses that hold the reconstruction to the image.
            step: optimizer steps taken.
            last_layer: the decoder's last weight.

        Returns:
            ``terms``: "adversarial" (the generator's side) and "discriminator"; none before the
            start. ``stats``: "raw/adversarial", "adaptive_weight", "score/real", "score/fake".
        """
        if step < self.start:
            return self._idle(images)
        generator = self.generator_side(reconstruction)
        balance = self.balance(image_loss, generator, reconstruction, last_layer)
        discriminator, real_score, fake_score = self.discriminator_side(images, reconstruction)
        terms = {
            "adversarial": self.strength(step) * balance * generator,
            "discriminator": discriminator,
        }
        stats = {
            "raw/adversarial": generator.detach(),
            "adaptive_weight": balance,
            "score/real": real_score,
            "score/fake": fake_score,
        }
        return LossOutput(terms["adversarial"] + terms["discriminator"], terms, stats)

    def generator_side(self, reconstruction: Tensor) -> Tensor:
        """The raw hinge loss of the generator; its gradient reaches ``reconstruction`` alone."""
        constants = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        return hinge_generator(functional_call(self.discriminator, constants, (reconstruction,)))

    def discriminator_side(self, images: Tensor, reconstruction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The raw hinge loss of the discriminator; its gradient reaches the discriminator alone.

        Returns:
            The loss, the mean score of ``images`` and that of ``reconstruction``: float32 scalars.
        """
        fake = reconstruction.detach().to(images.dtype)
        scores = self.discriminator(torch.cat([images.detach(), fake])).float()
        real_scores, fake_scores = scores.chunk(2)
        loss = hinge_discriminator(real_scores, fake_scores)
        return loss, real_scores.detach().mean(), fake_scores.detach().mean()

    def balance(
        self, image_loss: Tensor, generator_loss: Tensor, reconstruction: Tensor, last_layer: nn.Parameter
    ) -> Tensor:
        """The adaptive weight ``|grad image_loss| / (|grad generator_loss| + 1e-4)`` in [0, 1e4].

        Both gradients are those of the joined batch of all ranks: so each has the weight that one process
        with that batch would have.

        Args:
            image_loss: the weighted sum of the losses that hold the reconstruction to the image.
            generator_loss: the raw loss of the generator's side.
            reconstruction: what both depend on, ``[B, 3, H, W]`` float32.
            last_layer: the decoder's last weight.

        Returns:
            A float32 scalar without gradient.
        """
        if not (self.adaptive and torch.is_grad_enabled() and reconstruction.requires_grad):
            return torch.ones((), device=reconstruction.device)
        losses = (image_loss, generator_loss)
        gradients = torch.stack([gradient_at(loss, reconstruction, last_layer) for loss in losses])
        joined = sum_over_ranks(gradients) / world_size()
        norms: Tensor = torch.linalg.vector_norm(joined.reshape(len(losses), -1), dim=1)
        wanted, given = norms.unbind()
        return (wanted / (given + 1e-4)).clamp(0, 1e4)

    def _idle(self, images: Tensor) -> LossOutput:
        """Nothing on one rank; on several, a zero that depends on the discriminator's parameters.

        Data-parallel training waits for the gradient of every parameter, also of those that have not
        started to learn.
        """
        terms = {}
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            sums = [parameter.sum() for parameter in self.discriminator.parameters()]
            terms["discriminator"] = 0.0 * torch.stack(sums).sum()
        return LossOutput(sum(terms.values(), torch.zeros((), device=images.device)), terms)
