"""Show a tokenizer and a generator on a web page.

Drop an image and see its tokens, its reconstruction and the error; paint over tokens or swap them and
decode; with a generator, draw images under a class, a caption or a painted label map, and draw a part of an
image anew where a brush says; browse the codebook by use. It needs the extra "serve". The page is for this
machine alone unless --host says otherwise. Requests wait in one queue and are computed one at a time;
visitors read no file of this machine but their own.

Example:
  regvq serve runs/scenes/tokenizer runs/scenes-diffusion/generator --port 7860
"""

import argparse
import contextlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from regvq.cli import generator as generator_arguments
from regvq.cli import images as image_arguments
from regvq.cli import tokenizer as tokenizer_arguments
from regvq.cli.images import positive
from regvq.cli.provenance import add_provenance_arguments
from regvq.cli.terminal import notice, working
from regvq.errors import RegvqError

if TYPE_CHECKING:
    from torch import Tensor

    from regvq.tokenizers import ImageTokenizer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    tokenizer_arguments.add_tokenizer_arguments(parser)
    generator_arguments.add_generator_argument(parser, required=False)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen (default: this machine alone)",
    )
    parser.add_argument(
        "--port", type=image_arguments.not_negative, default=7860, help="0 for any free one (default: 7860)"
    )
    parser.add_argument(
        "--images",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="images and folders to count the codes in, for the codebook's page",
    )
    for name, default, metavar, text in (
        ("queue", 32, "N", "requests that may wait; another one is refused"),
        ("max-upload-mb", 10, "MB", "largest file that may be uploaded"),
        ("max-pixels", 2**20, "N", "largest image that is read"),
        ("time-limit", 60, "SECONDS", "that one request may compute"),
    ):
        parser.add_argument(
            f"--{name}",
            type=positive,
            default=default,
            metavar=metavar,
            help=f"{text} (default: {default})",
        )
    add_provenance_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Serves until it is interrupted.

    Raises:
        RegvqError: a folder is missing or damaged, the extra is not installed, or the address is taken.
    """
    if importlib.util.find_spec("gradio") is None:
        raise RegvqError("the web page needs gradio: pip install 'regvq[serve]'")
    tokenizer_arguments.check_folder(args)
    found = image_arguments.Images.find(args.images) if args.images else None
    if args.generator is None:
        tokenizer, generator = tokenizer_arguments.load(args), None
    else:
        tokenizer, generator = generator_arguments.load_models(args)
    counts = None if found is None else _count(tokenizer, found)
    with working("starting the server"):
        from regvq.app import server
        from regvq.app.limits import Limits
        from regvq.app.shelf import Shelf
        from regvq.app.studio import Studio

        limits = Limits(args.queue, args.max_upload_mb, args.max_pixels, args.time_limit)
        listener = server.listen(args.host, args.port)
    with listener, server.visitors_folder() as folder:
        studio = Studio(tokenizer, generator, Shelf(folder, limits.pixels), limits, counts, args.watermark)
        if not args.host.startswith("127.") and args.host not in ("localhost", "::1"):
            notice(f"listening at {args.host}: whoever reaches this machine can use the page")
        place = server.address(listener)
        serving = server.Server(server.build_app(studio), lambda: _announce(place))
        with contextlib.suppress(KeyboardInterrupt):  # the way to end it
            serving.run([listener])
    print("stopped")


def _announce(address: str) -> None:
    print(f"serving at {address} (stop with Ctrl-C)", flush=True)


def _count(tokenizer: "ImageTokenizer", found: image_arguments.Images) -> "Tensor":
    """How often each code occurs in the images: ``[N]`` int64."""
    from regvq.metrics import CodebookUsage
    from regvq.tokenizers.padding import pad_to_multiple

    usage = CodebookUsage(tokenizer.codebook_size)
    device = tokenizer.post_quant_conv.weight.device
    for _, images in found.batches("counting codes"):
        padded = pad_to_multiple(images, tokenizer.downsampling)
        usage.update(tokenizer.encode(padded.to(device)).cpu())
    found.report_unreadable()
    return usage.counts
