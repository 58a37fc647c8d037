"""Writes docs/results.md from the figures in docs/results/, and says of every claim whether it holds here.

    .venv/bin/python benchmarks/results.py [--check]

A comparison's figures lie there as ``NAME.json`` (``benchmarks/publish.py`` takes them from its folder),
the other benchmarks' under their own names; ``NAME.md`` beside it holds what a person has to say of them,
``about.md`` what holds for all. With ``--check`` nothing is written; the exit status is 1 where the page is
not what the figures say.
"""

import json
import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from claims import CLAIMS, Finding, Rows
from pages import write_or_check
from regvq.evaluation.comparison import read_comparison
from regvq.evaluation.comparison.report import markdown, plot
from regvq.figures import png
from regvq.files import write_bytes

DOCS = Path(__file__).parents[1] / "docs"
FIGURES = DOCS / "results"
ABOUT = FIGURES / "about.md"
PAGE = DOCS / "results.md"

COMPARISONS = (
    "main",
    "ablation",
    "with-and-without-prior",
    "diffusion",
    "mask-ratio",
    "mask-ratio-contrastive",
    "codebook-size",
    "code-dimension",
    "priors",
    "heads",
)


def comparison_section(name: str, content: Mapping[str, Any]) -> str:
    """Table and picture of a comparison."""
    comparison = read_comparison(f"comparison/{name}")
    table = markdown(comparison, content["rows"], content["failures"]).partition("\n")[2].strip()
    command = content.get("command", f"regvq compare comparison/{name} --output runs/{name}")
    return "\n\n".join(
        [
            f"## {comparison.title}",
            f"    {command}",
            table,
            f"![{comparison.title}](images/{picture(name).name})",
        ]
    )


def picture(name: str) -> Path:
    """Where a comparison's picture lies."""
    return DOCS / "images" / f"results-{name}.png"


def generators_section(content: Rows) -> str:
    """What generators reach under held-out conditions."""
    lines = [
        "| generator, condition | steps of 16 | minutes | figure | value | ceiling | bar |",
        "|---|---:|---:|---|---:|---:|---:|",
    ]
    for row in content:
        kind, condition = row["run"].split("/")
        reached = "reached" if row["passed"] else "missed"
        lines.append(
            f"| {kind}, {condition.removesuffix('-4x').replace('-', ' ')} | {row['steps']:,} | "
            f"{row['seconds'] / 60:.1f} | {row['figure']} | {row['value']:.3f} | {row['ceiling']:.3f} | "
            f"{row['bar']:.2f}: {reached} |"
        )
    return "\n\n".join(
        [
            "## Generators under combinations that training never showed",
            "    .venv/bin/python benchmarks/generators.py --json docs/results/generators.json",
            "\n".join(lines),
        ]
    )


STOCHASTIC_MASK = (
    ("psnr", "PSNR of reconstructions (dB)", 2),
    ("psnr_sampled_40", "the same, 40 % of the tokens sampled (dB)", 2),
    ("reconstruction_frechet", "Fréchet distance of reconstructions", 4),
    ("perplexity", "perplexity of the tokens", 0),
    ("bits_per_token", "bits a token, of the generator", 2),
    ("ceiling", "mean IoU of reconstructions (the ceiling)", 3),
    ("mean_iou", "mean IoU of samples", 3),
    ("frechet", "Fréchet distance of samples", 4),
)


def stochastic_mask_section(content: Mapping[str, Any]) -> str:
    """Three tokenizers and a generator on the tokens of each."""
    rows = content["rows"]
    names = list(dict.fromkeys(row["tokenizer"] for row in rows))
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for key, title, places in STOCHASTIC_MASK:
        values = [[row[key] for row in rows if row["tokenizer"] == name] for name in names]
        cells = [
            f"{statistics.fmean(one):.{places}f} ± {statistics.stdev(one):.{places}f}" for one in values
        ]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n\n".join(
        [
            "## What the stochastic mask does to generation",
            "    .venv/bin/python benchmarks/stochastic_mask.py --json docs/results/stochastic-mask.json",
            "\n".join(lines),
        ]
    )


SECTIONS: dict[str, Callable[[Any], str]] = {
    **{name: lambda content, name=name: comparison_section(name, content) for name in COMPARISONS},
    "stochastic-mask": stochastic_mask_section,
    "generators": generators_section,
}


def claims_table(figures: Mapping[str, Any]) -> str:
    """Every claim with what was measured of it."""
    lines = ["| the paper says | its figures | measured here | verdict | from |", "|---|---|---|---|---|"]
    for claim in CLAIMS:
        there = claim.source in figures
        found = (
            claim.judge.find(figures[claim.source]["rows"]) if there else Finding("–", "not measured yet")
        )
        lines.append(
            f"| {claim.text} | {claim.paper or '–'} | {found.measured} | {found.verdict} | {claim.source} |"
        )
    return "\n".join(["## The paper's claims", "", *lines])


def read_figures() -> dict[str, Any]:
    """What was measured, by the names of ``SECTIONS``."""
    files = {name: FIGURES / f"{name}.json" for name in SECTIONS}
    return {
        name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items() if file.is_file()
    }


def page(figures: Mapping[str, Any]) -> str:
    """The whole page."""
    parts = [ABOUT.read_text(encoding="utf-8").strip(), claims_table(figures)]
    for name, content in figures.items():
        parts.append(SECTIONS[name](content))
        said = FIGURES / f"{name}.md"
        if said.is_file():
            parts.append(said.read_text(encoding="utf-8").strip())
    return "\n\n".join(parts) + "\n"


def draw(figures: Mapping[str, Any]) -> None:
    """The picture of every comparison."""
    for name in COMPARISONS:
        if name in figures:
            drawn = plot(read_comparison(f"comparison/{name}"), figures[name]["rows"])
            write_bytes(picture(name), png(drawn))


if __name__ == "__main__":
    up_to_date = write_or_check(PAGE, lambda: page(read_figures()), __doc__)
    if "--check" not in sys.argv:
        draw(read_figures())
    sys.exit(not up_to_date)
