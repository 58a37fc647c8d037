"""Show what a tokenizer keeps of images: originals beside their reconstructions.

Writes one PNG an image, the original on the left and its reconstruction on the right, and prints the
PSNR of each in dB, of all pixels together, and how much of the codebook these images use. Images keep
their size: one whose sides the tokenizer's downsampling factor does not divide is mirrored at its right
and lower edge, and the reconstruction is cropped back.

Example:
  regvq reconstruct runs/demo/tokenizers/regvq photos/ --output runs/reconstructions
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from regvq.cli import images as image_arguments
from regvq.cli import tokenizer as tokenizer_arguments
from regvq.errors import RegvqError

if TYPE_CHECKING:
    from torch import Tensor

GAP = 4
"""Pixels of white between an original and its reconstruction."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    tokenizer_arguments.add_tokenizer_arguments(parser)
    image_arguments.add_image_arguments(parser)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for the PNG files"
    )


def run(args: argparse.Namespace) -> None:
    """Reconstructs the images.

    Raises:
        RegvqError: nothing can be read, the folder cannot be written, or an image would be overwritten.
    """
    tokenizer_arguments.check_folder(args)
    found = image_arguments.Images.find(args.images, args.size)
    outputs = {
        name: args.output / file
        for name, file in zip(found.paths, image_arguments.png_names(found.paths), strict=True)
    }
    inputs = {path.resolve() for path in found.paths.values()}
    for output in outputs.values():
        if output.resolve() in inputs:
            raise RegvqError(f"{output} is one of the images: give another folder as --output")
    tokenizer = tokenizer_arguments.load(args)

    from regvq.data.images import save_png
    from regvq.metrics import PSNR, CodebookUsage
    from regvq.tokenizers.padding import pad_to_multiple

    usage = CodebookUsage(tokenizer.codebook_size)
    total = PSNR()
    lines = []
    for names, images in found.batches("reconstructing"):
        height, width = images.shape[2:]
        codes = tokenizer.encode(pad_to_multiple(images, tokenizer.downsampling).to(args.device))
        usage.update(codes.cpu())
        rebuilt = tokenizer.decode(codes)[..., :height, :width].cpu()
        total.update(rebuilt, images)
        for name, original, reconstruction in zip(names, images, rebuilt, strict=True):
            save_png(_pair(original, reconstruction), outputs[name])
            single = PSNR()
            single.update(reconstruction[None], original[None])
            lines.append(f"{single.compute():8.2f} dB  {width} x {height}  {name}")
    found.report_unreadable()
    figures = usage.compute()
    print("\n".join(lines))
    print(f"{total.compute():8.2f} dB  all {found.read} together")
    print(
        f"codes used: {figures['usage'] * tokenizer.codebook_size:.0f} of {tokenizer.codebook_size} "
        f"({100 * figures['usage']:.1f} %), perplexity {figures['perplexity']:.1f}, "
        f"from {figures['counts'].sum()} tokens"
    )
    print(f"written to {args.output}")


def _pair(original: "Tensor", reconstruction: "Tensor") -> "Tensor":
    """Two images [3, H, W] side by side: [3, H, 2W + GAP]."""
    import torch

    return torch.cat([original, original.new_ones(3, original.shape[1], GAP), reconstruction], dim=2)
