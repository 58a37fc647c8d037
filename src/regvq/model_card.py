"""The card of a published model: what it was made from, what it can do, and what it is not for."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from regvq.errors import RegvqError

USAGE_PICTURE = "usage.png"
"""The picture beside the card that shows the histogram of the codes' use."""

_BARS, _BAR = 10, 40


@dataclass(frozen=True)
class CardFacts:
    """What only those know who trained the model.

    Attributes:
        licence: of the weights, as the Hub writes it, e.g. ``apache-2.0`` or ``cc-by-nc-4.0``.
        data: what it was trained on, and under which terms that data is.
        budget: how long, on what, e.g. ``3000 steps of 16 crops, two CPU cores, one hour``.
        figures: measured values by name, units in the name, e.g. ``{"PSNR (dB), validation": 25.3}``.
        counts: occurrences of each code in validation images, for the histogram; none if empty.
        notes: anything else a user must know, Markdown.

    Raises:
        RegvqError: licence, data or budget is empty.
    """

    licence: str
    data: str
    budget: str
    figures: Mapping[str, float | str] = field(default_factory=dict)
    counts: Sequence[int] = ()
    notes: str = ""

    def __post_init__(self) -> None:
        for name in ("licence", "data", "budget"):
            if not getattr(self, name).strip():
                raise RegvqError(f"a model card needs {name}: say what it is, or that it is unknown")


_USES = {
    "tokenizer": (
        "Turning images like those of the training data into discrete tokens and back: to train generators "
        "and multimodal models on, to compress, to study.",
        "A decoded image is an approximation that looks sharp: faces, text and small structures may be "
        "replaced by others that look as real. It is no evidence of anything: not for identification, "
        "diagnosis, forensics or measurement, and not to be passed off as the original. Images unlike the "
        "training data come out worse.",
    ),
    "generator": (
        "Research into image generation, and pictures where everybody knows that they are invented.",
        "What it draws is invented and carries the biases of its training data. Not for deception, for "
        "pictures of real people without their consent, for harassment, or as evidence or measurement; "
        "data sets that are made with it should say so.",
    ),
}


def model_card(
    kind: Literal["tokenizer", "generator"], about: Mapping[str, str], facts: CardFacts, repo_id: str
) -> str:
    """The card as the Hub reads it: Markdown behind YAML metadata.

    Args:
        kind: what the model is.
        about: what the model says of itself, by name.
        facts: what its makers say.
        repo_id: ``owner/name`` on the Hub.
    """
    from huggingface_hub import ModelCardData

    tags = ["image-tokenizer", "vector-quantization"] if kind == "tokenizer" else ["image-generation"]
    metadata = ModelCardData(license=facts.licence, library_name="regvq", tags=["regvq", *tags]).to_yaml()
    uses, misuse = _USES[kind]
    load = "load_tokenizer" if kind == "tokenizer" else "load_generator"
    figures = facts.figures or {"none": "nothing was reported"}
    sections = [
        f"# {repo_id.rpartition('/')[2]}",
        f"An image {kind} that the Python package regvq trained and reads.",
        _table("Model", "", about),
        f'```python\nimport regvq\n\n{kind} = regvq.{load}("{repo_id}")\n```',
        f"## Training data\n\n{facts.data}",
        f"## Training budget\n\n{facts.budget}",
        f"## Figures\n\n{_table('Figure', 'Value', {name: _value(one) for name, one in figures.items()})}",
    ]
    if len(facts.counts):
        picture = f"![How often each code is used, most used first]({USAGE_PICTURE})"
        sections.append(f"## Codebook usage\n\n{picture}\n\n{usage_text(facts.counts)}")
    sections += [f"## Intended use\n\n{uses}", f"## Limits and misuse\n\n{misuse}"]
    if facts.notes:
        sections.append(f"## Notes\n\n{facts.notes}")
    sections.append(
        f"## Licence\n\n{facts.licence}, for the weights. The training data has terms of its own."
    )
    return f"---\n{metadata}\n---\n\n" + "\n\n".join(sections) + "\n"


def usage_text(counts: Sequence[int]) -> str:
    """A histogram in text: the share of the tokens that each tenth of the codes has, most used first.

    Args:
        counts: occurrences of each code, at least one code.
    """
    ordered, total = sorted(counts, reverse=True), max(sum(counts), 1)
    used = sum(count > 0 for count in ordered)
    edges = [round(len(ordered) * part / _BARS) for part in range(_BARS + 1)]
    shares = [sum(ordered[begin:end]) / total for begin, end in itertools.pairwise(edges)]
    lines = [
        f"{100 * part // _BARS:3d}-{100 * (part + 1) // _BARS:3d} % of the codes  {share:6.1%}  "
        f"{'#' * round(_BAR * share)}".rstrip()
        for part, share in enumerate(shares)
    ]
    head = (
        f"{used} of {len(ordered)} codes occur in {sum(counts)} validation tokens. The tokens' shares by "
        "the codes' rank:"
    )
    return "\n".join([head, "", "```text", *lines, "```"])


def _table(first: str, second: str, rows: Mapping[str, str]) -> str:
    return "\n".join([f"| {first} | {second} |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows.items())])


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
