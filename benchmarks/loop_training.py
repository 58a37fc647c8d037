"""The training loop that a plain user writes, and the row that it leaves."""

import contextlib
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

import loop_nets
from loop_contestants import maker
from loop_data import SOURCES, Samples, batch_indices, pool
from loop_measure import (
    HeldOut,
    Measurement,
    as_row,
    corrupted_samples,
    curve_samples,
    held_out_samples,
    loop_loss,
    quality_name,
)
from loop_zoo import Loop

EVERY = 50
"""Steps between two points of the curve."""

_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": lambda parameters, lr: torch.optim.SGD(parameters, lr, momentum=0.9),
}


class PlainVQVAE(nn.Module):
    """Encoder, quantizer and decoder, with no more than a loop says.

    Args:
        loop: the settings.
        contestant: name of the quantizer.
        seed: the same seed gives every contestant the same encoder and decoder.
        classes: number of labels, where cross-entropy needs them.
    """

    def __init__(self, loop: Loop, contestant: str, seed: int, classes: int) -> None:
        super().__init__()
        self.loop = loop
        outputs = classes if loop.loss == "cross-entropy" else SOURCES[loop.data].channels
        torch.manual_seed(seed)
        self.encoder = loop_nets.encoder(loop)
        self.decoder = loop_nets.decoder(loop, outputs)
        torch.manual_seed(seed + 1_000_000)
        self.quantizer = maker(contestant)(loop.codebook_size, loop.dim)

    def latents(self, inputs: Tensor) -> Tensor:
        """Return the latents, scaled and moved as the loop says: ``[B, D, *S]``."""
        encoded: Tensor = self.encoder(inputs)
        return encoded * self.loop.scale + self.loop.offset

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the reconstruction, the latents and the quantizer's loss."""

        def quantized(inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            latents = self.latents(inputs)
            output = self.quantizer(latents)
            return output.quantized, latents, output.loss

        def decoded(latents: Tensor) -> tuple[Tensor, Tensor]:
            output = self.quantizer(latents)
            return self.decoder(output.quantized), output.loss

        if self.loop.checkpoint == "decoder":
            latents = self.latents(inputs)
            reconstruction, loss = checkpoint(decoded, latents, use_reentrant=False)
        elif self.loop.checkpoint == "encoder":
            codes, latents, loss = checkpoint(quantized, inputs, use_reentrant=False)
            reconstruction = self.decoder(codes)
        else:
            codes, latents, loss = quantized(inputs)
            reconstruction = self.decoder(codes)
        return reconstruction, latents, loss


def run_loop(loop: Loop, contestant: str, seed: int, folder: Path | None) -> dict[str, Any]:
    """Train and measure one contestant in one loop; a failure becomes a row with its ``error``."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    row = {
        "loop": loop.name,
        "contestant": contestant,
        "seed": seed,
        "steps": loop.steps,
        "objective": loop.loss,
        "quality_name": quality_name(loop),
        "held_back": loop.held_back,
        "error": None,
    }
    try:
        made = (
            _alone(0, loop, contestant, seed, folder)
            if loop.ranks == 1
            else _together(loop, contestant, seed, folder)
        )
        row |= made
    except Exception as error:  # whatever fails is a finding of the zoo
        row["error"] = _one_line(error)
    return row | {"seconds": round(time.perf_counter() - start, 2)}


def _alone(rank: int, loop: Loop, contestant: str, seed: int, folder: Path | None) -> dict[str, Any]:
    """Train on this rank; measure where it is the first."""
    train, val = pool(loop.data, "train", folder), pool(loop.data, "val", folder)
    model = PlainVQVAE(loop, contestant, seed, train.classes)
    torch.manual_seed(seed + 2_000_000 + rank)
    curve = _train(loop, model, train, val, seed, rank)
    if rank > 0:
        return {}
    model.eval()
    measurement = Measurement(loop, model, val)
    figures = measurement.held_out(held_out_samples(loop, len(val.inputs)))
    _require_finite(figures.loss, loop.steps)
    corruption = measurement.corruption(corrupted_samples(loop, len(val.inputs)), seed)
    return {**as_row(figures), "curve": curve, "corruption": corruption}


def _train(
    loop: Loop, model: PlainVQVAE, train: Samples, val: Samples, seed: int, rank: int
) -> list[dict[str, Any]]:
    """Train ``model``; return its curve on held-out samples, measured on the first rank."""
    model.train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    # With frozen features a quantizer that learns by EMA leaves nothing to an optimizer.
    optimizer = _OPTIMIZERS[loop.optimizer](parameters, lr=loop.lr) if parameters else None
    wrapped = DistributedDataParallel(model) if loop.ranks > 1 else model
    curve = []
    for step in range(loop.steps):
        indices = batch_indices(seed, step, loop.batch_size)[rank :: loop.ranks]
        if optimizer:
            optimizer.zero_grad()
        for micro, part in enumerate(indices.chunk(loop.accumulate)):
            last = micro == loop.accumulate - 1
            sync = contextlib.nullcontext() if last or loop.ranks == 1 else cast(Any, wrapped).no_sync()
            with sync:
                loss = _loss(loop, wrapped, train, part) / loop.accumulate
                _require_finite(float(loss.detach()), step)
                if loss.requires_grad:
                    loss.backward()
        if optimizer:
            optimizer.step()
        if rank == 0 and (step + 1) % EVERY == 0:
            curve.append({"step": step + 1, **as_row(_point(loop, model, val))})
    return curve


def _loss(loop: Loop, model: nn.Module, train: Samples, indices: Tensor) -> Tensor:
    inputs = train.inputs[indices]
    with torch.autocast("cpu", torch.bfloat16, enabled=loop.precision == "bf16"):
        reconstruction, latents, quantizer_loss = model(inputs)
    if loop.frozen:
        target = latents
    elif loop.loss == "cross-entropy":
        assert train.labels is not None
        target = train.labels[indices]
    else:
        target = inputs
    return loop_loss(loop, reconstruction, target) + quantizer_loss


def _point(loop: Loop, model: PlainVQVAE, val: Samples) -> HeldOut:
    with _eval(model):
        return Measurement(loop, model, val).held_out(curve_samples(loop, len(val.inputs)))


@contextlib.contextmanager
def _eval(model: nn.Module) -> Iterator[None]:
    model.eval()
    try:
        yield
    finally:
        model.train()


def _require_finite(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss} at step {step}")


def _one_line(error: Exception) -> str:
    """Return the kind of an error and the last line of its message, which names the cause."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[-1][:300]}"


def _together(loop: Loop, contestant: str, seed: int, folder: Path | None) -> dict[str, Any]:
    """Train on several processes that meet on loopback; return the first one's figures."""
    with tempfile.TemporaryDirectory() as meeting:
        mp.spawn(_rank, args=(meeting, loop, contestant, seed, folder), nprocs=loop.ranks)
        return cast(dict[str, Any], torch.load(Path(meeting) / "row.pt", weights_only=True))


def _rank(rank: int, meeting: str, loop: Loop, contestant: str, seed: int, folder: Path | None) -> None:
    torch.set_num_threads(1)
    # gloo looks for an interface by the host's name, which need not resolve.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    address = f"file://{meeting}/address"
    dist.init_process_group("gloo", address, timedelta(minutes=5), world_size=loop.ranks, rank=rank)
    try:
        row = _alone(rank, loop, contestant, seed, folder)
        if rank == 0:
            torch.save(row, Path(meeting) / "row.pt")
    finally:
        dist.destroy_process_group()
