"""What a training costs: FLOPs, parameters and memory from its configuration, without building anything.

A multiplication with its addition is two FLOPs. Counted are matrix products, convolutions and attention,
the latter in full although a causal one needs half. Left out: norms, activations, losses on pixels, the
contrastive loss, a quantizer's softmax, the optimizer: together a few percent of the arithmetic, though
more of the time, because they wait for memory. ``tests/evaluation/test_cost.py`` holds FLOPs to those that
torch counts of the real steps, and parameters to the real models'.

Memory is an estimate: weights, gradients, Adam's two averages and the averaged weights in float32, the
codebook's running sums and counts with their averages, and what the networks keep for the backward pass at
four bytes a number. Under autocast a part of it has two bytes; the allocator's reserves, the workspaces of
convolutions and what lives for a moment, such as the latents of all processes, come on top.

Communication is that of data-parallel training: every step sums the gradients, and a codebook's counts and
sums, over all GPUs in a ring. Latency and the broadcast of random choices are left out, and nothing of it
is taken to run beside the backward pass, where in fact most does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

_VGG: dict[str, tuple[tuple[int, int], ...]] = {
    "VGG-16": ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)),
    "VGG-19": ((2, 64), (2, 128), (4, 256), (4, 512), (3, 512)),
}
"""Convolutions and their width at each resolution, as far as losses read them."""

NUMBER = 4
"""Bytes of a float32."""


@dataclass(frozen=True)
class Work:
    """What a network has and does for one sample; works of its parts add up.

    Attributes:
        parameters: numbers that are learned, or frozen.
        forward: FLOPs of a forward pass.
        to_weights: FLOPs of the gradients of the parameters.
        to_inputs: FLOPs of the gradients of what comes in.
        kept: numbers that a forward pass keeps for the backward pass.
        kept_once: numbers that it keeps whatever the number of samples.
        buffers: numbers that are changed without a gradient, such as running means.
        summed: numbers that processes add up in a step, beside gradients.
    """

    parameters: int = 0
    forward: int = 0
    to_weights: int = 0
    to_inputs: int = 0
    kept: int = 0
    kept_once: int = 0
    buffers: int = 0
    summed: int = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def step(self) -> int:
        """FLOPs of a forward and a whole backward pass."""
        return self.forward + self.to_weights + self.to_inputs


def convolution(
    inputs: int, outputs: int, kernel: int, side: int, stride: int = 1, first: bool = False
) -> Work:
    """A square convolution with a bias.

    Args:
        inputs: channels.
        outputs: channels.
        kernel: side of the kernel.
        side: of the output, in places.
        stride: output places lie this many input places apart.
        first: nobody asks for the gradient of its input.
    """
    flops = 2 * inputs * outputs * kernel**2 * side**2
    weights = inputs * outputs * kernel**2 + outputs
    return Work(weights, flops, flops, 0 if first else flops, inputs * (side * stride) ** 2)


def linear(inputs: int, outputs: int, places: int, bias: bool = False) -> Work:
    """A linear map at every place of a sequence."""
    flops = 2 * inputs * outputs * places
    return Work(inputs * outputs + (outputs if bias else 0), flops, flops, flops, inputs * places)


def attention(dim: int, places: int) -> Work:
    """Scores and weighted values of all places: two products forward, four backward."""
    flops = 4 * places**2 * dim
    return Work(0, flops, 0, 2 * flops, 3 * dim * places)


def _normed(channels: int, places: int) -> Work:
    """A group norm and the activation behind it."""
    return Work(parameters=2 * channels, kept=2 * channels * places)


def _residual(inputs: int, outputs: int, side: int) -> Work:
    block = _normed(inputs, side**2) + convolution(inputs, outputs, 3, side)
    block += _normed(outputs, side**2) + convolution(outputs, outputs, 3, side)
    if inputs != outputs:
        # Its input is kept for the norm already.
        shortcut = convolution(inputs, outputs, 1, side)
        block += Work(shortcut.parameters, shortcut.forward, shortcut.to_weights, shortcut.to_inputs)
    return block


def _middle(channels: int, side: int, with_attention: bool) -> Work:
    block = _residual(channels, channels, side) + _residual(channels, channels, side)
    if with_attention:
        block += Work(parameters=2 * channels, kept=channels * side**2)
        block += attention(channels, side**2)
        for _ in range(4):
            block += linear(channels, channels, side**2, bias=True)
    return block


def backbone(
    size: int,
    channels: Sequence[int] = (128, 128, 256, 256, 512),
    layers: int = 2,
    latent_channels: int = 256,
    norm_groups: int = 32,
    attention: bool = True,
    shortcut: bool = False,
) -> tuple[Work, Work]:
    """Encoder and decoder of ``VQGANBackbone`` with these arguments, for images ``size`` pixels a side."""
    del norm_groups  # groups cost nothing
    encoder = convolution(3, channels[0], 3, size, first=True)
    side, width = size, channels[0]
    for level, outputs in enumerate(channels):
        for _ in range(layers):
            encoder += _residual(width, outputs, side)
            width = outputs
        if level < len(channels) - 1:
            side //= 2
            encoder += convolution(width, width, 3, side, stride=2)
    encoder += _middle(width, side, attention) + _normed(width, side**2)
    encoder += convolution(width, latent_channels, 3, side)
    decoder = convolution(latent_channels, width, 3, side) + _middle(width, side, attention)
    for level, outputs in enumerate(reversed(channels)):
        for _ in range(layers + 1):
            decoder += _residual(width, outputs, side)
            width = outputs
        if level < len(channels) - 1:
            side *= 2
            decoder += convolution(width, width, 3, side)
    decoder += _normed(width, side**2) + convolution(width, 3, 3, side)
    if shortcut:
        patch = 2 ** (len(channels) - 1)
        flops = 2 * 3 * latent_channels * size**2
        weights = 3 * latent_channels * patch**2
        encoder += Work(weights, flops, flops, 0, 3 * size**2)
        decoder += Work(weights, flops, flops, flops, latent_channels * (size // patch) ** 2)
    return encoder, decoder


def quantizer(
    codebook_size: int, dim: int, tokens: int, latent_channels: int, kind: Literal["regvq", "vq"] = "regvq"
) -> Work:
    """A quantizer between its two 1x1 convolutions.

    Either makes the logits once. Reg-VQ's codebook with its defaults is no parameter but vectors, running
    sums and counts; plain VQ learns the codebook by gradient.
    """
    product, vectors = 2 * tokens * codebook_size * dim, codebook_size * dim
    into, out_of = (
        linear(*pair, tokens, bias=True) for pair in ((latent_channels, dim), (dim, latent_channels))
    )
    # Usage is counted in either, and so are tokens that are not finite.
    middle = Work(vectors, product, 0, 0, 3 * dim * tokens, summed=codebook_size + 1)
    if kind == "regvq":
        middle = Work(
            forward=product,
            # The quantization error, for the commitment.
            kept=dim * tokens,
            # Vectors and sums; counts, the posterior, the prior and what its biases are made of; a byte for
            # each code that says whether it was put elsewhere.
            buffers=2 * vectors + 7 * codebook_size + codebook_size // 4,
            # The batch's sums and counts, the tokens' counts for the prior with noise and without, and
            # usage.
            summed=vectors + 4 * codebook_size + 1,
        )
    return into + middle + out_of


def vgg(net: str, size: int) -> Work:
    """What losses read of ``VGG-16`` or ``VGG-19``, for images of ``size`` pixels a side."""
    work, width = Work(), 3
    for level, (count, outputs) in enumerate(_VGG[net]):
        for _ in range(count):
            side = size // 2**level
            work += convolution(width, outputs, 3, side) + Work(kept=outputs * side**2)
            width = outputs
    return work


def offline_features(size: int, widths: Sequence[int] = (24, 40, 48)) -> Work:
    """``OfflineFeatures`` with these arguments, for images of ``size`` pixels a side."""
    work, inputs, side = Work(), 3, size // 2
    for depth, outputs in enumerate(widths):
        kernel, stride = (3, 1) if depth else (5, 2)
        weights = inputs * outputs * kernel**2
        flops = 2 * weights * side**2
        # Beside the convolution's input: its rectified responses, and those brought to unit contrast.
        work += Work(weights, flops, 0, flops, inputs * (side * stride) ** 2 + 2 * outputs * side**2)
        inputs, side = outputs, side // 2
    return work


def discriminator(size: int, first: bool = False, channels: int = 64, layers: int = 3) -> Work:
    """``PatchDiscriminator`` with these arguments, for images of ``size`` pixels a side.

    With ``first`` nobody asks for the gradient of the images.
    """
    side, width = size // 2, channels
    work = convolution(3, channels, 4, side, stride=2, first=first) + Work(kept=channels * side**2)
    for depth in range(1, layers + 1):
        outputs = channels * min(2**depth, 8)
        stride = 2 if depth < layers else 1
        side = side // 2 if stride == 2 else side - 1
        work += convolution(width, outputs, 4, side, stride) + _normed(outputs, side**2)
        width = outputs
    return work + convolution(width, 1, 4, side - 1)


@dataclass(frozen=True)
class Cost:
    """What training costs.

    Attributes:
        parameters: that are learned.
        frozen: numbers of frozen networks.
        flops: of one sample of a training step.
        kept: numbers that one sample keeps for the backward pass.
        kept_once: numbers that a step keeps for it whatever the batch.
        buffers: numbers that are changed without a gradient.
        summed: numbers that processes add up in a step, beside gradients.
    """

    parameters: int
    frozen: int
    flops: int
    kept: int
    kept_once: int = 0
    buffers: int = 0
    summed: int = 0

    def memory(self, batch_size: int, averaged: bool = True) -> int:
        """Bytes on one GPU with a batch of ``batch_size``: see the module."""
        means = 1 if averaged else 0
        owned = (4 + means) * self.parameters + (1 + means) * self.buffers + self.frozen
        return NUMBER * (owned + self.kept_once + batch_size * self.kept)

    @property
    def exchanged(self) -> int:
        """Bytes that data-parallel processes add up in a step."""
        return NUMBER * (self.parameters + self.summed)


def tokenizer_step(
    tokenizer: Work, size: int, net: str | None = None, critic: Mapping[str, int] | None = None
) -> Cost:
    """One image of a training step of stage 1.

    Args:
        tokenizer: encoder, quantizer and decoder.
        size: of the images, pixels a side.
        net: whose features losses compare, ``VGG-16``, ``VGG-19`` or ``offline``; ``None`` for none.
        critic: arguments of the discriminator, beside which there is the adversary's adaptive weight;
            ``None`` for no adversary.
    """
    features = Work()
    if net is not None:
        features = offline_features(size) if net == "offline" else vgg(net, size)
    # The features of the image and of the reconstruction, and the way back.
    flops = tokenizer.step + 2 * features.forward + features.to_inputs
    learned, kept = tokenizer.parameters, tokenizer.kept + features.kept
    if critic is not None:
        one, pair = discriminator(size, False, **critic), discriminator(size, True, **critic)
        # The adaptive weight goes back to the image once more through either net. The generator's side asks
        # for no gradient of the discriminator's weights, the other side for none of its two images.
        flops += features.to_inputs + 3 * one.forward + 2 * one.to_inputs
        flops += 2 * (pair.to_weights + pair.to_inputs)
        learned, kept = learned + one.parameters, kept + 3 * one.kept
    frozen, once = features.parameters, tokenizer.kept_once
    return Cost(learned, frozen, flops, kept, once, tokenizer.buffers, tokenizer.summed)


def transformer(dim: int, layers: int, heads: int, hidden: int, places: int) -> Work:
    """The blocks of a Llama and its last norm."""
    del heads  # their number costs nothing
    block = attention(dim, places) + Work(parameters=2 * dim)
    for inputs, outputs, count in ((dim, dim, 4), (dim, hidden, 2), (hidden, dim, 1)):
        for _ in range(count):
            block += linear(inputs, outputs, places)
    # Beside the linear maps' inputs: norms, rotated queries and keys, the gate's activation.
    block += Work(kept=(4 * dim + 2 * hidden) * places)
    work = Work(parameters=dim)
    for _ in range(layers):
        work += block
    return work


def generator_step(
    kind: Literal["autoregressive", "diffusion"],
    codebook_size: int,
    tokens: int,
    condition_size: int,
    condition_length: int,
    dim: int = 768,
    layers: int = 12,
    heads: int = 12,
    hidden: int = 2048,
    steps: int = 100,
) -> Cost:
    """One sequence of a training step of stage 2.

    Args:
        kind: of generator.
        codebook_size: number of codes N.
        tokens: of an image, L.
        condition_size: number of the condition's ids, null included.
        condition_length: ids of a condition, P.
        dim: width, and the other arguments of both generators.
        layers: blocks.
        heads: attention heads.
        hidden: width inside the feed-forward part.
        steps: of the diffusion's chain.
    """
    vocabulary = codebook_size + 2 + condition_size
    autoregressive = kind == "autoregressive"
    places = condition_length + tokens + (0 if autoregressive else 1)
    work = transformer(dim, layers, heads, hidden, places) + linear(dim, codebook_size, tokens)
    if autoregressive:  # the head has a row for every id, and uses those of the codes
        embeddings = vocabulary * dim + (vocabulary - codebook_size) * dim
        logits = 2 * codebook_size * tokens
    else:
        embeddings = (vocabulary + steps + 1) * dim
        logits = 12 * codebook_size * tokens
    return Cost(work.parameters + embeddings, 0, work.step, work.kept + logits)


@dataclass(frozen=True)
class Machine:
    """What trains.

    Attributes:
        gpus: how many.
        peak: FLOP/s of one, dense, as its data sheet says.
        utilisation: share of the peak that a training reaches, in (0, 1]: an assumption.
    """

    gpus: int
    peak: float
    utilisation: float

    def hours(self, flops: float) -> float:
        """Hours for so many FLOPs."""
        return flops / (self.gpus * self.peak * self.utilisation) / 3600


def ring_seconds(size: int, gpus: int, bandwidth: float) -> float:
    """Seconds in which every GPU comes to have the sum of what each of them holds.

    In a ring each sends and receives ``2 (n - 1) / n`` of it: Patarasuk and Yuan, "Bandwidth optimal
    all-reduce algorithms for clusters of workstations", 2009.

    Args:
        size: bytes on each.
        gpus: how many, n.
        bandwidth: bytes a second that one sends to the next.
    """
    return 2 * (gpus - 1) / gpus * size / bandwidth
