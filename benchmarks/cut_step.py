"""A training step of stage 1 cut into its parts, for ``training.py``.

The step is cut at the latents, the quantized latents and the reconstruction. Forward passes run in their
order and backward passes in the opposite one, each cut's gradient handed on by hand, the device waited for
at every cut; ``tests/benchmarks/test_training.py`` holds its gradients to the uncut step's. What the
adversary's adaptive weight costs, two more ways back to the image, counts to the discriminator;
``perceptual`` holds all losses between images.
"""

import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.optim import Optimizer

from measuring import wait
from regvq.data import ImageDataModule
from regvq.training import TokenizerTraining

PARTS = ("data", "encoder", "quantizer", "decoder", "perceptual", "discriminator", "optimizer")


class Laps:
    """Seconds by part, added up."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._last = time.perf_counter()

    def __call__(self, part: str) -> None:
        """What has passed since the last call belongs to ``part``."""
        wait(self.device)
        now = time.perf_counter()
        self.seconds[part] += now - self._last
        self._last = now


def cut_step(
    training: TokenizerTraining, images: Tensor, precision: str, lap: Callable[[str], None]
) -> None:
    """Forward and backward of a training step with an adversary, cut at the borders of its parts.

    Gradients are added to those of the parameters.

    Args:
        training: a step of it.
        images: ``[B, 3, H, W]``.
        precision: the trainer's.
        lap: called at the end of each part, with its name.
    """
    model, objective = training.model, training.objective
    adversarial = objective.adversarial
    assert adversarial is not None
    images = images.contiguous(memory_format=training.layout)
    half = torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16-mixed")
    with half, training.as_compiled():
        latents = model.latents(images)
        lap("encoder")
        latents_in = latents.detach().requires_grad_()
        output = model.quantizer(latents_in)
        lap("quantizer")
        quantized_in = output.quantized.detach().requires_grad_()
        reconstruction = model.decode_latents(quantized_in).float()
        lap("decoder")
        raw = objective._image_losses(images, reconstruction, output.perturbation)
        weighted = [getattr(objective, name).weight * value for name, value in raw.items()]
        image_loss = torch.stack(weighted).sum()
        lap("perceptual")
        last_layer = model.backbone.last_layer
        adversary = adversarial(images, reconstruction, image_loss, training.global_step, last_layer)
        lap("discriminator")
    parameters = objective.discriminator_parameters()
    pull, *gradients = torch.autograd.grad(adversary.total, [reconstruction, *parameters])
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
    lap("discriminator")
    pull = pull + torch.autograd.grad(image_loss, reconstruction)[0]
    lap("perceptual")
    reconstruction.backward(pull)
    lap("decoder")
    losses = [loss for loss in output.losses.values() if loss.requires_grad]
    torch.autograd.backward([output.quantized, *losses], [quantized_in.grad, *map(torch.ones_like, losses)])
    lap("quantizer")
    latents.backward(latents_in.grad)
    lap("encoder")


def optimizer_step(training: TokenizerTraining, optimizer: Optimizer, clip: float | None) -> None:
    """What follows the backward pass."""
    training.configure_gradient_clipping(optimizer, clip, "norm")
    optimizer.step()
    optimizer.zero_grad()
    if training.averaged is not None:
        training.averaged.update(training.model)


def parts_of_a_step(
    training: TokenizerTraining,
    data: ImageDataModule,
    device: str,
    precision: str,
    clip: float | None,
    rounds: int,
) -> dict[str, float]:
    """Seconds of each part of a step, medians over ``rounds`` steps."""
    training.to(device).train()
    optimizer = training.make_optimizer(fused=device == "cpu")

    def batches() -> Iterator[dict[str, Tensor]]:
        while True:
            yield from data.train_dataloader()

    found: list[dict[str, float]] = []
    stream = batches()
    for _ in range(1 + rounds):
        wait(device)
        laps = Laps(device)
        images = next(stream)["image"].to(device)
        laps("data")
        cut_step(training, images, precision, laps)
        optimizer_step(training, optimizer, clip)
        laps("optimizer")
        found.append(laps.seconds)
    return {part: statistics.median(one[part] for one in found[1:]) for part in PARTS}
