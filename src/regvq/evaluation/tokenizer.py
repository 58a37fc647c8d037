"""What a trained tokenizer does to held-out images, in numbers."""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics import Metric

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


class TokenizerMeter:
    """Counts what a tokenizer does to images, in sums that those of other images can be added to.

    Args:
        codebook_size: number of codes N.
    """

    def __init__(self, codebook_size: int) -> None:
        self._metrics: dict[str, Metric] = {
            "psnr": PSNR(),
            "ssim": SSIM(),
            "usage": CodebookUsage(codebook_size),
        }
        for metric in self._metrics.values():
            metric.sync_on_compute = False  # whoever adds parts of other processes does it himself
        self._images = 0

    def add(self, images: Tensor, reconstructions: Tensor, codes: Tensor) -> None:
        """A batch: originals and reconstructions [B, 3, H, W] in [-1, 1], codes [B, h, w]; on the CPU."""
        self._metrics["psnr"].update(reconstructions, images)
        self._metrics["ssim"].update(reconstructions, images)
        self._metrics["usage"].update(codes)
        self._images += len(images)

    def sums(self) -> dict[str, Tensor]:
        """All that was counted."""
        found = {
            f"{name}.{key}": value
            for name, metric in self._metrics.items()
            for key, value in metric.metric_state.items()
            if isinstance(value, Tensor)  # all of them are
        }
        return {**found, "images": torch.tensor(self._images)}

    @classmethod
    def of(cls, parts: Sequence[Mapping[str, Tensor]], codebook_size: int) -> "TokenizerMeter":
        """A meter that has seen the images of all ``parts``, which are ``sums`` of others."""
        meter = cls(codebook_size)
        for part in parts:
            for name, metric in meter._metrics.items():
                metric.merge_state({key: part[f"{name}.{key}"] for key in metric.metric_state})
            meter._images += int(part["images"])
        return meter

    def figures(self) -> TokenizerFigures:
        """What the sums say.

        Raises:
            RegvqError: nothing was added.
        """
        if self._images == 0:
            raise RegvqError("there are no images to evaluate the tokenizer on: give at least one batch")
        with warnings.catch_warnings():
            # Of one that has only been given the sums of others.
            warnings.filterwarnings("ignore", message="The ``compute`` method", category=UserWarning)
            values = {name: metric.compute() for name, metric in self._metrics.items()}
        return TokenizerFigures(
            psnr=float(values["psnr"]),
            ssim=float(values["ssim"]),
            usage=float(values["usage"]["usage"]),
            perplexity=float(values["usage"]["perplexity"]),
            counts=values["usage"]["counts"].flatten().clone(),
            images=self._images,
        )


@torch.no_grad()
def measure_tokenizer(
    tokenizer: ImageTokenizer,
    batches: Iterable[Tensor],
    watch: Callable[[Tensor, Tensor], None] = lambda images, reconstructions: None,
) -> TokenizerMeter:
    """Reconstructs ``batches`` of images [B, 3, H, W] in [-1, 1], float32, and counts.

    The tokenizer is used in eval mode and left in the mode it came in.

    Args:
        tokenizer: on the device that is to compute.
        batches: the images.
        watch: called with every batch and its reconstructions, both on the CPU, to measure more.

    Raises:
        RegvqError: the images' sides do not fit the tokenizer.
    """
    meter = TokenizerMeter(tokenizer.codebook_size)
    device = tokenizer.post_quant_conv.weight.device
    with EvalMode(tokenizer):
        for batch in batches:
            codes = tokenizer.encode(batch.to(device))
            reconstructions, originals = tokenizer.decode(codes).cpu(), batch.cpu()
            meter.add(originals, reconstructions, codes.cpu())
            watch(originals, reconstructions)
    return meter


def evaluate_tokenizer(tokenizer: ImageTokenizer, batches: Iterable[Tensor]) -> TokenizerFigures:
    """The figures of ``measure_tokenizer``.

    Raises:
        RegvqError: there are no images, or their sides do not fit the tokenizer.
    """
    return measure_tokenizer(tokenizer, batches).figures()


class EvalMode:
    """Puts a module into eval mode for a while and back into the mode it had."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module
        self.training = module.training

    def __enter__(self) -> None:
        self.module.eval()

    def __exit__(self, *exception: object) -> None:
        self.module.train(self.training)
