"""What the paper claims, and how each claim is held against figures.

A claim is judged seed by seed: three seeds that all agree are ``for`` or ``against``, three that do not
are ``open``, and fewer than three are ``exploratory``.
"""

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
class Judge:
    """From the rows of a comparison to what was found.

    Attributes:
        groups: whose figures are looked at.
        find: does it.
    """

    groups: Sequence[Group]
    find: Callable[[Rows], Finding]


@dataclass(frozen=True)
class Claim:
    """A claim, and how it is held against figures.

    Attributes:
        text: the claim.
        paper: the paper's own figures for it, in words; empty where we know none, or where it is not the
            paper's.
        source: the comparison.
        judge: what was found there.
    """

    text: str
    paper: str
    source: str
    judge: Judge


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


def improves(figure: str, better: int, *groups: Group) -> Judge:
    """Whether a figure is better in each group than in the one before it, seed by seed.

    Args:
        figure: start of the figure's name.
        better: 1 where more is better, -1 where less is.
        groups: at least two.
    """

    def find(rows: Rows) -> Finding:
        found = [by_seed(rows, group, figure) for group in groups]
        seeds = sorted(set.intersection(*(set(one) for one in found)))
        agreeing = [
            all(better * (after[seed] - before[seed]) > 0 for before, after in itertools.pairwise(found))
            for seed in seeds
        ]
        names = " → ".join(map(called, groups))
        return Finding(f"{figure}, {names}: {' → '.join(map(shown, found))}", verdict(agreeing))

    return Judge(groups, find)


def reaches(figure: str, bound: float, group: Group, better: int = 1) -> Judge:
    """Whether a figure is at least ``bound`` at every seed; with ``better`` -1, whether it is below."""

    def find(rows: Rows) -> Finding:
        found = by_seed(rows, group, figure)
        agreeing = [value >= bound if better > 0 else value < bound for value in found.values()]
        return Finding(f"{figure}, {called(group)}: {shown(found)}", verdict(agreeing))

    return Judge([group], find)


def is_best(figure: str, better: int, chosen: Group, within: float = 0.0) -> Judge:
    """Whether a group has the best value of all at every seed.

    Args:
        figure: start of the figure's name.
        better: 1 where more is better, -1 where less is.
        chosen: the group.
        within: how far behind the best it may be.
    """

    def find(rows: Rows) -> Finding:
        groups = dict.fromkeys((one["row"], one["value"]) for one in rows)
        found = {group: by_seed(rows, group, figure) for group in groups}
        found = {group: values for group, values in found.items() if values}
        if chosen not in found:
            return Finding("–", verdict([]))
        best = max(found, key=lambda group: better * statistics.fmean(found[group].values()))
        agreeing = [
            all(better * (value - others[seed]) >= -within for others in found.values() if seed in others)
            for seed, value in found[chosen].items()
        ]
        own = f"{figure}, {called(chosen)}: {shown(found[chosen])}"
        return Finding(f"{own}; best mean {shown(found[best])}, {called(best)}", verdict(agreeing))

    return Judge([chosen], find)


