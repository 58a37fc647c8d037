"""From what the user types to what the parser reads, and from its complaints to one sentence."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from regvq import configs, ranks
from regvq.errors import RegvqError
from regvq.training.run_folder import RunFolder

EXAMPLES = {
    "tokenizer": "--config backbone/tiny --config objective/l1 --config tokenizer/regvq "
    "--config data/photos --config trainer/cpu",
    "generator": "--model.tokenizer FOLDER --config generator/autoregressive-tiny --config "
    "condition/class-label --config data/scenes --config trainer/generator-cpu",
    "data": "--config data/scenes",
}
"""Arguments that make a whole configuration, by what it is of."""


def resolve(args: Sequence[str], stage: str = "tokenizer") -> list[str]:
    """Replaces short configuration names by files; a resumed run starts from its own configuration.

    A run whose processes torchrun has started again is resumed where there is a checkpoint.

    Raises:
        RegvqError: a configuration does not exist or is no YAML; there is nothing to resume.
    """
    resolved: list[str] = []
    previous = ""
    for arg in _spaced(args):
        resolved.append(str(_readable(configs.find(arg))) if previous in ("--config", "-c") else arg)
        previous = arg
    places = [value for name, value in itertools.pairwise(resolved) if name == "--output"]
    folder = RunFolder(Path(places[-1] if places else f"runs/{stage}"), stage)
    if ranks.restarted() and folder.resumable and "--resume" not in resolved:
        resolved.append("--resume")
    if "--resume" in resolved:
        folder.require(resume=True)
        if folder.config.is_file():
            resolved = ["--config", str(_readable(folder.config)), *resolved]
    return resolved


def explain(complaint: str, args: Sequence[str], stage: str = "tokenizer") -> str:
    """One sentence for the user from what jsonargparse says over several lines.

    Args:
        complaint: the parser's text.
        args: what it was parsing, as ``resolve`` returned it.
        stage: what the configuration is of, a key of ``EXAMPLES``.
    """
    missing = re.search(r"^the following arguments are required: (.*)", complaint)
    if missing:
        return (
            f"the configuration lacks {missing.group(1)}: add what gives them, for example "
            f"{EXAMPLES[stage]}"
        )
    text = re.sub(r"\n\s*(Given value|Subtypes).*", "", complaint)
    # Of a union's types, those that the user cannot have meant explain nothing.
    text = re.sub(r"\n\s*- (Expected a (path|dot import path)|Does not validate against any).*", "", text)
    text = re.sub(r"Parser key \"([^\"]*)\":", r"\1:", text)
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text)
    text = " ".join(text.split())
    places = _places(complaint, args)
    return f"{places[-1]}: {text}" if places else text


def innermost(error: BaseException) -> str:
    """The sentence of the ``RegvqError`` that ``error`` wraps; a shortened ``error`` where it has none."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, RegvqError):
            return str(inner)
        inner = inner.__cause__ or inner.__context__
    # Of several types that were tried, those that only say their own name explain nothing.
    tried = re.findall(r"^ *- (.+)$", str(error), re.MULTILINE)
    telling = [reason for reason in tried if not reason.startswith(("Expected a", "Does not validate"))]
    return telling[-1] if telling else explain(str(error), [])


def located(sentence: str, args: Sequence[str]) -> str:
    """``sentence`` of a constructor, behind the places where the argument that it starts with was given."""
    word = re.match(r"[a-z]\w*", sentence)
    if word is None:
        return sentence
    # As a key, not as any word: a comment may hold it, too.
    key = re.compile(rf"^[^#\n]*\b{word.group()}\s*:", re.MULTILINE)
    files = [value for name, value in itertools.pairwise(args) if name in ("--config", "-c")]
    places = [file for file in files if key.search(Path(file).read_text("utf-8"))]
    places += [arg for arg in args if re.match(rf"--(\S*\.)?{word.group()}(=|$)", arg)]
    return f"{places[-1]}: {sentence}" if places else sentence


def _spaced(args: Sequence[str]) -> list[str]:
    """``--config=x`` as ``--config x``, likewise ``--output``."""
    return [part for arg in args for part in re.sub(r"^(--config|--output)=", r"\1\n", arg).split("\n")]


def _readable(path: Path) -> Path:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise RegvqError(f"{path}{line} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise RegvqError(f"{path} is not a configuration: it must hold keys like model, data and trainer")
    return path


def _places(complaint: str, args: Sequence[str]) -> list[str]:
    """Where the key that is complained about was given: files, and arguments after them."""
    keys = re.findall(r"(?:Parser key \"|[Oo]ption ')([\w.]+)", complaint)
    words = set(keys[-1].split(".")) if keys else set()
    if not words:
        return []
    files = [value for name, value in itertools.pairwise(args) if name in ("--config", "-c")]
    named = [file for file in files if words <= set(re.findall(r"\w+", Path(file).read_text("utf-8")))]
    typed = [arg for arg in args if arg.startswith("--") and words <= set(re.findall(r"\w+", arg))]
    places = named + typed
    value = re.search(r"Got value: (.+)", complaint)
    if value is None:
        return places
    literal = re.escape(value.group(1).strip("'\""))
    word = re.compile(rf"(?<![\w.]){literal}(?![\w.])")
    return [place for place in places if word.search(_text(place))] or places


def _text(place: str) -> str:
    """What stands at a place: the content of a file, or the argument itself."""
    return place if place.startswith("--") else Path(place).read_text("utf-8")
