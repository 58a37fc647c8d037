"""Tokens as a picture: a colour for each code, or what each code paints."""

import colorsys

import torch
from torch import Tensor

from regvq.evaluation.codebook_pictures import code_patches
from regvq.tokenizers import ImageTokenizer

_TURN = 0.6180339887498949  # the golden ratio: however many codes, neighbours in number differ in hue


def code_colours(codes: Tensor) -> Tensor:
    """The colours of ``codes`` [...]: ``[..., 3]`` in [-1, 1], the same in every picture."""
    table, places = codes.unique(return_inverse=True)
    colours = [
        # Another turn for the lightness: two codes of nearly the same hue differ in it.
        colorsys.hls_to_rgb(code * _TURN % 1, 0.3 + 0.45 * (code * 0.7548776662 % 1), 0.6)
        for code in table.tolist()
    ]
    return (torch.tensor(colours, dtype=torch.float32) * 2 - 1)[places]


def colour_names(count: int) -> list[str]:
    """The colours of the first ``count`` codes as CSS writes them."""
    colours = ((code_colours(torch.arange(count)) + 1) * 127.5).round().int()
    return ["#{:02x}{:02x}{:02x}".format(*colour) for colour in colours.tolist()]


def colour_picture(codes: Tensor, side: int) -> Tensor:
    """Codes ``[h, w]`` as squares of ``side`` pixels in their colours: ``[3, h*side, w*side]``."""
    cells = code_colours(codes).permute(2, 0, 1)
    return cells.repeat_interleave(side, 1).repeat_interleave(side, 2)


def patch_picture(tokenizer: ImageTokenizer, codes: Tensor) -> Tensor:
    """Codes ``[h, w]``, each as what it paints among its own kind: ``[3, h*f, w*f]`` in [-1, 1].

    Beside the reconstruction it shows how much the decoder makes of a token's neighbours.
    """
    table, places = codes.unique(return_inverse=True)
    tiles = code_patches(tokenizer, table)[places.cpu()]
    rows, columns, channels, height, width = tiles.shape
    return tiles.permute(2, 0, 3, 1, 4).reshape(channels, rows * height, columns * width)
