"""A training step of either stage cut into its parts, for ``step_parts.py``.

Stage 1 is cut at the latents, the quantized latents and the reconstruction, stage 2 behind the transformer.
Forward passes run in their order and backward passes in the opposite one, each cut's gradient handed on by
hand; ``tests/benchmarks/test_training.py`` holds the gradients to the uncut step's. What the adversary's
adaptive weight costs, two more ways back to the image, counts to the discriminator; ``perceptual`` holds
all losses between images, ``transformer`` the embeddings too.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaModel

from regvq.training import GeneratorTraining, TokenizerTraining


def _half(device: torch.device, precision: str) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed")


def cut_tokenizer_step(
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
    with _half(images.device, precision), training.as_compiled():
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


def cut_generator_step(
    training: GeneratorTraining, batch: dict[str, Any], precision: str, lap: Callable[[str], None]
) -> None:
    """Forward and backward of a training step, cut behind the transformer's last norm.

    Gradients are added to those of the parameters.

    Args:
        training: a step of it.
        batch: codes, and the ids of their conditions.
        precision: the trainer's.
        lap: called at the end of each part, with its name.
    """
    transformer = next(module for module in training.model.modules() if isinstance(module, LlamaModel))
    cut: list[tuple[Tensor, Tensor]] = []

    def behind(module: nn.Module, given: Any, hidden: Tensor) -> Tensor:
        cut.append((hidden, hidden.detach().requires_grad_()))
        lap("transformer")
        return cut[0][1]

    hook = transformer.norm.register_forward_hook(behind)
    try:
        with _half(batch["codes"].device, precision), training.as_compiled():
            loss = training.model.loss(batch["codes"], batch["condition"]).total
    finally:
        hook.remove()
    lap("head and loss")
    ((hidden, hidden_in),) = cut
    loss.backward()
    lap("head and loss")
    hidden.backward(hidden_in.grad)
    lap("transformer")
