"""Finds the command, runs it, and turns what the user can mend into one sentence."""

import argparse
import functools
import importlib
import keyword
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import regvq
from regvq import ranks
from regvq.cli.help import Formatter
from regvq.cli.terminal import notice
from regvq.errors import RegvqError

COMMANDS = (
    "demo",
    "fit-tokenizer",
    "fit-generator",
    "sample",
    "edit",
    "detect",
    "serve",
    "reconstruct",
    "encode",
    "decode",
    "evaluate",
    "compare",
    "codebook",
    "export",
    "import",
    "revive",
)
"""In the order of the help. Each is a module of this package, ``-`` written as ``_`` (``import_``, because
``import`` is a word of Python), whose docstring starts with the command's one-line help, with
``add_arguments(parser)`` and ``run(args)``. A command that declares the attribute ``rest``
(``parser.set_defaults(rest=[])``) gets all arguments it does not know itself there."""

SHARED = ("fit-tokenizer", "fit-generator", "sample", "encode", "evaluate")
"""What several processes, started by torchrun, do together."""

FAILED, INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``regvq ARGUMENTS``.

    Args:
        argv: the arguments; those of the process if none are given.

    Returns:
        The exit status: 0, 2 for what the user can mend, 130 for an interruption.
    """
    try:
        with warnings.catch_warnings():
            warnings.showwarning = functools.partial(_warn, warnings.showwarning)
            run, args = _parse(sys.argv[1:] if argv is None else argv)
            run(args)
        sys.stdout.flush()
    except SystemExit as stop:  # argparse has printed what there is to say
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt as interruption:  # a training says how to go on
        return _fail(str(interruption) or "interrupted; what was saved before is whole", INTERRUPTED)
    except RegvqError as error:
        return _fail(str(error), FAILED)
    except BrokenPipeError:
        # The reader of our output has left (``| head``). Nothing more may be written to it, not even
        # by the interpreter's own flush at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", FAILED)
    return 0


def build_parser(
    formatter: type[argparse.HelpFormatter] = Formatter,
) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The whole parser, and the parser of each command by its name."""
    parser = argparse.ArgumentParser(
        prog="regvq",
        description="Trains image tokenizers and generators; turns images into tokens and back.",
        epilog="regvq COMMAND --help shows a command's options and an example.",
        formatter_class=formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"regvq {regvq.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    by_name = {}
    for name in COMMANDS:
        module = _module(name)
        summary, _, details = (module.__doc__ or "").partition("\n")
        by_name[name] = command = commands.add_parser(
            name,
            help=summary[0].lower() + summary[1:].rstrip("."),
            description=f"{summary}\n{details}".rstrip(),
            formatter_class=formatter,
            allow_abbrev=False,
        )
        command.set_defaults(run=module.run, command=name)
        module.add_arguments(command)
    return parser, by_name


def _parse(argv: Sequence[str]) -> tuple[Callable[[argparse.Namespace], None], argparse.Namespace]:
    parser, _ = build_parser()
    args, rest = parser.parse_known_args(argv)
    if rest and not hasattr(args, "rest"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        args.rest = rest
    args.command_line = shlex.join(["regvq", *argv])
    if ranks.launched() > 1 and args.command not in SHARED:
        raise RegvqError(f"regvq {args.command} is done by one process: start it without torchrun")
    return args.run, args


def _module(command: str) -> ModuleType:
    name = f"{command}_" if keyword.iskeyword(command) else command.replace("-", "_")
    return importlib.import_module(f"regvq.cli.{name}")


def _warn(
    otherwise: Callable[..., None],
    message: Warning | str,
    category: type[Warning],
    filename: str,
    *rest: Any,
) -> None:
    """What this package warns of as a sentence, without the line of source that says it."""
    if Path(filename).is_relative_to(Path(regvq.__file__).parent):
        notice(str(message))
    else:
        otherwise(message, category, filename, *rest)


def _fail(sentence: str, status: int) -> int:
    print(f"regvq: {sentence}", file=sys.stderr)
    return status
