"""Which feature net that needs no pretrained weights comes closest to a pretrained one?

    .venv/bin/python benchmarks/offline_features.py --squeezenet PATH --images PATH ... [--json PATH]
    .venv/bin/python benchmarks/offline_features.py --quick

Every candidate sees the same photographs, clean and under nine distortions at four strengths, and is
held against SqueezeNet trained on ImageNet:

* distance: Spearman's rank correlation, over the distorted sets, of the mean unit-norm feature
  distance (what the perceptual loss minimises) with SqueezeNet's;
* image: the same correlation over single images rather than sets;
* Fréchet: the same correlation of the Fréchet distance of pooled features;
* found: share of locations of the clean image whose nearest neighbour (cosine) among all locations of
  the mildly distorted image is the same location, averaged over layers (what the contrastive loss asks);
* NCE: PatchNCE at temperature 0.07 between clean and mildly distorted image, over log of the number of
  locations: 0 is certain, 1 is blind;
* ms: forward and backward of 16 images of 32 and of 64 pixels, best of twenty rounds in which all
  candidates take turns.

With ``--quick`` the reference has random weights and the photographs are those of the extra 'demo', unless
others are named: it shows that the benchmark runs, and its figures mean nothing.
"""

import argparse
import io
import math
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save_file
from scipy.stats import spearmanr
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms.v2 import functional as tv

from measuring import finish, machine, take_turns
from offline_candidates import candidates
from photo_files import example_photographs
from regvq.losses.contrastive import PatchNCELoss
from regvq.losses.functional import unit_norm
from regvq.nets import FeatureNet, SqueezeNetFeatures

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


# --- photographs -------------------------------------------------------------------------------------


def photographs(contents: Iterable[bytes], number: int, size: int) -> Tensor:
    """The first ``number`` of some image files: ``[B, 3, size, size]`` in [-1, 1]."""
    images = []
    for content in contents:
        image = Image.open(io.BytesIO(content)).convert("RGB")
        side = min(image.size)
        image = tv.center_crop(image, [side, side]).resize((size, size), Image.Resampling.LANCZOS)
        images.append(tv.pil_to_tensor(image).float() / 127.5 - 1)
        if len(images) == number:
            break
    if not images:
        raise SystemExit("no images among what --images names")
    return torch.stack(images)


def contents_of(paths: list[Path]) -> Iterator[bytes]:
    """The image files of folders and tar files, not yet decoded."""
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                if file.suffix.lower() in SUFFIXES:
                    yield file.read_bytes()
        else:
            with tarfile.open(path) as archive:
                for member in sorted(archive.getmembers(), key=lambda member: member.name):
                    extracted = archive.extractfile(member) if member.isfile() else None
                    if extracted is not None and Path(member.name).suffix.lower() in SUFFIXES:
                        yield extracted.read()


# --- distortions: images in [-1, 1] and a strength in 0..3 to images in [-1, 1] ----------------------


def blur(images: Tensor, strength: int) -> Tensor:
    sigma = (0.5, 0.8, 1.2, 2.0)[strength]
    return tv.gaussian_blur(images, [9, 9], [sigma, sigma])


def noise(images: Tensor, strength: int) -> Tensor:
    generator = torch.Generator().manual_seed(strength)
    return images + (0.05, 0.1, 0.2, 0.4)[strength] * torch.randn(images.shape, generator=generator)


def jpeg(images: Tensor, strength: int) -> Tensor:
    pixels = ((images + 1) * 127.5).round().to(torch.uint8)
    return tv.jpeg(pixels, quality=(60, 30, 15, 5)[strength]).float() / 127.5 - 1


def contrast(images: Tensor, strength: int) -> Tensor:
    return images * (0.8, 0.6, 0.4, 0.2)[strength]


def brightness(images: Tensor, strength: int) -> Tensor:
    return images + (0.1, 0.2, 0.35, 0.6)[strength]


def colour(images: Tensor, strength: int) -> Tensor:
    shift = torch.tensor([1.0, -0.5, -0.5]).view(3, 1, 1)
    return images + (0.1, 0.2, 0.35, 0.6)[strength] * shift


