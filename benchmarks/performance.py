"""Writes docs/performance.md from the figures in docs/performance/.

    .venv/bin/python benchmarks/performance.py [--check]

A speed benchmark's ``--json`` lies there as ``NAME.json``, or ``NAME-cuda.json`` from a GPU; ``NAME.md``
beside it holds what a person has to say of it. With ``--check`` nothing is written; the exit status is 1
where the page is not what the figures say.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cost import CONVOLUTIONS, TRANSFORMERS
from cost_check import TOLERANCE, checks, verdict
from pages import write_or_check

DOCS = Path(__file__).parents[1] / "docs"
FIGURES = DOCS / "performance"
PAGE = DOCS / "performance.md"
Content = Mapping[str, Any]

HEAD = """\
# Speed, memory and cost

This page is written by `benchmarks/performance.py` from the figures in `docs/performance/`. All
contestants of a benchmark take turns, so that a machine that slows down slows all of them; figures are
medians, ± half the distance between the quartiles. `--quick` only shows that a benchmark runs, `--help`
says what it leaves out. Run them on a machine that does nothing else; a bar that is missed makes the exit
status 1.

## Training faster

    regvq fit-tokenizer … --config speed/compiled-bf16
    regvq fit-generator … --config speed/compiled-bf16

The file sets `model.compile` and `trainer.precision: bf16-mixed`. `model.compile` runs encoder,
decoder, the pretrained feature nets, the losses between features, the discriminator, the transformers'
blocks and the bound of the diffusion through `torch.compile` inside training steps. The first step then
takes from half a minute to several minutes; torch keeps the result on disk for the next run.
Validation, sampling, checkpoints and saved folders are what they are without it, and a run may be
resumed with or without it. `model.channels_last` lays out images and convolutions with the channels
last, as tensor cores like them; on a CPU it gains nothing, see below. Where Triton (on a GPU) or a C++
compiler (on a CPU) is missing, that is said and training goes on uncompiled. Losses differ from the
plain run's by rounding: over the tiny runs of `tests/training/test_compilation.py` by less than 1e-4 of
their value. Off unless asked for.

By design no training step waits for a GPU: what guards, logs and progress need is looked at every 50
steps, or when it is shown. A test on the CPU looks for values that a whole step reads, sizes that they
decide and copies between devices, with clipping, optimizer, averages and callbacks; where there is a GPU
another one makes every wait an error, which has not been run so far. Where `data.workers` is null, as in
`data/tokens` and `data/scenes`, four processes prepare the batches of each GPU, and none those of a CPU,
whose cores train. Which batches there are does not depend on it. They stay over the epochs, each with two
batches ready. Look at the share of `data` below: where it is large, give `data.workers` up to the cores.

## Sampling faster