VQ, RANDOM_VQ = ("vq", None), ("VQ, random start", None)
GUMBEL, LINEAR_GUMBEL = ("gumbel", None), ("Gumbel, linear head", None)
REGVQ, LITERAL = ("regvq", None), ("Reg-VQ, paper's form", None)
BASE, PRIOR, MASK = ("base", None), ("+ prior", None), ("+ mask", None)
CL, PCL, UNIFORM = ("+ CL", None), ("+ PCL", None), ("uniform", None)
GRADIENT, GRADIENT_PRIOR = ("gradient codebook, none", None), ("gradient codebook, prior", None)
SIZES = (256, 1024, 4096, 16384)
SAMPLES = "samples: Fréchet"
CLAIMS = (
    Claim(
        "deterministic VQ collapses: most codes idle",
        "",
        "main",
        reaches("codebook usage", 50, RANDOM_VQ, -1),
    ),
    Claim("… also where its codes start on latents", "", "main", reaches("codebook usage", 50, VQ, -1)),
    Claim("Gumbel-VQ leaves codes unused", "", "main", reaches("codebook usage", 99, LINEAR_GUMBEL, -1)),
    Claim("… also with a Euclidean head", "", "main", reaches("codebook usage", 99, GUMBEL, -1)),
    Claim("Reg-VQ uses all codes", "", "main", reaches("codebook usage", 99, REGVQ)),
    Claim("… also in the paper's literal form", "", "main", reaches("codebook usage", 99, LITERAL)),
    Claim(
        "Reg-VQ reconstructs best",
        "FID 28.17 (VQ-GAN), 23.69 on ADE20K; 12.74, 10.09 on CelebA-HQ",
        "main",
        is_best("Fréchet", -1, REGVQ),
    ),
    Claim("… also in the paper's literal form", "the same", "main", is_best("Fréchet", -1, LITERAL)),
    Claim(
        "not in the paper: Reg-VQ's PSNR is within 0.3 dB of the best",
        "",
        "main",
        is_best("PSNR", 1, REGVQ, 0.3),
    ),
    Claim(
        "the prior helps reconstruction",
        "FID 28.17 → 25.92",
        "ablation",
        improves("Fréchet", -1, BASE, PRIOR),
    ),
    Claim(
        "the mask helps reconstruction",
        "FID 25.92 → 25.11",
        "ablation",
        improves("Fréchet", -1, PRIOR, MASK),
    ),
    Claim(
        "the PCL helps reconstruction", "FID 25.11 → 23.69", "ablation", improves("Fréchet", -1, MASK, PCL)
    ),
    Claim(
        "the PCL is better than a plain CL",
        "FID 24.21 → 23.69",
        "ablation",
        improves("Fréchet", -1, CL, PCL),
    ),
    Claim("the prior costs no PSNR", "18.89 → 18.98 dB", "ablation", improves("PSNR", 1, BASE, PRIOR)),
    Claim("the mask costs PSNR", "18.98 → 18.56 dB", "ablation", improves("PSNR", -1, PRIOR, MASK)),
    Claim("the PCL costs PSNR", "18.56 → 18.44 dB", "ablation", improves("PSNR", -1, MASK, PCL)),
    Claim(
        "the prior helps generation", "FID 38.53 → 36.57", "ablation", improves(SAMPLES, -1, BASE, PRIOR)
    ),
    Claim("the mask helps generation", "FID 36.57 → 35.03", "ablation", improves(SAMPLES, -1, PRIOR, MASK)),
    Claim("the PCL helps generation", "FID 35.03 → 34.47", "ablation", improves(SAMPLES, -1, MASK, PCL)),
    Claim(
        "the PCL is better than a plain CL for generation",
        "FID 34.91 → 34.47",
        "ablation",
        improves(SAMPLES, -1, CL, PCL),
    ),
    Claim(
        "not in the paper: without a prior, the mask helps reconstruction",
        "",
        "with-and-without-prior",
        improves("Fréchet", -1, ("none", None), ("mask, none", None)),
    ),
    Claim(
        "not in the paper: beside the mask, the prior helps reconstruction",
        "",
        "with-and-without-prior",
        improves("Fréchet", -1, ("mask, none", None), ("mask, prior", None)),
    ),
    Claim(
        "not in the paper: beside mask and PCL, the prior helps reconstruction",
        "",
        "with-and-without-prior",
        improves("Fréchet", -1, ("mask and PCL, none", None), ("mask and PCL, prior", None)),
    ),
    Claim(
        "the prior leaves fewer codes idle where they are trained by gradient",
        "",
        "with-and-without-prior",
        improves("codebook usage", 1, GRADIENT, GRADIENT_PRIOR),
    ),
    Claim(
        "the prior helps reconstruction where codes are trained by gradient",
        "FID 28.17 → 25.92",
        "with-and-without-prior",
        improves("Fréchet", -1, GRADIENT, GRADIENT_PRIOR),
    ),
    Claim(
        "40 % is the best mask for reconstruction", "", "mask-ratio", is_best("Fréchet", -1, ("regvq", 0.4))
    ),
    Claim(
        "… also beside the contrastive loss",
        "",
        "mask-ratio-contrastive",
        is_best("Fréchet", -1, ("regvq", 0.4)),
    ),
    Claim("40 % is the best mask for generation", "", "mask-ratio", is_best(SAMPLES, -1, ("regvq", 0.4))),
    Claim(
        "Reg-VQ uses at least 95 % of 16,384 codes",
        "",
        "codebook-size",
        reaches("codebook usage", 95, ("regvq", 16384)),
    ),
    Claim(
        "Reg-VQ gains with every larger codebook",
        "up to 8,192 codes",
        "codebook-size",
        improves("Fréchet", -1, *(("regvq", size) for size in SIZES)),
    ),
    Claim(
        "VQ stops gaining beyond 1,024 codes",
        "",
        "codebook-size",
        improves("Fréchet", 1, ("vq", 1024), ("vq", 16384)),
    ),
    Claim(
        "all together help autoregressive generation",
        "FID 38.53 → 34.47 on ADE20K; 20.89 → 15.34 on CelebA-HQ",
        "ablation",
        improves(SAMPLES, -1, BASE, PCL),
    ),
    Claim(
        "all together help diffusion",
        "FID 16.93 on CUB-200, 19.91 on MS-COCO, no base",
        "diffusion",
        improves(SAMPLES, -1, BASE, PCL),
    ),
    *(
        Claim(
            f"not in the paper: {name} prior {what}",
            "",
            "priors",
            improves(figure, -1, UNIFORM, (row, None)),
        )
        for name, row in (("a Gaussian", "Gaussian"), ("a Zipf", "Zipf"), ("a counted", "empirical"))
        for what, figure in (
            ("reconstructs better than the uniform one", "Fréchet"),
            ("generates better than the uniform one", SAMPLES),
        )
    ),
)
