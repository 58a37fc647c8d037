"""Where a training step spends its time, for ``training.py``: the device is waited for after each part."""

import statistics
import time
from collections.abc import Iterator

from torch.optim import Optimizer

from cut_step import cut_generator_step, cut_tokenizer_step
from measuring import wait
from regvq.training import ModelTraining, TokenizerTraining
from training_contestants import Contestant

PARTS = {
    "tokenizer": ("data", "encoder", "quantizer", "decoder", "perceptual", "discriminator", "optimizer"),
    "generator": ("data", "transformer", "head and loss", "optimizer"),
}
"""By stage, in the order of the tables."""


class Laps:
    """Seconds by part, added up."""

    def __init__(self, stage: str, device: str) -> None:
        self.device = device
        self.seconds = dict.fromkeys(PARTS[stage], 0.0)
        self._last = time.perf_counter()

    def __call__(self, part: str) -> None:
        """What has passed since the last call belongs to ``part``."""
        wait(self.device)
        now = time.perf_counter()
        self.seconds[part] += now - self._last
        self._last = now


def optimizer_step(training: ModelTraining, optimizer: Optimizer, clip: float | None) -> None:
    """What follows the backward pass."""
    training.configure_gradient_clipping(optimizer, clip, "norm")
    optimizer.step()
    optimizer.zero_grad()
    if training.averaged is not None:
        training.averaged.update(training.model)


def parts_of_a_step(one: Contestant, rounds: int) -> dict[str, float]:
    """Seconds of each part of a step, medians over ``rounds`` steps."""
    training, device = one.training, one.device
    training.to(device).train()
    optimizer = training.make_optimizer(fused=device == "cpu")

    def batches() -> Iterator[dict[str, object]]:
        while True:
            yield from one.data.train_dataloader()

    found: list[dict[str, float]] = []
    stream = batches()
    for _ in range(1 + rounds):
        wait(device)
        laps = Laps(training.stage, device)
        batch = training.on_before_batch_transfer(next(stream), 0)
        batch = training.transfer_batch_to_device(batch, training.device, 0)
        laps("data")
        if isinstance(training, TokenizerTraining):
            cut_tokenizer_step(training, batch["image"], one.precision, laps)
        else:
            cut_generator_step(training, batch, one.precision, laps)
        optimizer_step(training, optimizer, one.clip)
        laps("optimizer")
        found.append(laps.seconds)
    return {part: statistics.median(one[part] for one in found[1:]) for part in PARTS[training.stage]}
