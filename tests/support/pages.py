"""Pages of documentation: what is in them, and what their commands would do if they were run."""

import re
import shlex
import subprocess
import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path

from regvq import configs
from regvq.cli import main
from regvq.cli.dispatch import build_parser
from regvq.training.cli_arguments import EXAMPLES

ROOT = Path(__file__).parents[2]

LEFT_OUT = "…"
"""Stands in a command for arguments that the page does not repeat."""

# The pages train for real; here the same commands stop after two steps on a few small crops.
_STEPS = ["--trainer.max_steps=2", "--trainer.val_check_interval=2", "--data.batch_size=4"]
_SHORT = {
    "fit-tokenizer": [*_STEPS, "--data.workers=0"],
    "revive": [*_STEPS, "--data.workers=0"],
    "fit-generator": [*_STEPS, "--data.workers=0"],
    "evaluate": ["--count=4", "--data.workers=0"],
}


@dataclass(frozen=True)
class Block:
    """A block of code of a page.

    Attributes:
        language: as its fence names it; ``sh`` where it is indented and starts with a command.
        text: without fence and indentation.
    """

    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """All blocks of a page, in order."""
    found = re.finditer(
        r"^ *```(?P<language>\w*)\n(?P<fenced>(?s:.*?))^ *```|(?<=\n\n)(?P<indented>(?: {4}.*\n)+)",
        page,
        flags=re.MULTILINE,
    )
    return [
        Block(one["language"], textwrap.dedent(one["fenced"]))
        if one["fenced"] is not None
        else _indented(textwrap.dedent(one["indented"]))
        for one in found
    ]


def _indented(text: str) -> Block:
    return Block("sh" if re.match(r"regvq |torchrun |\S*python |[A-Z_]+=\S+ ", text) else "text", text)


def commands(block: Block) -> list[list[str]]:
    """Every line of a shell block as words, continued lines joined, comments dropped."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def links(page: str) -> list[str]:
    """Where a page links to in this repository, without the anchors."""
    return re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page)


def regvq_arguments(words: list[str]) -> list[str] | None:
    """What ``regvq`` is given by a command, which may be started as a module; ``None`` if it is another."""
    if words[0] == "regvq":
        return words[1:]
    for place, word in enumerate(words[:-1]):
        if word == "-m" and words[place + 1] == "regvq":
            return words[place + 2 :]
    return None


def run(arguments: list[str]) -> None:
    """Runs a command of ``regvq`` on a small scale."""
    extra = list(_SHORT.get(arguments[0], []))
    given = " ".join(arguments)
    if "--config" in arguments and ("data/folder" in given or "data/class-folders" in given):
        extra.append("--data.dataset.init_args.val_share=0.25")
        if "init_args.size" not in given:
            extra.append("--data.dataset.init_args.size=32")
    assert main([*arguments, *extra]) == 0, shlex.join(arguments)


def check(words: list[str]) -> None:
    """Holds a command that is not run to what there is: options, configurations, targets, scripts."""
    while re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    arguments = regvq_arguments(words)
    if arguments is not None:
        _parse(arguments)
    elif words[0] == "make":
        subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, check=True, capture_output=True)
    elif words[0] == "pip":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        named = re.findall(r"regvq\[([\w,]+)\]", " ".join(words))
        assert named, words
        assert {extra for one in named for extra in one.split(",")} <= project[
            "optional-dependencies"
        ].keys()
    elif "python" in words[0]:
        assert (ROOT / words[1]).is_file(), words
    else:
        assert words[0] in (".", "export"), f"nothing is known of the command {words[0]}"


def check_configuration(text: str) -> None:
    """Holds YAML of a page to the keys and values of a training; writes it into the working directory."""
    path = Path("of-the-page.yaml")
    path.write_text(text, encoding="utf-8")
    _parse(["fit-tokenizer", LEFT_OUT, "--config", str(path)])


def _parse(arguments: list[str]) -> None:
    """Parses as ``regvq`` does; trainings with all keys of their configuration."""
    if arguments[0] in ("fit-tokenizer", "fit-generator"):
        whole = shlex.split(EXAMPLES[arguments[0].removeprefix("fit-")])
        complete = [word for given in arguments for word in (whole if given == LEFT_OUT else [given])]
        assert main([*complete, "--print_config"]) == 0, shlex.join(arguments)
        return
    parser, _ = build_parser()
    args, rest = parser.parse_known_args([word for word in arguments if word != LEFT_OUT])
    assert not rest or hasattr(args, "rest"), f"{shlex.join(arguments)}: {rest} is unknown"
    for place, word in enumerate(rest[:-1]):
        if word == "--config":
            configs.find(rest[place + 1])
