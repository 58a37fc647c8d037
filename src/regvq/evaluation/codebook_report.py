"""The codebook doctor: what is used, what is idle, what is there twice, and what to do about it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.evaluation.tokenizer import EvalMode
from regvq.metrics import CodebookUsage
from regvq.priors import EmpiricalPrior
from regvq.quantizers import functional
from regvq.tokenizers import ImageTokenizer

Condition = Literal["healthy", "uneven", "idle", "collapsed", "unjudged"]

DUPLICATE = 1e-3
NEAR_DUPLICATE = 0.1
"""Distances to the nearest other code, in units of the codes' root mean square spread."""

TOKENS_PER_CODE = 16
"""With fewer tokens than this for every code, an unused code may just be a rare one."""


@dataclass(frozen=True)
class CodebookReport:
    """What a codebook looks like from the codes that a set of images took.

    Attributes:
        counts: ``[N]`` int64, occurrences of each code.
        usage: share of the codes that occur, in [0, 1].
        perplexity: exp of the entropy of the counts, in [1, N].
        nearest: ``[N]`` int64, every code's nearest other code (itself where N = 1).
        distances: ``[N]`` float32, the distance to it in units of the spread; infinite where N = 1.
        positions: ``[N, 2]`` float32, the codes on their first two principal axes.
        explained: share of the codes' variance on these axes, in [0, 1].
    """

    counts: Tensor
    usage: float
    perplexity: float
    nearest: Tensor
    distances: Tensor
    positions: Tensor
    explained: float

    @property
    def prior(self) -> EmpiricalPrior:
        """What was counted, as a distribution that other tokens can be drawn towards."""
        return EmpiricalPrior(" ".join(map(str, self.counts.tolist())))

    @property
    def size(self) -> int:
        """Number of codes N."""
        return len(self.counts)

    @property
    def tokens(self) -> int:
        """Number of tokens the counts come from."""
        return int(self.counts.sum())

    @property
    def dead(self) -> int:
        """Number of codes that never occurred."""
        return int((self.counts == 0).sum())

    @property
    def duplicates(self) -> int:
        """Number of codes that lie on another code."""
        return int((self.distances < DUPLICATE).sum())

    @property
    def near_duplicates(self) -> int:
        """Number of codes close to, but not on, another code."""
        return int((self.distances < NEAR_DUPLICATE).sum()) - self.duplicates

    @property
    def used_near_duplicates(self) -> int:
        """Number of codes that occur and lie on or close to another code that occurs."""
        used = self.counts > 0
        return int((used & used[self.nearest] & (self.distances < NEAR_DUPLICATE)).sum())

    @property
    def condition(self) -> Condition:
        """One word for the state of the codebook; ``unjudged`` where too few tokens were seen."""
        if self.usage < 0.1 and self.tokens >= self.size:
            return "collapsed"
        if self.tokens < TOKENS_PER_CODE * self.size:
            return "unjudged"
        if self.usage < 0.9:
            return "idle"
        if self.perplexity < 0.4 * self.size:
            return "uneven"
        return "healthy"

    @property
    def verdict(self) -> str:
        """What the numbers mean and what to do, in plain words."""
        size, used = self.size, self.size - self.dead
        return {
            "healthy": (
                f"Healthy: {used} of {size} codes are used, as evenly as {self.perplexity:.0f} equally "
                "frequent ones would be. Nothing needs to be done."
            ),
            "uneven": (
                f"Uneven: {used} of {size} codes are used, but no more evenly than "
                f"{self.perplexity:.0f} equally frequent ones would be. Raise the prior's weight of a "
                "RegularizedVectorQuantizer, or accept it if reconstructions are good."
            ),
            "idle": (
                f"Idle codes: {self.dead} of {size} codes were never used. Restart dead codes (EMACodebook "
                "with restart > 0), train with a RegularizedVectorQuantizer, or choose a smaller codebook."
            ),
            "collapsed": (
                f"Collapsed: {used} of {size} codes carry everything. Train again with a "
                "RegularizedVectorQuantizer or an EMAVectorQuantizer with restarts, codes started from "
                "data; more steps will not mend this one."
            ),
            "unjudged": (
                f"Not judged: {self.tokens} tokens are too few for {size} codes. Give more images: at "
                f"least {TOKENS_PER_CODE * size} tokens, better {4 * TOKENS_PER_CODE * size}."
            ),
        }[self.condition]

    def text(self) -> str:
        """The report as aligned lines, the verdict last."""
        order = self.counts.argsort(descending=True, stable=True)
        top = int(self.counts[order[: max(1, math.ceil(self.size / 100))]].sum())
        rows = [
            ("codes", f"{self.size}", ""),
            ("tokens seen", f"{self.tokens}", f"{self.tokens / self.size:.1f} a code"),
            ("used codes", f"{self.size - self.dead}", f"{100 * self.usage:.1f} %"),
            ("dead codes", f"{self.dead}", f"{100 * (1 - self.usage):.1f} %"),
            ("perplexity", f"{self.perplexity:.1f}", f"{100 * self.perplexity / self.size:.1f} % of all"),
            ("bits a token", f"{math.log2(self.perplexity):.2f}", f"of {math.log2(self.size):.2f}"),
            ("duplicates", f"{self.duplicates}", "codes that lie on another"),
            ("near-duplicates", f"{self.near_duplicates}", "codes close to another"),
            ("both in use", f"{self.used_near_duplicates}", "of these, used beside a used one"),
            ("busiest 1 %", f"{100 * top / max(self.tokens, 1):.1f} %", "of all tokens"),
        ]
        left = max(len(name) for name, _, _ in rows)
        right = max(len(value) for _, value, _ in rows)
        lines = [f"{name:<{left}}  {value:>{right}}  {note}".rstrip() for name, value, note in rows]
        return "\n".join([*lines, "", self.verdict])


