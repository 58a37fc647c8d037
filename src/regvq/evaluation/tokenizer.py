"""What a trained tokenizer does to held-out images, in numbers."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.metrics import PSNR, SSIM, CodebookUsage
from regvq.tokenizers import ImageTokenizer


@dataclass(frozen=True)
class TokenizerFigures:
    """A tokenizer's figures on a set of images.

    Attributes:
        psnr: dB, from the mean squared error over the whole set.
        ssim: mean over images, at most 1.
        usage: share of the codes that occur, in [0, 1].
        perplexity: exp of the entropy of the code counts, in [1, N].
        counts: ``[N]`` int64, how often each code occurs.
        images: number of images measured.
    """

    psnr: float
    ssim: float
    usage: float
    perplexity: float
    counts: Tensor
    images: int

    @property
    def tokens(self) -> int:
        """Number of tokens measured."""
        return int(self.counts.sum())

    @property
    def bits_per_token(self) -> float:
        """Entropy of the code counts in bits: what an ideal code for single tokens would spend."""
        return math.log2(self.perplexity)


@torch.no_grad()
def evaluate_tokenizer(
    tokenizer: ImageTokenizer,
    batches: Iterable[Tensor],
    watch: Callable[[Tensor, Tensor], None] = lambda images, reconstructions: None,
) -> TokenizerFigures:
    """Reconstructs ``batches`` of images [B, 3, H, W] in [-1, 1], float32, and measures the result.

    The tokenizer is used in eval mode and left in the mode it came in.

    Args:
        tokenizer: on the device that is to compute.
        batches: the images.
        watch: called with every batch and its reconstructions, both on the CPU, to measure more.

    Raises:
        RegvqError: there are no images, or their sides do not fit the tokenizer.
    """
    psnr, ssim, usage = PSNR(), SSIM(), CodebookUsage(tokenizer.codebook_size)
    device = tokenizer.post_quant_conv.weight.device
    count = 0
    with EvalMode(tokenizer):
        for batch in batches:
            images = batch.to(device)
            codes = tokenizer.encode(images)
            reconstructions = tokenizer.decode(codes).cpu()
            originals = batch.cpu()
            psnr.update(reconstructions, originals)
            ssim.update(reconstructions, originals)
            watch(originals, reconstructions)
            usage.update(codes.cpu())
            count += len(batch)
    if count == 0:
        raise RegvqError("there are no images to evaluate the tokenizer on: give at least one batch")
    statistics = usage.compute()
    return TokenizerFigures(
        psnr=float(psnr.compute()),
        ssim=float(ssim.compute()),
        usage=float(statistics["usage"]),
        perplexity=float(statistics["perplexity"]),
        counts=statistics["counts"].clone(),
        images=count,
    )


class EvalMode:
    """Puts a module into eval mode for a while and back into the mode it had."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module
        self.training = module.training

    def __enter__(self) -> None:
        self.module.eval()

    def __exit__(self, *exception: object) -> None:
        self.module.train(self.training)
