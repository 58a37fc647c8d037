"""An image, its tokens, and what is left of it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from regvq.metrics import PSNR
from regvq.tokenizers import ImageTokenizer
from regvq.tokenizers.padding import pad_to_multiple


@dataclass(frozen=True)
class TokenGrid:
    """The tokens of an image of any size.

    Attributes:
        codes: ``[h, w]`` int64, on the CPU.
        height: of the image in pixels; the tokens may reach beyond its lower edge.
        width: likewise, right edge.
    """

    codes: Tensor
    height: int
    width: int


@dataclass(frozen=True)
class Reconstruction:
    """What a tokenizer keeps of an image.

    Attributes:
        tokens: of the image.
        image: what they decode to, ``[3, H, W]`` in [-1, 1].
        psnr: in dB.
    """

    tokens: TokenGrid
    image: Tensor
    psnr: float


def reconstruct(tokenizer: ImageTokenizer, image: Tensor) -> Reconstruction:
    """Encodes and decodes an image [3, H, W] in [-1, 1] of any size."""
    height, width = image.shape[1:]
    padded = pad_to_multiple(image[None], tokenizer.downsampling)
    tokens = TokenGrid(tokenizer.encode(padded.to(_device(tokenizer)))[0].cpu(), height, width)
    rebuilt = decode(tokenizer, tokens)
    psnr = PSNR()
    psnr.update(rebuilt[None], image[None])
    return Reconstruction(tokens, rebuilt, float(psnr.compute()))


def decode(tokenizer: ImageTokenizer, tokens: TokenGrid) -> Tensor:
    """The image of tokens: ``[3, H, W]`` in [-1, 1], on the CPU."""
    image = tokenizer.decode(tokens.codes[None].to(_device(tokenizer)))[0]
    return image[:, : tokens.height, : tokens.width].cpu()


def _device(tokenizer: ImageTokenizer) -> torch.device:
    return tokenizer.post_quant_conv.weight.device