def inspect_codebook(tokenizer: ImageTokenizer, batches: Iterable[Tensor]) -> CodebookReport:
    """Encodes ``batches`` of images [B, 3, H, W] in [-1, 1] and looks the codebook over.

    Raises:
        RegvqError: there are no images, or their sides do not fit the tokenizer.
    """
    usage = CodebookUsage(tokenizer.codebook_size)
    device = tokenizer.post_quant_conv.weight.device
    with EvalMode(tokenizer):
        for batch in batches:
            usage.update(tokenizer.encode(batch.to(device)).cpu())
        codebook = tokenizer.quantizer.codebook.detach().cpu()
    return report_codebook(codebook, usage.counts)


def report_codebook(codebook: Tensor, counts: Tensor) -> CodebookReport:
    """The report of a ``codebook`` [N, D] whose codes occurred ``counts`` [N] times.

    Raises:
        RegvqError: nothing was counted.
    """
    if int(counts.sum()) == 0:
        raise RegvqError("no token was counted: give at least one image to inspect the codebook with")
    codes = codebook.detach().float()
    spread = (codes - codes.mean(0)).square().sum(1).mean().sqrt().clamp_min(1e-12)
    distances, nearest = nearest_neighbours(codes)
    positions, explained = principal_axes(codes)
    return CodebookReport(
        counts=counts.long().clone(),
        usage=float((counts > 0).double().mean()),
        perplexity=float(functional.perplexity(counts.double())),
        nearest=nearest,
        distances=distances / spread,
        positions=positions,
        explained=explained,
    )


def nearest_neighbours(codes: Tensor, chunk: int = 1024) -> tuple[Tensor, Tensor]:
    """Distance to and index of every code's nearest other code: ``[N]`` float32 and ``[N]`` int64.

    Args:
        codes: ``[N, D]`` float32.
        chunk: rows of the distance matrix that exist at once.
    """
    distances, indices = [], []
    for start in range(0, len(codes), chunk):
        rows = codes[start : start + chunk]
        # The matrix form loses the small distances that duplicates are about.
        table = torch.cdist(rows, codes, compute_mode="donot_use_mm_for_euclid_dist")
        own = torch.arange(len(rows))
        table[own, start + own] = math.inf
        distance, index = table.min(1)
        distances.append(distance)
        indices.append(torch.where(distance.isinf(), start + own, index))
    return torch.cat(distances), torch.cat(indices)


def principal_axes(codes: Tensor) -> tuple[Tensor, float]:
    """Codes [N, D] on their first two principal axes: ``[N, 2]``, and the share of variance there.

    The sign of an axis is free; here its largest entry is positive, so that a map does not flip from
    one run to the next.
    """
    centred = codes - codes.mean(0)
    rank = min(2, *codes.shape)
    # The decomposition starts from a random matrix: its own stream keeps the caller's untouched.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, values, axes = torch.pca_lowrank(centred, q=min(6, *codes.shape), center=False, niter=4)
    axes = axes[:, :rank]
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    axes = axes * torch.where(largest < 0, -1.0, 1.0)
    total = float(centred.square().sum())
    explained = float(values[:rank].square().sum()) / total if total > 0 else 1.0
    return torch.nn.functional.pad(centred @ axes, (0, 2 - rank)), min(explained, 1.0)
