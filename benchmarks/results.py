"""Writes docs/results.md from the figures in docs/results/, and says of every claim whether it holds here.

    .venv/bin/python benchmarks/results.py [--check]

A comparison's ``comparison.json`` lies there as ``NAME.json``, the other benchmarks' under their own
names; ``NAME.md`` beside it holds what a person has to say of them. A claim is held against figures that
were measured seed by seed: three seeds that all agree are ``for`` or ``against``, three that do not are
``open``, and fewer than three are ``exploratory``. With ``--check`` nothing is written; the exit status is
1 where the page is not what the figures say.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regvq.evaluation.comparison import read_comparison
from regvq.evaluation.comparison.report import markdown, plot
from regvq.evaluation.figures import png
from regvq.files import write_bytes

DOCS = Path(__file__).parents[1] / "docs"
FIGURES = DOCS / "results"
PAGE = DOCS / "results.md"

HEAD = """\
# Results

What was measured, for and against the paper (*Regularized Vector Quantization for Tokenized Image
Synthesis*, CVPR 2023). This page is written by `benchmarks/results.py` from the figures in `docs/results/`.
A claim needs three seeds: where all agree it is *for* or *against*, where they do not it is *open*, with
fewer it is *exploratory*.
"""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Finding:
    """What was measured of a claim.

    Attributes:
        measured: the figures, in words.
        verdict: whether the claim holds.
    """

    measured: str
    verdict: str


@dataclass(frozen=True)
class Claim:
    """What the paper says, and how it is held against figures.

    Attributes:
        text: the claim.
        source: the file of figures.
        judge: from its rows to what was found.
    """

    text: str
    source: str
    judge: Callable[[Rows], Finding]


def by_seed(rows: Rows, row: str, figure: str, value: Any = None) -> dict[int, float]:
    """A figure of one row, and of one swept value, seed by seed; by the start of its name."""
    found = {}
    for one in rows:
        if one["row"] == row and (value is None or one["value"] == value):
            (name,) = (name for name in one["figures"] if name.startswith(figure))
            found[one["seed"]] = one["figures"][name]
    return found


def verdict(agreeing: Sequence[bool]) -> str:
    """What the seeds say together; see the module."""
    if len(agreeing) < 3:
        return f"exploratory: {'for' if all(agreeing) else 'against'}" if agreeing else "not measured"
    return "for" if all(agreeing) else "open" if any(agreeing) else "against"


def shown(values: Mapping[int, float]) -> str:
    """Mean ± standard deviation."""
    numbers = list(values.values())
    mean = statistics.fmean(numbers)
    places = 4 if abs(mean) < 1 else 2 if abs(mean) < 100 else 1
    spread = f" ± {statistics.stdev(numbers):.{places}f}" if len(numbers) > 1 else ""
    return f"{mean:.{places}f}{spread}"


def improves(before: str, after: str, figure: str, better: int) -> Callable[[Rows], Finding]:
    """Whether a figure of one row is better than another row's, seed by seed.

    Args:
        before: name of the row that is compared with.
        after: name of the row that should be better.
        figure: start of the figure's name.
        better: 1 where more is better, -1 where less is.
    """

    def judge(rows: Rows) -> Finding:
        old, new = by_seed(rows, before, figure), by_seed(rows, after, figure)
        seeds = sorted(old.keys() & new.keys())
        agreeing = [better * (new[seed] - old[seed]) > 0 for seed in seeds]
        return Finding(f"{figure}: {shown(old)} → {shown(new)}", verdict(agreeing))

    return judge


def reaches(row: str, figure: str, bound: float) -> Callable[[Rows], Finding]:
    """Whether a figure is at least ``bound`` at every seed."""

    def judge(rows: Rows) -> Finding:
        found = by_seed(rows, row, figure)
        return Finding(f"{figure}: {shown(found)}", verdict([value >= bound for value in found.values()]))

    return judge


def stays_below(row: str, figure: str, bound: float) -> Callable[[Rows], Finding]:
    """Whether a figure is less than ``bound`` at every seed."""

    def judge(rows: Rows) -> Finding:
        found = by_seed(rows, row, figure)
        return Finding(f"{figure}: {shown(found)}", verdict([value < bound for value in found.values()]))

    return judge


def is_best(row: str, figure: str, better: int) -> Callable[[Rows], Finding]:
    """Whether a row has the best value of all at every seed."""

    def judge(rows: Rows) -> Finding:
        names = dict.fromkeys(one["row"] for one in rows)
        found = {name: by_seed(rows, name, figure) for name in names}
        best = max(names, key=lambda name: better * statistics.fmean(found[name].values()))
        agreeing = [
            all(better * (value - others[seed]) >= 0 for others in found.values() if seed in others)
            for seed, value in found[row].items()
        ]
        measured = f"{figure}: {shown(found[row])}; the best mean is {best}'s, {shown(found[best])}"
        return Finding(measured, verdict(agreeing))

    return judge


def best_value(row: str, figure: str, better: int, value: Any) -> Callable[[Rows], Finding]:
    """Whether a swept value is the best one."""

    def judge(rows: Rows) -> Finding:
        values = dict.fromkeys(one["value"] for one in rows if one["row"] == row)
        found = {each: by_seed(rows, row, figure, each) for each in values}
        best = max(values, key=lambda each: better * statistics.fmean(found[each].values()))
        agreeing = [
            all(better * (one - others[seed]) >= 0 for others in found.values() if seed in others)
            for seed, one in found[value].items()
        ]
        measured = f"{figure}: {shown(found[value])} at {value}; best at {best}, {shown(found[best])}"
        return Finding(measured, verdict(agreeing))

    return judge


def gains(row: str, figure: str, better: int, smaller: Any, larger: Any) -> Callable[[Rows], Finding]:
    """Whether a figure gains from one swept value to another."""

    def judge(rows: Rows) -> Finding:
        old, new = by_seed(rows, row, figure, smaller), by_seed(rows, row, figure, larger)
        agreeing = [better * (new[seed] - old[seed]) > 0 for seed in old.keys() & new.keys()]
        measured = f"{figure}: {shown(old)} at {smaller} → {shown(new)} at {larger}"
        return Finding(measured, verdict(agreeing))

    return judge


CLAIMS = (
    Claim("deterministic VQ leaves codes idle", "main", stays_below("vq", "codebook usage", 99)),
    Claim("Gumbel-VQ leaves codes unused", "main", stays_below("gumbel", "codebook usage", 99)),
    Claim("Reg-VQ uses all codes", "main", reaches("regvq", "codebook usage", 99)),
    Claim("Reg-VQ reconstructs best (Fréchet)", "main", is_best("regvq", "Fréchet", -1)),
    Claim("the prior helps reconstruction", "ablation", improves("base", "+ prior", "Fréchet", -1)),
    Claim("the mask helps reconstruction", "ablation", improves("+ prior", "+ mask", "Fréchet", -1)),
    Claim("the PCL helps reconstruction", "ablation", improves("+ mask", "+ PCL", "Fréchet", -1)),
    Claim("the PCL is better than a plain CL", "ablation", improves("+ CL", "+ PCL", "Fréchet", -1)),
    Claim("the prior costs no PSNR", "ablation", improves("base", "+ prior", "PSNR", 1)),
    Claim("the mask costs no PSNR", "ablation", improves("+ prior", "+ mask", "PSNR", 1)),
    Claim("the prior helps generation", "ablation", improves("base", "+ prior", "samples: Fréchet", -1)),
    Claim("the mask helps generation", "ablation", improves("+ prior", "+ mask", "samples: Fréchet", -1)),
    Claim("the PCL helps generation", "ablation", improves("+ mask", "+ PCL", "samples: Fréchet", -1)),
    Claim(
        "40 % is the best mask for reconstruction", "mask-ratio", best_value("regvq", "Fréchet", -1, 0.4)
    ),
    Claim(
        "40 % is the best mask for generation",
        "mask-ratio",
        best_value("regvq", "samples: Fréchet", -1, 0.4),
    ),
    Claim(
        "Reg-VQ gains from 1,024 to 16,384 codes",
        "codebook-size",
        gains("regvq", "Fréchet", -1, 1024, 16384),
    ),
    Claim("VQ stops gaining there", "codebook-size", gains("vq", "Fréchet", 1, 1024, 16384)),
)

COMPARISONS = ("main", "ablation", "mask-ratio", "codebook-size", "code-dimension", "priors", "heads")


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
    lines = ["| the paper says | measured here | verdict | from |", "|---|---|---|---|"]
    for claim in CLAIMS:
        if claim.source in figures:
            found = claim.judge(figures[claim.source]["rows"])
            lines.append(f"| {claim.text} | {found.measured} | {found.verdict} | {claim.source} |")
        else:
            lines.append(f"| {claim.text} | | not measured yet | {claim.source} |")
    return "\n".join(["## The paper's claims", "", *lines])


def read_figures() -> dict[str, Any]:
    """What was measured, by the names of ``SECTIONS``."""
    files = {name: FIGURES / f"{name}.json" for name in SECTIONS}
    return {
        name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items() if file.is_file()
    }


def page(figures: Mapping[str, Any]) -> str:
    """The whole page."""
    parts = [HEAD.strip(), claims_table(figures)]
    for name, content in figures.items():
        parts.append(SECTIONS[name](content))
        said = FIGURES / f"{name}.md"
        if said.is_file():
            parts.append(said.read_text(encoding="utf-8").strip())
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Reads the arguments, writes the page or compares it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing; is the page up to date?")
    arguments = parser.parse_args()
    figures = read_figures()
    text = page(figures)
    if arguments.check:
        return 0 if PAGE.read_text(encoding="utf-8") == text else 1
    for name in COMPARISONS:
        if name in figures:
            drawn = plot(read_comparison(f"comparison/{name}"), figures[name]["rows"])
            write_bytes(picture(name), png(drawn))
    write_bytes(PAGE, text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