def grey(images: Tensor, strength: int) -> Tensor:
    return images.lerp(images.mean(1, keepdim=True).expand_as(images), (0.25, 0.5, 0.75, 1.0)[strength])


def shuffle(images: Tensor, strength: int) -> Tensor:
    """Exchanges a share of all patches (an eighth of the side) for others of the same image."""
    generator = torch.Generator().manual_seed(strength)
    side = images.shape[2] // 8
    patches = nn.functional.unfold(images, side, stride=side)
    number = patches.shape[2]
    order = torch.arange(number)
    moved = torch.randperm(number, generator=generator)[: (4, 12, 28, number)[strength]]
    order[moved] = moved.roll(1)
    return nn.functional.fold(patches[:, :, order], list(images.shape[2:]), side, stride=side)


def downsample(images: Tensor, strength: int) -> Tensor:
    side = images.shape[2]
    small = nn.functional.interpolate(images, side * (7, 5, 3, 2)[strength] // 8, mode="area")
    return nn.functional.interpolate(small, side, mode="bilinear")


DISTORTIONS: dict[str, Callable[[Tensor, int], Tensor]] = {
    function.__name__: function
    for function in (blur, noise, jpeg, contrast, brightness, colour, grey, shuffle, downsample)
}
MILD = ("blur", "noise", "jpeg", "colour", "downsample")


# --- figures -----------------------------------------------------------------------------------------


@torch.no_grad()
def layerwise(net: FeatureNet, images: Tensor, enlarge: int) -> list[list[Tensor]]:
    """Features in chunks of 16 images, enlarged to at least ``enlarge`` pixels."""
    chunks = []
    for part in images.split(16):
        if part.shape[2] < enlarge:
            part = nn.functional.interpolate(part, enlarge, mode="bicubic").clamp(-1, 1)
        chunks.append(net(part))
    return chunks


def distances(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """The perceptual loss of every image: ``[B]``."""
    per_chunk = []
    for ys, zs in zip(real, fake, strict=True):
        layers = [
            (unit_norm(y) - unit_norm(z)).square().sum(1).mean((1, 2)) for y, z in zip(ys, zs, strict=True)
        ]
        per_chunk.append(torch.stack(layers).mean(0))
    return torch.cat(per_chunk)


def pooled(features: list[list[Tensor]]) -> Tensor:
    """As ``FeatureNet.pooled``, of features that are there already."""
    return torch.cat([torch.cat([y.mean((2, 3)) for y in chunk], 1) for chunk in features]).double()


def frechet(first: Tensor, second: Tensor) -> float:
    """Fréchet distance of two sets of as many vectors ``[B, F]``.

    With centred sets X and Y the trace of the root of their covariances' product is the nuclear norm of
    ``X Y^T / (B - 1)``, which is small where there are fewer images than features.
    """
    gap = (first.mean(0) - second.mean(0)).square().sum()
    x, y = first - first.mean(0), second - second.mean(0)
    spread = x.square().sum() + y.square().sum() - 2 * torch.linalg.matrix_norm(x @ y.T, ord="nuc")
    return float(gap + spread / (len(first) - 1))


def discriminability(real: list[list[Tensor]], fake: list[list[Tensor]]) -> tuple[float, float]:
    """Share of locations found again and relative PatchNCE, averaged over layers."""
    loss = PatchNCELoss(max_locations=256).eval()
    found, nce = [], []
    for y, z in zip(real[0], fake[0], strict=True):
        number = y.shape[2] * y.shape[3]
        if number < 2:
            continue
        chosen = torch.linspace(0, number - 1, min(number, 256)).long()
        ys, zs = (unit_norm(value.flatten(2)[:, :, chosen]) for value in (y, z))
        nearest = (ys.transpose(1, 2) @ zs).argmax(2)
        found.append((nearest == torch.arange(len(chosen))).float().mean())
        nce.append(loss(y, z) / math.log(len(chosen)))
    return float(torch.stack(found).mean()), float(torch.stack(nce).mean())


def milliseconds(nets: list[FeatureNet], side: int, rounds: int) -> list[float]:
    """Of forward and backward of 16 images ``side`` pixels a side: the best round of each net."""
    images = torch.rand(16, 3, side, side, requires_grad=True)

    def step(net: FeatureNet) -> None:
        sum(layer.square().mean() for layer in net(images)).backward()

    turns = {str(place): lambda net=net: step(net) for place, net in enumerate(nets)}
    return [1e3 * min(times) for times in take_turns(turns, rounds).values()]


def measure(net: FeatureNet, sets: dict[str, Tensor], enlarge: int) -> dict[str, Any]:
    features = {name: layerwise(net, images, enlarge) for name, images in sets.items()}
    clean = features.pop("clean")
    origin = pooled(clean)
    mild = [discriminability(clean, features[f"{name} 1"]) for name in MILD]
    return {
        "name": net.name,
        "single": {name: distances(clean, value) for name, value in features.items()},
        "frechet": {name: frechet(origin, pooled(value)) for name, value in features.items()},
        "found": sum(pair[0] for pair in mild) / len(mild),
        "nce": sum(pair[1] for pair in mild) / len(mild),
        "channels": origin.shape[1],
    }


def row(found: dict[str, Any], reference: dict[str, Any], ms: tuple[float, float]) -> dict[str, Any]:
    """A line of the table: ``found`` against ``reference``, both from ``measure``."""
    names = list(reference["single"])
    mean = [[float(side["single"][name].mean()) for name in names] for side in (found, reference)]
    every = [torch.cat([side["single"][name] for name in names]) for side in (found, reference)]
    sets = [[side["frechet"][name] for name in names] for side in (found, reference)]
    return {
        "candidate": found["name"],
        "channels": found["channels"],
        "distance": float(spearmanr(*mean).statistic),
        "image": float(spearmanr(*every).statistic),
        "frechet": float(spearmanr(*sets).statistic),
        "found": found["found"],
        "nce": found["nce"],
        "ms_32": ms[0],
        "ms_64": ms[1],
    }


def line(cells: list[Any]) -> str:
    texts = [f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells]
    return " ".join([f"{texts[0]:<26}", *(f"{text:>8}" for text in texts[1:])])


def main() -> int:
    """Reads the arguments, measures, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--squeezenet", type=Path, help="weights of squeezenet1_0")
    parser.add_argument("--images", type=Path, nargs="+", help="folders or tar files")
    parser.add_argument("--number", type=int, default=48, help="how many photographs")
    parser.add_argument("--size", type=int, default=64, help="side of the photographs in pixels")
    parser.add_argument("--reference-size", type=int, default=128, help="side SqueezeNet sees at least")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="four photographs of 32 pixels, two rounds, random weights: under 45 s on two cores",
    )
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    number, size, rounds = (4, 32, 2) if options.quick else (options.number, options.size, 20)
    if not options.quick and (options.squeezenet is None or options.images is None):
        parser.error("give --squeezenet and --images, or --quick")

    files = example_photographs(number) if options.images is None else contents_of(options.images)
    clean = photographs(files, number, size)
    sets = {"clean": clean}
    for name, distort in DISTORTIONS.items():
        for strength in range(4):
            sets[f"{name} {strength}"] = distort(clean, strength).clamp(-1, 1)
    with tempfile.TemporaryDirectory() as folder:
        weights = options.squeezenet or Path(folder) / "random.safetensors"
        if options.squeezenet is None:
            save_file(models.squeezenet1_0().state_dict(), weights)
        reference = measure(
            SqueezeNetFeatures(weights), sets, size if options.quick else options.reference_size
        )
    nets = candidates()
    speeds = zip(milliseconds(nets, 32, rounds), milliseconds(nets, 64, rounds), strict=True)
    rows = [row(reference, reference, (math.nan, math.nan))]
    print(line(list(rows[0])))
    print(line(list(rows[0].values())), flush=True)
    for net, speed in zip(nets, speeds, strict=True):
        rows.append(row(measure(net, sets, 0), reference, speed))
        print(line(list(rows[-1].values())), flush=True)
    rows[0]["ms_32"] = rows[0]["ms_64"] = None  # the reference is not timed
    return finish(options.json, [], machine=machine(), rows=rows)


if __name__ == "__main__":
    sys.exit(main())
