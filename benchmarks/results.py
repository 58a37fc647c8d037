"""Writes docs/results.md from the figures in docs/results/, and says of every claim whether it holds here.

    .venv/bin/python benchmarks/results.py [--check]

A comparison's ``comparison.json`` lies there as ``NAME.json``, the other benchmarks' under their own
names; ``NAME.md`` beside it holds what a person has to say of them. A claim is held against figures that
were measured seed by seed: three seeds that all agree are ``for`` or ``against``, three that do not are
``open``, and fewer than three are ``exploratory``. With ``--check`` nothing is written; the exit status is
1 where the page is not what the figures say.
"""

import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pages import write_or_check
from regvq.evaluation.comparison import read_comparison
from regvq.evaluation.comparison.report import markdown, plot
from regvq.figures import png
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
Group = tuple[str, Any]
"""A row of a comparison and its swept value, or ``None``."""


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


def by_seed(rows: Rows, group: Group, figure: str) -> dict[int, float]:
    """A figure of a group seed by seed; the figure by the start of its name."""
    found = {}
    for one in rows:
        if (one["row"], one["value"]) == group:
            values = [value for name, value in one["figures"].items() if name.startswith(figure)]
            if values:  # a figure may be missing, and of a training that failed all are
                found[one["seed"]] = values[0]
    return found


def called(group: Group) -> str:
    """What readers see."""
    row, value = group
    return row if value is None else f"{row} at {value}"


def verdict(agreeing: Sequence[bool]) -> str:
    """What the seeds say together; see the module."""
    if len(agreeing) < 3:
        return f"exploratory: {'for' if all(agreeing) else 'against'}" if agreeing else "not measured"
    return "for" if all(agreeing) else "open" if any(agreeing) else "against"


def shown(values: Mapping[int, float]) -> str:
    """Mean ± standard deviation."""
    numbers = list(values.values())
    if not numbers:
        return "–"
    mean = statistics.fmean(numbers)
    places = 4 if abs(mean) < 1 else 2 if abs(mean) < 100 else 1
    spread = f" ± {statistics.stdev(numbers):.{places}f}" if len(numbers) > 1 else ""
    return f"{mean:.{places}f}{spread}"


def improves(before: Group, after: Group, figure: str, better: int) -> Callable[[Rows], Finding]:
    """Whether a figure of one group is better than another one's, seed by seed.

    Args:
        before: what is compared with.
        after: what should be better.
        figure: start of the figure's name.
        better: 1 where more is better, -1 where less is.
    """

    def judge(rows: Rows) -> Finding:
        old, new = by_seed(rows, before, figure), by_seed(rows, after, figure)
        agreeing = [better * (new[seed] - old[seed]) > 0 for seed in sorted(old.keys() & new.keys())]
        return Finding(f"{figure}: {shown(old)} → {shown(new)}", verdict(agreeing))

    return judge


def reaches(group: Group, figure: str, bound: float, better: int = 1) -> Callable[[Rows], Finding]:
    """Whether a figure is at least ``bound`` at every seed; with ``better`` -1, whether it is below."""

    def judge(rows: Rows) -> Finding:
        found = by_seed(rows, group, figure)
        agreeing = [value >= bound if better > 0 else value < bound for value in found.values()]
        return Finding(f"{figure}: {shown(found)}", verdict(agreeing))

    return judge


def is_best(chosen: Group, figure: str, better: int) -> Callable[[Rows], Finding]:
    """Whether a group has the best value of all at every seed."""

    def judge(rows: Rows) -> Finding:
        groups = dict.fromkeys((one["row"], one["value"]) for one in rows)
        found = {group: by_seed(rows, group, figure) for group in groups}
        found = {group: values for group, values in found.items() if values}
        if chosen not in found:
            return Finding("–", verdict([]))
        best = max(found, key=lambda group: better * statistics.fmean(found[group].values()))
        agreeing = [
            all(better * (value - others[seed]) >= 0 for others in found.values() if seed in others)
            for seed, value in found[chosen].items()
        ]
        measured = f"{figure}: {shown(found[chosen])}; best mean {shown(found[best])}, {called(best)}"
        return Finding(measured, verdict(agreeing))

    return judge


