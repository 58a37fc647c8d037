"""Trainings whose weights are kept in other formats than float32."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regvq.data import ImageDataModule
from regvq.quantizers import EMAVectorQuantizer, Quantizer, RegularizedVectorQuantizer, VectorQuantizer
from regvq.quantizers.peers import PeerFSQ, PeerVQ
from regvq.training import TokenizerTraining, fit

QUANTIZERS: dict[str, Callable[[], Quantizer]] = {
    "Reg-VQ": lambda: RegularizedVectorQuantizer(16, 8),
    "the paper's form": lambda: RegularizedVectorQuantizer.paper(16, 8),
    "EMA-VQ": lambda: EMAVectorQuantizer(16, 8),
    "VQ": lambda: VectorQuantizer(16, 8, init="data"),
    "PeerVQ": lambda: PeerVQ(16, 8),
    "PeerFSQ": lambda: PeerFSQ(8, (4, 4)),
}


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "16-true", "bf16-mixed"])
@pytest.mark.parametrize("name", QUANTIZERS)
def test_a_training_runs_in_this_format(
    name: str,
    precision: str,
    make_training: Callable[..., TokenizerTraining],
    data: ImageDataModule,
    output: Path,
    options: dict[str, Any],
    recorder: Any,
) -> None:
    record = recorder()
    tokenizer = fit(
        make_training(QUANTIZERS[name]()), data, output, callbacks=[record], precision=precision, **options
    )
    assert all(value == value for values in record.train for value in values.values())
    assert record.train[-1]["train/non_finite"] == 0
    for key, value in tokenizer.quantizer.state_dict().items():
        assert value.isfinite().all(), key
