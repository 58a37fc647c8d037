"""The generator named on the command line, its condition, and how it is sampled."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from regvq import hub
from regvq.cli import images as image_arguments
from regvq.cli import tokenizer as tokenizer_arguments
from regvq.cli.terminal import notice, working
from regvq.errors import RegvqError

if TYPE_CHECKING:
    from torch import Tensor

    from regvq.generators import Generator, Sampler
    from regvq.tokenizers import ImageTokenizer

CONDITIONS = {"class": "ClassLabel", "caption": "Caption", "label_map": "LabelMap"}
"""Arguments that give a condition, and the condition that each belongs to."""


def add_generator_arguments(parser: argparse.ArgumentParser) -> None:
    """``TOKENIZER``, ``GENERATOR``, the condition, and the options of sampling."""
    tokenizer_arguments.add_tokenizer_arguments(parser)
    add_generator_argument(parser)
    condition = parser.add_mutually_exclusive_group()
    for name, metavar, text in (
        ("class", "NAME", "classes to show, by name or number"),
        ("caption", "TEXT", "sentences to illustrate"),
        ("label-map", "PNG", "label maps to follow: grey or palette, one label number a pixel"),
    ):
        condition.add_argument(f"--{name}", nargs="+", metavar=metavar, help=text)
    add_sampling_arguments(parser)


def add_generator_argument(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """``GENERATOR``."""
    parser.add_argument(
        "generator",
        nargs=None if required else "?",
        type=Path,
        metavar="GENERATOR",
        help="folder with config.json and model.safetensors, or owner/name on the Hugging Face Hub",
    )


def add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    """How to draw."""
    parser.add_argument("--seed", type=int, default=0, help="decides all chance (default: 0)")
    for name, kind, metavar, text in (
        ("temperature", float, "T", "below 1 likelier tokens, above 1 more variety (default: 1)"),
        ("top-k", int, "K", "draw from the K likeliest tokens only"),
        ("top-p", float, "P", "draw from the likeliest tokens that have this probability together"),
        ("guidance", float, "SCALE", "how strongly to follow the condition (default: 1, as learned)"),
        ("steps", int, "N", "steps of a diffusion generator (default: all, or 12 with --parallel)"),
    ):
        parser.add_argument(f"--{name}", type=kind, metavar=metavar, help=text)
    parser.add_argument(
        "--guidance-schedule",
        choices=("constant", "linear", "cosine"),
        default="constant",
        help="how the guidance grows over the sampling (default: constant)",
    )
    parser.add_argument(
        "--parallel", action="store_true", help="diffusion: fix the surest tokens first, in few steps"
    )
    parser.add_argument(
        "--batch-size",
        type=image_arguments.positive,
        default=16,
        metavar="N",
        help="images at once (default: 16)",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="autoregressive: compile the network first: up to minutes, worth it for many images",
    )


def load(args: argparse.Namespace) -> "Sampler":
    """Loads what ``args`` name.

    Raises:
        RegvqError: a folder is missing, the two do not fit, or an option means nothing.
    """
    tokenizer, generator = load_models(args)
    from regvq.generators import AutoregressiveGenerator, Sampler
    from regvq.generators.sampling import check_options
    from regvq.types import SamplingOptions

    if (args.parallel or args.steps is not None) and not generator.in_steps:
        raise RegvqError(
            f"{args.generator} is no diffusion generator, it draws token after token: leave --steps "
            "and --parallel out"
        )
    if args.compile:
        if not isinstance(generator, AutoregressiveGenerator):
            raise RegvqError(f"{args.generator} is no autoregressive generator: leave --compile out")
        generator.compiled = True
    given = {
        name: getattr(args, name)
        for name in ("temperature", "top_k", "top_p", "guidance", "steps")
        if getattr(args, name) is not None
    }
    options = SamplingOptions(
        seed=args.seed, guidance_schedule=args.guidance_schedule, parallel=args.parallel, **given
    )
    check_options(options)
    return Sampler(tokenizer, generator, options, args.batch_size, notice)


def load_models(args: argparse.Namespace) -> "tuple[ImageTokenizer, Generator]":
    """Loads ``args.tokenizer`` and ``args.generator`` on ``args.device``.

    Raises:
        RegvqError: a folder is missing, or the two do not fit.
    """
    if not (args.generator.is_dir() or hub.is_id(args.generator)):
        raise RegvqError(f"there is no generator folder {args.generator}")
    tokenizer = tokenizer_arguments.load(args)
    with working("loading the generator"):
        import regvq

        generator = regvq.load_generator(args.generator)
        generator.require(tokenizer, str(args.tokenizer))
        return tokenizer, generator.to(args.device)


def condition_ids(args: argparse.Namespace, sampler: "Sampler") -> "Tensor":
    """The ids ``[M, P]`` of the conditions that were given; null, ``[1, P]``, where none was.

    Raises:
        RegvqError: a value is not one of the condition's, or the generator takes another condition.
    """
    condition = sampler.generator.condition
    kind = type(condition).__name__
    for name, owner in CONDITIONS.items():
        values = getattr(args, name)
        if values is None:
            continue
        if owner != kind:
            takes = [f"--{other.replace('_', '-')}" for other, one in CONDITIONS.items() if one == kind]
            advice = f"give {takes[0]}" if takes else "leave it out"
            raise RegvqError(
                f"this generator does not take --{name.replace('_', '-')} (its condition is {kind}): "
                f"{advice}"
            )
        if name == "label_map":
            ids = _label_map_ids(values, sampler)
        else:
            ids = condition.ids([condition.read(text) for text in values])
        _say_what_null_means(sampler, given=True)
        return ids
    _say_what_null_means(sampler, given=False)
    return condition.null(1)


def condition_texts(args: argparse.Namespace) -> list[str]:
    """The conditions as they were given, label maps by the file's name; ``none`` where none was."""
    for name in CONDITIONS:
        values = getattr(args, name)
        if values is not None:
            return [Path(value).name for value in values] if name == "label_map" else list(values)
    return ["none"]