VQ, GUMBEL, REGVQ = ("vq", None), ("gumbel", None), ("regvq", None)
BASE, PRIOR, MASK = ("base", None), ("+ prior", None), ("+ mask", None)
CL, PCL, UNIFORM = ("+ CL", None), ("+ PCL", None), ("uniform", None)
GRADIENT, GRADIENT_PRIOR = ("gradient codebook, none", None), ("gradient codebook, prior", None)
CLAIMS = (
    Claim("deterministic VQ leaves codes idle", "main", reaches(VQ, "codebook usage", 99, -1)),
    Claim("Gumbel-VQ leaves codes unused", "main", reaches(GUMBEL, "codebook usage", 99, -1)),
    Claim("Reg-VQ uses all codes", "main", reaches(REGVQ, "codebook usage", 99)),
    Claim("Reg-VQ reconstructs best (Fréchet)", "main", is_best(REGVQ, "Fréchet", -1)),
    Claim("the prior helps reconstruction", "ablation", improves(BASE, PRIOR, "Fréchet", -1)),
    Claim("the mask helps reconstruction", "ablation", improves(PRIOR, MASK, "Fréchet", -1)),
    Claim("the PCL helps reconstruction", "ablation", improves(MASK, PCL, "Fréchet", -1)),
    Claim("the PCL is better than a plain CL", "ablation", improves(CL, PCL, "Fréchet", -1)),
    Claim("prior and mask together help reconstruction", "ablation", improves(BASE, MASK, "Fréchet", -1)),
    Claim("the prior costs no PSNR", "ablation", improves(BASE, PRIOR, "PSNR", 1)),
    Claim("the mask costs no PSNR", "ablation", improves(PRIOR, MASK, "PSNR", 1)),
    Claim("the PCL costs no PSNR", "ablation", improves(MASK, PCL, "PSNR", 1)),
    Claim("the prior helps generation", "ablation", improves(BASE, PRIOR, "samples: Fréchet", -1)),
    Claim("the mask helps generation", "ablation", improves(PRIOR, MASK, "samples: Fréchet", -1)),
    Claim("the PCL helps generation", "ablation", improves(MASK, PCL, "samples: Fréchet", -1)),
    Claim(
        "the PCL is better than a plain CL for generation",
        "ablation",
        improves(CL, PCL, "samples: Fréchet", -1),
    ),
    Claim(
        "not in the paper: beside mask and PCL the prior helps reconstruction",
        "with-and-without-prior",
        improves(("mask and PCL, none", None), ("mask and PCL, prior", None), "Fréchet", -1),
    ),
    Claim(
        "the prior leaves fewer codes idle where they are trained by gradient",
        "with-and-without-prior",
        improves(GRADIENT, GRADIENT_PRIOR, "codebook usage", 1),
    ),
    Claim(
        "the prior helps reconstruction where codes are trained by gradient",
        "with-and-without-prior",
        improves(GRADIENT, GRADIENT_PRIOR, "Fréchet", -1),
    ),
    Claim("40 % is the best mask for reconstruction", "mask-ratio", is_best(("regvq", 0.4), "Fréchet", -1)),
    Claim(
        "40 % is the best mask for generation",
        "mask-ratio",
        is_best(("regvq", 0.4), "samples: Fréchet", -1),
    ),
    Claim(
        "Reg-VQ uses at least 95 % of 16,384 codes",
        "codebook-size",
        reaches(("regvq", 16384), "codebook usage", 95),
    ),
    Claim(
        "Reg-VQ gains from 1,024 to 16,384 codes",
        "codebook-size",
        improves(("regvq", 1024), ("regvq", 16384), "Fréchet", -1),
    ),
    Claim("VQ stops gaining there", "codebook-size", improves(("vq", 1024), ("vq", 16384), "Fréchet", 1)),
    Claim(
        "all together help autoregressive generation",
        "ablation",
        improves(BASE, PCL, "samples: Fréchet", -1),
    ),
    Claim("all together help diffusion", "diffusion", improves(BASE, PCL, "samples: Fréchet", -1)),
    *(
        Claim(
            f"not in the paper: {name} prior {what}", "priors", improves(UNIFORM, (row, None), figure, -1)
        )
        for name, row in (("a Gaussian", "Gaussian"), ("a Zipf", "Zipf"), ("a counted", "empirical"))
        for what, figure in (
            ("reconstructs better than the uniform one", "Fréchet"),
            ("generates better", "samples: Fréchet"),
        )
    ),
)

COMPARISONS = (
    "main",
    "ablation",
    "with-and-without-prior",
    "diffusion",
    "mask-ratio",
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
