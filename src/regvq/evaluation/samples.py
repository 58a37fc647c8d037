"""A generator against real images."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from regvq.configurable import describe
from regvq.data import ImageData, Sample
from regvq.data.base import size_of
from regvq.evaluation.distributions import (
    ENOUGH,
    FeatureCollector,
    bias_of_samples,
    distribution_measurements,
    few_images,
    joined,
    require_library,
)
from regvq.evaluation.evaluation import Evaluation
from regvq.evaluation.image_batches import damage_notes, images_to_take, spread
from regvq.evaluation.measurement import Measurement
from regvq.evaluation.parts import Tensors, in_parts, names_from_bytes, names_to_bytes, summed
from regvq.evaluation.references import describe_reference, reference_features
from regvq.evaluation.tokenizer import EvalMode
from regvq.generators import Generator
from regvq.generators.batches import sample_in_batches
from regvq.metrics import CodebookUsage
from regvq.model_folder import fingerprint
from regvq.nets import FeatureNet
from regvq.tokenizers import ImageTokenizer
from regvq.types import SamplingOptions


def evaluate_samples(
    generator: Generator,
    tokenizer: ImageTokenizer,
    data: ImageData,
    net: FeatureNet,
    cache: Path,
    count: int | None = None,
    options: SamplingOptions = SamplingOptions(),  # noqa: B008 - frozen
    batch_size: int = 32,
    workers: int = 0,
    report: Callable[[int], None] = lambda images: None,
    notice: Callable[[str], None] = lambda sentence: None,
) -> Evaluation:
    """What a generator samples under the conditions of the validation images.

    Args:
        generator: on the device that is to compute.
        tokenizer: its tokenizer.
        data: its validation half gives conditions and reference.
        net: whose features are compared.
        cache: folder that keeps the features of the originals.
        count: images at most; as many as the validation half has where none is given.
        options: how to sample.
        batch_size: images at once.
        workers: processes that read images; 0 reads them in this one.
        report: called with the number of images so far.
        notice: called with what the user should know.

    Raises:
        RegvqError: fewer than two images, data without the condition, no torch-fidelity.
    """
    require_library()
    dataset = data.val()
    everything, total = size_of(dataset), images_to_take(dataset, count)
    damaged: set[str] = set()
    reference = describe_reference(describe(data), dataset, "val", everything, net)
    originals = reference_features(
        cache, reference, net, dataset, range(everything), batch_size, workers, damaged
    )
    places = spread(dataset, total)
    done = 0

    def part(numbers: Sequence[int]) -> Tensors:
        nonlocal done
        items = [places[number] for number in numbers]
        ids, bits = _conditions(generator, tokenizer, dataset, items, batch_size)
        collector = FeatureCollector(net)

        def finish(codes: Tensor) -> Tensor:
            collector.add(tokenizer.decode(codes))
            return codes

        start = time.perf_counter()
        with EvalMode(tokenizer), EvalMode(generator):
            codes = sample_in_batches(
                generator,
                ids,
                replace(options, first=options.first + numbers[0]),
                batch_size,
                finish=finish,
                report=lambda drawn: report(done + drawn),
                notice=notice,
            )
        done += len(codes)
        seconds = torch.tensor(time.perf_counter() - start)
        names = names_to_bytes(getattr(dataset, "damaged", ()))
        return {
            **collector.tensors(),
            "codes": codes.contiguous(),
            "bits": bits,
            "seconds": seconds,
            "damaged": names,
        }

    subject = {
        "kind": "generator",
        "generator": type(generator).__name__,
        "fingerprint": fingerprint(generator),
        "condition": type(generator.condition).__name__,
        "tokenizer": tokenizer.fingerprint(),
        "options": asdict(options),
    }
    digest = hashlib.sha256(json.dumps([subject, total, batch_size]).encode()).hexdigest()[:16]
    parts = in_parts(cache / f"{reference.key}-{digest}.parts", total, part)
    damaged |= names_from_bytes(one["damaged"] for one in parts)
    usage = CodebookUsage(tokenizer.codebook_size)
    usage.sync_on_compute = False  # the parts of all processes are here
    usage.update(torch.cat([one["codes"] for one in parts]))
    statistics = usage.compute()
    fewest = min(total, len(originals))
    bias = bias_of_samples(total, originals) if fewest < ENOUGH else None
    return Evaluation(
        subject=subject,
        reference=reference,
        images=total,
        measurements=[
            *distribution_measurements(net, joined(parts), originals, bias=bias),
            Measurement("bits per token", float(summed(parts, "bits")) / total, -1, places=3),
            Measurement("codebook usage", 100 * float(statistics["usage"]), 1, "%", places=1),
            Measurement(
                "perplexity", float(statistics["perplexity"]), 0, f"of {tokenizer.codebook_size}", places=1
            ),
            Measurement(
                "sampling", total / float(summed(parts, "seconds")), 1, "images/s", places=2, exact=False
            ),
        ],
        notes=[*few_images(fewest), *damage_notes(damaged)],
    )


@torch.no_grad()
def _conditions(
    generator: Generator,
    tokenizer: ImageTokenizer,
    dataset: Dataset[Sample],
    items: Sequence[int],
    batch_size: int,
) -> tuple[Tensor, Tensor]:
    """The conditions of images, and the bits a token that their own codes cost, summed over them."""
    rows, bits = [], torch.zeros((), dtype=torch.float64)
    with EvalMode(tokenizer), EvalMode(generator), torch.random.fork_rng([]):
        for start in range(0, len(items), batch_size):
            torch.manual_seed(items[start])  # diffusion draws times: the same in every evaluation
            samples = [dataset[item] for item in items[start : start + batch_size]]
            batch: Sample = {
                key: torch.stack(values) if isinstance(values[0], Tensor) else values
                for key in samples[0]
                if (values := [sample[key] for sample in samples])
            }
            ids = generator.condition.of(batch)
            codes = tokenizer.encode(batch["image"].to(generator.device))
            loss = generator.loss(codes, ids.to(generator.device))
            bits += float(loss.stats["bits_per_token"]) * len(samples)
            rows.append(ids)
    return torch.cat(rows), bits