def keep_inputs(outputs: Iterable[Path], inputs: Iterable[Path | str]) -> None:
    """Refuses to write over what the command reads.

    Raises:
        RegvqError: one of ``outputs`` is one of ``inputs``.
    """
    read = {Path(path).resolve() for path in inputs}
    for output in outputs:
        if output.resolve() in read:
            raise RegvqError(f"{output} is what the command reads: give another --output")


def _say_what_null_means(sampler: "Sampler", given: bool) -> None:
    """Conditions that training never dropped cannot be left out, nor steered by."""
    generator, steered = sampler.generator, sampler.options.guidance != 1
    if steered and generator.condition.length == 0:
        notice("this generator has no condition: --guidance changes nothing")
    elif generator.condition_dropout == 0 and generator.condition.length > 0 and (steered or not given):
        what = "to be guided" if given else "to draw without one"
        notice(
            f"this generator was trained with a condition for every image (condition_dropout 0): {what} is "
            "nothing that it has learned"
        )


def _label_map_ids(paths: Sequence[str], sampler: "Sampler") -> "Tensor":
    import torch

    rows = []
    for path in paths:
        label_map = sampler.generator.condition.read(path)
        _check_size(path, label_map, sampler.size)
        try:
            rows.append(sampler.generator.condition.ids(label_map[None]))
        except RegvqError as error:
            raise RegvqError(f"{path}: {error}") from None
    return torch.cat(rows)


def _check_size(path: str, label_map: "Tensor", size: tuple[int, int]) -> None:
    if tuple(label_map.shape) != size:
        height, width = label_map.shape
        raise RegvqError(
            f"{path} is {width} x {height} pixels, this generator makes images of {size[1]} x {size[0]}: "
            "resize the label map, with nearest-neighbour interpolation"
        )
