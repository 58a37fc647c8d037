"""A tokenizer against real images."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from regvq.configurable import describe
from regvq.data import ImageData
from regvq.evaluation.distributions import (
    ENOUGH,
    FeatureCollector,
    bias_of_pairs,
    distribution_measurements,
    few_images,
    joined,
    require_library,
)
from regvq.evaluation.evaluation import Evaluation
from regvq.evaluation.image_batches import damage_notes, image_batches, images_to_take, spread
from regvq.evaluation.measurement import Measurement
from regvq.evaluation.parts import Tensors, in_parts, names_from_bytes, names_to_bytes, summed
from regvq.evaluation.references import describe_reference, reference_features
from regvq.evaluation.tokenizer import EvalMode, TokenizerMeter, measure_tokenizer
from regvq.losses import LPIPS
from regvq.nets import FeatureNet
from regvq.tokenizers import ImageTokenizer


def evaluate_reconstructions(
    tokenizer: ImageTokenizer,
    data: ImageData,
    net: FeatureNet,
    cache: Path,
    count: int | None = None,
    batch_size: int = 32,
    workers: int = 0,
    lpips: LPIPS | None = None,
    report: Callable[[int], None] = lambda images: None,
) -> Evaluation:
    """What a tokenizer makes of the validation images.

    Args:
        tokenizer: on the device that is to compute.
        data: its validation half is reconstructed.
        net: whose features are compared.
        cache: folder that keeps the features of the originals.
        count: images at most; all where none is given.
        batch_size: images at once.
        workers: processes that read images; 0 reads them in this one.
        lpips: the perceptual distance, where it is wanted.
        report: called with the number of images so far.

    Raises:
        RegvqError: fewer than two images, sides that do not fit the tokenizer, no torch-fidelity.
    """
    require_library()
    dataset = data.val()
    total = images_to_take(dataset, count)
    places = spread(dataset, total)
    reference = describe_reference(describe(data), dataset, "val", total, net)
    done = 0

    def part(numbers: Sequence[int]) -> Tensors:
        images, distance, damaged = FeatureCollector(net), _SummedLPIPS(lpips), set[str]()

        def watch(originals: Tensor, reconstructions: Tensor) -> None:
            nonlocal done
            images.add(reconstructions)
            distance.add(originals, reconstructions)
            done += len(originals)
            report(done)

        items = [places[number] for number in numbers]
        batches = image_batches(dataset, items, batch_size, workers, damaged)
        sums = measure_tokenizer(tokenizer, batches, watch).sums()
        return {**sums, **images.tensors(), **distance.sums(), "damaged": names_to_bytes(damaged)}

    # First: these features stay in the cache, but the parts below are removed as soon as all are there.
    originals = reference_features(cache, reference, net, dataset, places, batch_size, workers)
    fingerprint = tokenizer.fingerprint()
    key = f"{reference.key}-{fingerprint[:16]}-{'lpips' if lpips else 'plain'}"
    parts = in_parts(cache / f"{key}.parts", total, part)
    figures = TokenizerMeter.of(parts, tokenizer.codebook_size).figures()
    damaged = names_from_bytes(one["damaged"] for one in parts)
    rebuilt = joined(parts)
    bias = bias_of_pairs(rebuilt, originals) if total < ENOUGH else None
    return Evaluation(
        subject={"kind": "tokenizer", "fingerprint": fingerprint, **_perceptual(lpips)},
        reference=reference,
        images=total,
        measurements=[
            *distribution_measurements(net, rebuilt, originals, "r", bias),
            *(
                []
                if lpips is None
                else [Measurement(f"LPIPS ({lpips.features.name})", _mean_lpips(parts), -1)]
            ),
            Measurement("PSNR", figures.psnr, 1, "dB", places=2),
            Measurement("SSIM", figures.ssim, 1, places=4),
            Measurement("codebook usage", 100 * figures.usage, 1, "%", places=1),
            Measurement("perplexity", figures.perplexity, 1, f"of {tokenizer.codebook_size}", places=1),
            Measurement("bits per token", figures.bits_per_token, 0, places=3),
            *_speeds(tokenizer, next(image_batches(dataset, places[:batch_size], batch_size))),
        ],
        notes=[*few_images(total), *damage_notes(damaged)],
    )


class _SummedLPIPS:
    """The perceptual distances of pairs, where they are wanted."""

    def __init__(self, lpips: LPIPS | None) -> None:
        self.lpips = lpips
        self.total = torch.zeros((), dtype=torch.float64)

    @torch.no_grad()
    def add(self, originals: Tensor, reconstructions: Tensor) -> None:
        if self.lpips is not None:
            device = next(self.lpips.buffers()).device
            parts = (part.to(device).clamp(-1, 1) for part in (originals, reconstructions))
            pair = [self.lpips.features(part) for part in parts]
            self.total += float(self.lpips(*pair)) * len(originals)

    def sums(self) -> Tensors:
        return {"lpips": self.total}


def _perceptual(lpips: LPIPS | None) -> dict[str, str]:
    """The net of the perceptual distance, where it is measured."""
    if lpips is None:
        return {}
    return {"lpips": f"{lpips.features.name}, weights {lpips.features.weights_hash()}"}


def _mean_lpips(parts: Sequence[Tensors]) -> float:
    return float(summed(parts, "lpips") / summed(parts, "images"))


@torch.no_grad()
def _speeds(tokenizer: ImageTokenizer, images: Tensor, rounds: int = 5) -> list[Measurement]:
    """Images a second of either way; the best of some rounds, after one to warm up."""
    device = tokenizer.post_quant_conv.weight.device
    images = images.to(device)
    with EvalMode(tokenizer):
        codes = tokenizer.encode(images)
        ways: Iterable[tuple[str, Callable[[], Tensor]]] = (
            ("encoding", lambda: tokenizer.encode(images)),
            ("decoding", lambda: tokenizer.decode(codes)),
        )
        found = []
        for name, way in ways:
            best = float("inf")
            for _ in range(rounds + 1):
                start = time.perf_counter()
                way().cpu()  # waits for the device
                best = min(best, time.perf_counter() - start)
            speed = len(images) / best
            found.append(Measurement(name, speed, 1, "images/s", places=1, exact=False))
    return found
