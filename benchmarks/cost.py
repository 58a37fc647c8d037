"""What trainings cost by the model of ``regvq.evaluation.cost``: nothing is measured, nothing is built.

    .venv/bin/python benchmarks/cost.py [--gpus 8] [--peak 989e12] [--quick] [--json PATH] …

Sizes, batches and steps are read from the shipped configurations: by default ImageNet at 256 px with
``backbone/paper-256``, ``tokenizer/regvq`` and ``objective/paper`` (its adversary from the first step on),
then ``generator/autoregressive-256`` and ``generator/diffusion-256`` on the tokens under class labels, as
``trainer/gpu`` and ``trainer/generator-gpu`` train them. The peak is that of NVIDIA's H100 SXM data sheet
for dense bfloat16 (1,979 TFLOP/s are with sparsity, half of that without). The shares of it that trainings
reach are assumptions.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from regvq import configs
from regvq.evaluation.cost import Machine, backbone, generator_step, quantizer, tokenizer_step
from regvq.files import write_bytes

Row = dict[str, Any]

H100 = 989e12
CONVOLUTIONS, TRANSFORMERS = 0.25, 0.40
"""Assumed shares of the peak."""
IMAGES, CLASSES = 1_281_167, 1000
"""ImageNet's."""
GENERATORS = ("autoregressive", "diffusion")


def shipped(*names: str) -> dict[str, Any]:
    """Configurations as ``--config`` stacks them, a level deep."""
    found: dict[str, Any] = {}
    for name in names:
        for key, value in yaml.safe_load(configs.find(name).read_text(encoding="utf-8")).items():
            found[key] = {**found.get(key, {}), **value}
    return found


def predict(
    gpus: int, peak: float, size: int, images: int, classes: int, convolutions: float, transformers: float
) -> list[Row]:
    """A row for each of the trainings, and for the tokens between them.

    Args:
        gpus: that train together.
        peak: FLOP/s of one.
        size: of the images, pixels a side.
        images: of the training set.
        classes: of the training set.
        convolutions: share of the peak that stage 1 reaches.
        transformers: share of the peak that stage 2 reaches.
    """
    stage = shipped("backbone/paper-256", "tokenizer/regvq", "trainer/gpu", "data/imagenet")
    codes = stage["model"]["quantizer"]["init_args"]
    parts = stage["model"]["backbone"]["init_args"]
    encoder, decoder = backbone(size, **parts)
    tokens = (size // 2 ** (len(parts["channels"]) - 1)) ** 2
    middle = quantizer(codes["codebook_size"], codes["dim"], tokens, parts["latent_channels"])
    first = tokenizer_step(encoder + middle + decoder, size, "VGG-19", {})
    rows: list[Row] = []

    def add(name: str, cost: Any, batch: int, steps: int, share: float) -> None:
        machine, seen = Machine(gpus, peak, share), batch * gpus * steps
        rows.append(
            {
                "training": name,
                "parameters": cost.parameters,
                "flops_a_step": cost.flops * batch * gpus,
                "batch_size": batch,
                "gpus": gpus,
                "steps": steps,
                "epochs": seen / images,
                "utilisation": share,
                "gigabytes": cost.memory(batch) / 1e9,
                "hours": machine.hours(cost.flops * seen),
            }
        )

    batch = stage["data"]["batch_size"]
    add("tokenizer, paper-256", first, batch, stage["trainer"]["max_steps"], convolutions)
    hours = Machine(gpus, peak, convolutions).hours((encoder.forward + middle.forward) * images)
    rows.append({"training": "tokens of all images, once", "gpus": gpus, "epochs": 1.0, "hours": hours})
    for kind in GENERATORS:
        second = shipped(f"generator/{kind}-256", "trainer/generator-gpu", "data/tokens")
        given = second["model"]["generator"]["init_args"]
        sizes = {name: given[name] for name in ("dim", "layers", "heads", "hidden")}
        cost = generator_step(kind, codes["codebook_size"], tokens, classes + 1, 1, **sizes)
        batch, steps = second["data"]["batch_size"], second["trainer"]["max_steps"]
        add(f"generator, {kind}-256", cost, batch, steps, transformers)
    return rows


def show(rows: list[Row]) -> None:
    """The rows as aligned text."""
    print(
        f"{'training':<32}{'parameters':>12}{'PFLOP/step':>12}{'batch':>8}{'steps':>10}{'epochs':>8}"
        f"{'of peak':>9}{'GB a GPU':>10}{'hours':>8}"
    )
    for row in rows:
        if "steps" not in row:
            print(f"{row['training']:<32}{'':>42}{row['epochs']:>8.1f}{'':>19}{row['hours']:>8.2f}")
            continue
        batch = f"{row['gpus']}x{row['batch_size']}"
        print(
            f"{row['training']:<32}{row['parameters'] / 1e6:>10.1f} M{row['flops_a_step'] / 1e15:>12.2f}"
            f"{batch:>8}{row['steps']:>10,}{row['epochs']:>8.1f}{row['utilisation']:>9.0%}"
            f"{row['gigabytes']:>10.1f}{row['hours']:>8.1f}"
        )


def main() -> int:
    """Reads the arguments, prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--gpus", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--peak", type=float, default=H100, help="FLOP/s of one (default: %(default)g)")
    parser.add_argument("--size", type=int, default=256, help="pixels a side (default: %(default)s)")
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
    rows = predict(**arguments)
    show(rows)
    if path is not None:
        write_bytes(path, (json.dumps({"assumed": arguments, "rows": rows}, indent=2) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
