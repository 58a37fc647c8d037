"""What a training step costs by the model of ``regvq.evaluation.cost``, from what was built."""

from torch import nn

from regvq.data import ImageDataModule
from regvq.evaluation.cost import Cost, backbone, generator_step, quantizer, tokenizer_step
from regvq.generators import AutoregressiveGenerator, Generator
from regvq.nets import OfflineFeatures
from regvq.training import GeneratorTraining, ModelTraining, TokenizerTraining


def cost_of_step(training: ModelTraining, data: ImageDataModule) -> Cost:
    """One image or sequence of a step."""
    if isinstance(training, TokenizerTraining):
        return _of_an_image(training, data.train_dataset[0]["image"].shape[-1])
    assert isinstance(training, GeneratorTraining)
    return _of_a_sequence(training.model)


def _of_an_image(training: TokenizerTraining, size: int) -> Cost:
    model, objective = training.model, training.objective
    encoder, decoder = backbone(size, **model.backbone.init_args)
    tokens, latents = (size // model.downsampling) ** 2, model.backbone.latent_channels
    middle = quantizer(model.codebook_size, model.quantizer.dim, tokens, latents)
    compared = objective.perceptual or objective.contrastive
    net = None if compared is None else compared.features.name
    if net == OfflineFeatures.name:
        net = "offline"
    critic = None
    if objective.adversarial is not None:
        parts = [part for part in objective.adversarial.modules() if isinstance(part, nn.Conv2d)]
        critic = {"channels": parts[0].out_channels, "layers": len(parts) - 2}
    return tokenizer_step(encoder + middle + decoder, size, net, critic)


def _of_a_sequence(generator: Generator) -> Cost:
    given, condition = generator.init_args, generator.condition
    kind = "autoregressive" if isinstance(generator, AutoregressiveGenerator) else "diffusion"
    sizes = {name: given[name] for name in ("dim", "layers", "heads", "hidden")}
    codes, tokens = generator.source.codebook_size, generator.length
    return generator_step(kind, codes, tokens, condition.size, condition.length, **sizes)