`regvq sample` with `--compile` (in Python `generator.compiled = True`) reads the tokens of an
autoregressive generator through `torch.compile`, on a GPU as CUDA graphs, over a cache of fixed size. The
first batch of a size takes from some seconds to minutes longer. The codes are the same up to rounding. Off
unless asked for; on a GPU neither run nor measured so far.
"""


def markdown_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is words and whose others are numbers."""
    lines = [f"| {' | '.join(names)} |", f"|---|{'---:|' * (len(names) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def number(value: float | None, places: int = 1) -> str:
    """A figure, or a dash for none."""
    return "–" if value is None else f"{value:,.{places}f}"


def judged(content: Content) -> str:
    """What was asked, and whether it was reached."""
    rows = [
        [
            bar["name"],
            number(bar["measured"], 2),
            f"{'at most' if bar['at_most'] else 'at least'} {bar['bound']:g}",
            "reached" if bar["passed"] else "missed",
        ]
        for bar in content["bars"]
    ]
    return markdown_table(["bar", "measured", "asked", ""], rows)


def machine(content: Content) -> str:
    """What was measured on."""
    return "Measured on: " + ", ".join(f"{key} {value}" for key, value in content["machine"].items()) + "."


def quantizers(content: Content) -> str:
    """Time and memory of a step of each."""
    rows = [
        [
            row["quantizer"],
            f"{row['codebook_size']:,}",
            f"{number(row['milliseconds'])} ± {number(row['spread'])}",
            number(row["milliseconds"] / row["floor_milliseconds"], 2),
            number(row["megabytes"], 0),
        ]
        for row in content["rows"]
    ]
    names = ["quantizer", "codes", "ms a step", "of the floor", "extra MB"]
    return "\n\n".join([machine(content), markdown_table(names, rows), judged(content)])


def training(content: Content) -> str:
    """Speed of the ways to train, and the parts of a step."""
    base = {row["model"]: row["per_second"] for row in content["rows"] if row["way"] == "eager, fp32"}
    rows = [
        [
            f"{row['model']}: {row['way']}",
            f"{number(row['milliseconds'])} ± {number(row['spread'])}",
            f"{number(row['per_second'], 0)} {row['unit']}",
            number(row["per_second"] / base[row["model"]], 2),
        ]
        for row in content["rows"]
    ]
    shares = []
    for model, ways in content["parts"].items():
        parts = list(next(iter(ways.values())))
        lines = [
            [way, *(number(100 * seconds[part] / sum(seconds.values())) for part in parts)]
            for way, seconds in ways.items()
        ]
        shares.append(markdown_table([f"{model}: part of a step, %", *parts], lines))
    compared = [
        [
            check.name,
            number(check.flops / 1e9),
            number(check.ceiling / 1e9),
            number(1e3 * check.predicted),
            number(1e3 * check.measured),
            verdict(check.time_ratio),
            f"{check.reached:.0%}",
            number(check.predicted_bytes / 1e6),
            number(None if check.measured_bytes is None else check.measured_bytes / 1e6),
            verdict(check.memory_ratio),
        ]
        for check in checks(content)
    ]
    names = ["prediction against measurement", "GFLOP a step", "ceiling, GFLOP/s", "predicted ms"]
    names += ["measured ms", "ratio", "of the ceiling", "predicted MB", "measured MB", "ratio"]
    return "\n\n".join(
        [
            machine(content),
            markdown_table(["model, way", "ms a step", "a second", "gain"], rows),
            *shares,
            markdown_table(names, compared),
            judged(content),
        ]
    )


def sampling(content: Content) -> str:
    """Speed of the ways to sample."""
    rows = [
        [
            row["contestant"],
            str(row["batch_size"]),
            f"{number(row['seconds'], 2)} ± {number(row['spread'], 2)}",
            number(row["per_second"], 0),
            number(row["floors"]),
        ]
        for row in content["rows"]
    ]
    names = ["contestant", "at once", "seconds", "tokens a second", "floors"]
    return "\n\n".join([machine(content), markdown_table(names, rows), judged(content)])


def ranks(content: Content) -> str:
    """What a second process gains."""
    rows = [
        [
            row["stage"],
            str(row["batch"]),
            number(row["one"]),
            number(row["two"]),
            f"{row['efficiency']:.0%}",
        ]
        for row in content["rows"]
    ]
    names = ["training", "batch of a process", "one process", "two processes", "efficiency"]
    return "\n\n".join([machine(content), markdown_table(names, rows)])


def cost(content: Content) -> str:
    """What trainings cost by the model."""
    rows = [
        [
            row["training"],
            f"{row['parameters'] / 1e6:.1f} M" if "parameters" in row else "",
            number(row["flops_a_step"] / 1e15, 2) if "flops_a_step" in row else "",
            f"{row['gpus']} × {row['batch_size']}" if "batch_size" in row else "",
            f"{row['steps']:,}" if "steps" in row else "",
            number(row["epochs"]),
            f"{row['utilisation']:.0%}" if "utilisation" in row else "",
            number(row["gigabytes"]) if "gigabytes" in row else "",
            number(row["hours"], 2 if row["hours"] < 1 else 1),
            number(row["hours_exchanging"], 2) if "hours_exchanging" in row else "",
        ]
        for row in content["rows"]
    ]
    names = [
        "training",
        "parameters",
        "PFLOP a step",
        "batch",
        "steps",
        "epochs",
        "of the peak",
        "GB a GPU",
    ]
    said = content["assumed"]
    assumed = (
        f"Assumed: {said['gpus']} GPUs of {said['peak'] / 1e12:g} TFLOP/s each, of which convolutions "
        f"reach {said['convolutions']:.0%} and transformers {said['transformers']:.0%}, and which send to "
        f"each other at {said['bandwidth'] / 1e9:g} GB/s; {said['images']:,} images of {said['size']} px "
        f"and {said['codes']:,} codes. Predicted, not measured."
    )
    gained = [f"{stage} {efficiency:.0%}" for stage, efficiency in content["two_processes"].items()]
    beside = ", ".join(gained) or "not measured yet"
    measured = f"Beside it, the efficiency that two processes were measured to have on a CPU: {beside}."
    return "\n\n".join([assumed, markdown_table([*names, "hours", "exchanging"], rows), measured])


@dataclass(frozen=True)
class Section:
    """A benchmark on the page.

    Attributes:
        title: of the section.
        said: what its columns mean.
        command: that measures it, without ``--json``.
        show: its figures as Markdown.
        devices: endings of its files' names, and arguments of the command.
    """

    title: str
    said: str
    command: str
    show: Callable[[Content], str]
    devices: tuple[str, ...] = ("", "-cuda")


SECTIONS = {
    "quantizers": Section(
        "Quantizers",
        "Forward and backward of one training step of a quantizer. *Of the floor*: over the time of the "
        "matrix products that a step cannot do without, at the speed that the same run measures of one (on "
        "a GPU of a large square one on the tensor cores, in TF32 or bfloat16, whichever is faster), or "
        "over the time of the bytes that it must move, at that of a large matrix-vector product, whichever "
        "is longer. "
        "*Extra MB*: at the peak of a step, beyond what was taken before it. *library*: "
        "vector-quantize-pytorch; *readable*: the same maths with the token-by-code matrix written "
        "out. One thread on a CPU.",
        "OMP_NUM_THREADS=1 .venv/bin/python benchmarks/quantizers.py",
        quantizers,
    ),
    "training": Section(
        "Training",
        "Whole training steps of what `regvq fit-tokenizer` and `regvq fit-generator` build from "
        "shipped configurations, run by their trainer: data, forward, backward, clipping, optimizer. "
        "*Gain*: over the same model eager in float32. The parts of a step are those of a step that is "
        "cut, forward and backward, in stage 1 at the latents, the quantized latents and the "
        "reconstruction, in stage 2 behind the transformer; *discriminator* holds the adversary's adaptive "
        "weight, *perceptual* all losses between images, *transformer* the embeddings too. On a GPU VGG-19 "
        "has random weights, which are as fast as trained ones. "
        "*Predicted*: the FLOPs of the cost model below over a ceiling, the speed that the same run "
        "measures of one large product in that precision, of which stage 1 is assumed to reach "
        f"{CONVOLUTIONS:.0%} and stage 2 {TRANSFORMERS:.0%}; *of the ceiling*: the share that was reached. "
        "*MB*: the model's memory, and the peak of one turn: what torch has allocated on a GPU; on a CPU "
        "the weights and averages, and the pages that a turn takes beyond what the process had before. "
        f"*Ratio*: measured over predicted; within a factor of {TOLERANCE:g} in either direction the model "
        "is taken to hold. That judges the model, and is no bar.",
        ".venv/bin/python benchmarks/training.py",
        training,
    ),
    "sampling": Section(
        "Sampling",
        "256 tokens for each of the images that are drawn at once; *seconds* are those of the whole "
        "batch. *Floors*: over the time to read the weights that a step uses and the filled part of "
        "the cache, once a step, at the bandwidth that the same run measures of a large matrix-vector "
        "product. The network of the CPU's figures fits the processor's cache, so that its floor is "
        "no hard one.",
        ".venv/bin/python benchmarks/sampling.py",
        sampling,
    ),
    "ranks": Section(
        "Two processes",
        "Images a second of both trainings under DDP, one thread a process, the same batch in each. "
        "*Efficiency*: over twice the speed of one process.",
        "GLOO_SOCKET_IFNAME=lo .venv/bin/python benchmarks/ranks.py",
        ranks,
        devices=("",),
    ),
    "cost": Section(
        "What a training costs",
        "By the model of `regvq.evaluation.cost`, which tests hold to the FLOPs that torch counts of "
        "real steps (2 %) and to the parameters of real models (exactly); the times of real steps stand "
        "beside its predictions under Training. It counts products, convolutions and attention; left "
        "out are norms, activations, pixel and contrastive losses, a quantizer's softmax and the "
        "optimizer. *GB a GPU* is an estimate with four bytes for every number, and an upper one under "
        "bfloat16. *Exchanging*: hours on top for the sums of gradients and of the codebook's counts over "
        "all GPUs, in a ring, as if nothing of it ran beside the backward pass. The adversary is there "
        "from the first step on. `--codes`, `--size`, `--backbone` and `--generators` choose other models, "
        "`--help` names the rest.",
        ".venv/bin/python benchmarks/cost.py",
        cost,
        devices=("",),
    ),
}


def section(name: str, figures: Mapping[str, Content]) -> str:
    """A section with what was measured, or how to measure it."""
    one = SECTIONS[name]
    parts = [f"## {one.title}", one.said]
    for ending in one.devices:
        file = f"{name}{ending}"
        device = " --device cuda" if ending else ""
        if one.devices != ("",):
            parts.append("### On a GPU" if ending else "### On a CPU")
        parts.append(f"    {one.command}{device} --json docs/performance/{file}.json")
        parts.append(one.show(figures[file]) if file in figures else "Not measured yet.")
        said = FIGURES / f"{file}.md"
        if said.is_file():
            parts.append(said.read_text(encoding="utf-8").strip())
    return "\n\n".join(parts)


def read_figures() -> dict[str, Content]:
    """What was measured, by the names of the files."""
    return {
        file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(FIGURES.glob("*.json"))
    }


def page(figures: Mapping[str, Content]) -> str:
    """The whole page."""
    return "\n\n".join([HEAD.strip(), *(section(name, figures) for name in SECTIONS)]) + "\n"


if __name__ == "__main__":
    sys.exit(not write_or_check(PAGE, lambda: page(read_figures()), __doc__))
