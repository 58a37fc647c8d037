"""What trainings cost by the model of ``regvq.evaluation.cost``: nothing is measured, nothing is built.

    .venv/bin/python benchmarks/cost.py [--gpus 8] [--codes 16384] [--size 512] [--quick] [--json PATH] …

Sizes, batches and steps are read from the shipped configurations: by default ImageNet at 256 px with
``backbone/paper-256``, ``tokenizer/regvq`` and ``objective/paper`` (its adversary from the first step on),
then ``generator/autoregressive-256`` and ``generator/diffusion-256`` on the tokens under class labels, as
``trainer/gpu`` and ``trainer/generator-gpu`` train them. Another backbone, other generators, codes and
pixels (which with the backbone decide the tokens of an image) are arguments.

Assumed, not measured: the peak is that of NVIDIA's H100 SXM data sheet for dense bfloat16 (1,979 TFLOP/s
are with sparsity, half of that without), trainings reach a share of it, and GPUs send to each other at two
thirds of NVLink's 450 GB/s in one direction, in a ring, while nobody computes. What two processes were
measured to gain stands below the table, where ``ranks.py`` has left it in docs/performance/ranks.json.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from regvq import configs
from regvq.evaluation.cost import (
    Cost,
    Machine,
    backbone,
    generator_step,
    quantizer,
    ring_seconds,
    tokenizer_step,
)
from regvq.files import write_bytes

Row = dict[str, Any]

H100, NVLINK = 989e12, 300e9
CONVOLUTIONS, TRANSFORMERS = 0.25, 0.40
"""Assumed shares of the peak."""
IMAGES, CLASSES = 1_281_167, 1000
"""ImageNet's."""
BACKBONE = "backbone/paper-256"
GENERATORS = ("generator/autoregressive-256", "generator/diffusion-256")
RANKS = Path(__file__).parents[1] / "docs" / "performance" / "ranks.json"
"""Where what two processes gain lies, once it has been measured."""


def shipped(*names: str) -> dict[str, Any]:
    """Configurations as ``--config`` stacks them, a level deep."""
    found: dict[str, Any] = {}
    for name in names:
        for key, value in yaml.safe_load(configs.find(name).read_text(encoding="utf-8")).items():
            found[key] = {**found.get(key, {}), **value}
    return found


def predict(
    gpus: int,
    peak: float,
    bandwidth: float,
    size: int,
    codes: int,
    backbone_config: str,
    generators: Sequence[str],
    images: int,
    classes: int,
    convolutions: float,
    transformers: float,
) -> list[Row]:
    """A row for each of the trainings, and for the tokens between them.

    Args:
        gpus: that train together.
        peak: FLOP/s of one.
        bandwidth: bytes a second that one sends to the next.
        size: of the images, pixels a side.
        codes: of the codebook.
        backbone_config: short name of stage 1's networks.
        generators: short names of what stage 2 trains.
        images: of the training set.
        classes: of the training set.
        convolutions: share of the peak that stage 1 reaches.
        transformers: share of the peak that stage 2 reaches.
    """
    stage = shipped(backbone_config, "tokenizer/regvq", "trainer/gpu", "data/imagenet")
    parts = stage["model"]["backbone"]["init_args"]
    encoder, decoder = backbone(size, **parts)
    tokens = (size // 2 ** (len(parts["channels"]) - 1)) ** 2
    dim = stage["model"]["quantizer"]["init_args"]["dim"]
    middle = quantizer(codes, dim, tokens, parts["latent_channels"])
    first = tokenizer_step(encoder + middle + decoder, size, "VGG-19", {})
    rows: list[Row] = []

    def add(name: str, cost: Cost, batch: int, steps: int, share: float) -> None:
        machine, seen = Machine(gpus, peak, share), batch * gpus * steps
        rows.append(
            {
                "training": name,
                "tokens": tokens,
                "parameters": cost.parameters,
                "flops_a_step": cost.flops * batch * gpus,
                "batch_size": batch,
                "gpus": gpus,
                "steps": steps,
                "epochs": seen / images,
                "utilisation": share,
                "gigabytes": cost.memory(batch) / 1e9,
                "megabytes_exchanged_a_step": cost.exchanged / 1e6,
                "hours": machine.hours(cost.flops * seen),
                "hours_exchanging": steps * ring_seconds(cost.exchanged, gpus, bandwidth) / 3600,
            }
        )

    batch = stage["data"]["batch_size"]
    add(f"tokenizer, {_last(backbone_config)}", first, batch, stage["trainer"]["max_steps"], convolutions)
    hours = Machine(gpus, peak, convolutions).hours((encoder.forward + middle.forward) * images)
    rows.append({"training": "tokens of all images, once", "gpus": gpus, "epochs": 1.0, "hours": hours})
    for name in generators:
        second = shipped(name, "trainer/generator-gpu", "data/tokens")
        given = second["model"]["generator"]
        kind = "autoregressive" if "Autoregressive" in given["class_path"] else "diffusion"
        sizes = {key: given["init_args"][key] for key in ("dim", "layers", "heads", "hidden")}
        cost = generator_step(kind, codes, tokens, classes + 1, 1, **sizes)
        batch, steps = second["data"]["batch_size"], second["trainer"]["max_steps"]
        add(f"generator, {_last(name)}", cost, batch, steps, transformers)
    return rows


def efficiencies(path: Path) -> dict[str, float]:
    """What ``ranks.py`` measured of two processes by what they train; nothing where it has not been run."""
    if not path.is_file():
        return {}
    return {row["stage"]: row["efficiency"] for row in json.loads(path.read_text("utf-8"))["rows"]}


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def show(rows: list[Row]) -> None:
    """The rows as aligned text."""
    print(
        f"{'training':<32}{'parameters':>12}{'PFLOP/step':>12}{'batch':>8}{'steps':>10}{'epochs':>8}"
        f"{'of peak':>9}{'GB a GPU':>10}{'hours':>8}{'exchange':>10}"
    )
    for row in rows:
        if "steps" not in row:
            print(f"{row['training']:<32}{'':>42}{row['epochs']:>8.1f}{'':>19}{row['hours']:>8.2f}")
            continue
        batch = f"{row['gpus']}x{row['batch_size']}"
        print(
            f"{row['training']:<32}{row['parameters'] / 1e6:>10.1f} M{row['flops_a_step'] / 1e15:>12.2f}"
            f"{batch:>8}{row['steps']:>10,}{row['epochs']:>8.1f}{row['utilisation']:>9.0%}"
            f"{row['gigabytes']:>10.1f}{row['hours']:>8.1f}{row['hours_exchanging']:>10.2f}"
        )


def main() -> int:
    """Reads the arguments, prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--gpus", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--peak", type=float, default=H100, help="FLOP/s of one (default: %(default)g)")
    parser.add_argument(
        "--bandwidth",
        type=float,
        default=NVLINK,
        help="bytes a second from one GPU to the next (default: %(default)g)",
    )
    parser.add_argument("--size", type=int, default=256, help="pixels a side (default: %(default)s)")
    quantized = shipped("tokenizer/regvq")["model"]["quantizer"]["init_args"]
    parser.add_argument(
        "--codes",
        type=int,
        default=quantized["codebook_size"],
        help="of the codebook (default: %(default)s)",
    )
    parser.add_argument(
        "--backbone",
        dest="backbone_config",
        choices=_of_kind("backbone"),
        default=BACKBONE,
        help="networks of stage 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--generators",
        nargs="+",
        choices=_of_kind("generator"),
        default=list(GENERATORS),
        help="networks of stage 2 (default: both for 256 px)",
    )
    parser.add_argument("--images", type=int, default=IMAGES, help="default: %(default)s")
    parser.add_argument("--classes", type=int, default=CLASSES, help="default: %(default)s")
    parser.add_argument(
        "--convolutions",
        type=float,
        default=CONVOLUTIONS,
        help="share of the peak in stage 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--transformers",
        type=float,
        default=TRANSFORMERS,
        help="the same in stage 2 (default: %(default)s)",
    )
    parser.add_argument("--quick", action="store_true", help="the same: nothing is measured")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    arguments = vars(parser.parse_args())
    path = arguments.pop("json")
    del arguments["quick"]  # taken as all benchmarks take it
    rows, gained = predict(**arguments), efficiencies(RANKS)
    show(rows)
    for stage, efficiency in gained.items():
        print(
            f"measured with two processes on a CPU: efficiency of the {stage}'s training {efficiency:.0%}"
        )
    if path is not None:
        content = {"assumed": arguments, "rows": rows, "two_processes": gained}
        write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())
    return 0


def _of_kind(kind: str) -> list[str]:
    return [name for name in configs.names() if name.startswith(f"{kind}/")]


if __name__ == "__main__":
    sys.exit(main())
