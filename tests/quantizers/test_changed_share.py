"""The sampling temperature that holds the share of sampled tokens which change."""

import math

import pytest
import torch

from regvq.errors import RegvqError
from regvq.quantizers import ChangedShare, GradientCodebook, RegularizedVectorQuantizer


def _counted(changed: float, sampled: float) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(changed), torch.tensor(sampled)


def test_the_temperature_is_corrected_by_the_error_every_ten_steps_at_first() -> None:
    control = ChangedShare(0.5)
    for _ in range(9):
        control.update(*_counted(1.0, 10.0))
    assert control.temperature == 1
    control.update(*_counted(1.0, 10.0))
    assert control.temperature == pytest.approx(math.exp(4 * (0.5 - 0.1)))


def test_later_the_device_is_asked_every_fifty_steps() -> None:
    control = ChangedShare(0.5)
    changes = []
    for step in range(400):
        before = control.temperature
        control.update(*_counted(4.9 if step % 2 else 5.0, 10.0))
        if control.temperature != before:
            changes.append(step + 1)
    assert changes == [*range(10, 201, 10), 250, 300, 350, 400]


@pytest.mark.parametrize(("dim", "scale"), [(4, 1.0), (64, 1.0), (64, 100.0)])
@pytest.mark.parametrize("share", [0.2, 0.5])
def test_the_share_is_held_whatever_the_latents(dim: int, scale: float, share: float) -> None:
    torch.manual_seed(0)
    quantizer = RegularizedVectorQuantizer(64, dim, sampling_temperature=ChangedShare(share))
    seen = [float(quantizer(scale * torch.randn(8, dim, 50)).stats["changed_share"]) for _ in range(200)]
    assert sum(seen[100:]) / 100 == pytest.approx(share, abs=0.05)


def test_where_the_share_is_out_of_reach_the_temperature_stays_a_number() -> None:
    quantizer = RegularizedVectorQuantizer(1, 4)  # one code: nothing can change
    for _ in range(300):
        output = quantizer(torch.randn(2, 4, 10))
    assert output.quantized.isfinite().all()
    assert math.isfinite(quantizer.changed_share.temperature)


def test_it_travels_in_the_state_dict() -> None:
    torch.manual_seed(0)
    quantizer, twin = (RegularizedVectorQuantizer(16, 4) for _ in range(2))
    for _ in range(23):
        quantizer(torch.randn(2, 4, 20))
    twin.load_state_dict(quantizer.state_dict())
    assert twin.changed_share.temperature == quantizer.changed_share.temperature != 1
    assert twin.changed_share.batches == 23
    assert torch.equal(twin.changed_share.counted, quantizer.changed_share.counted)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, math.nan])
def test_a_share_outside_the_open_interval_is_refused(share: float) -> None:
    with pytest.raises(RegvqError, match=r"\(0, 1\)"):
        ChangedShare(share)


def test_the_paper_s_temperature_is_still_there() -> None:
    quantizer = RegularizedVectorQuantizer(
        16, 4, sampling_temperature=1.0, codebook=GradientCodebook(init="normal")
    )
    assert quantizer.changed_share is None
    for _ in range(30):
        output = quantizer(torch.randn(2, 4, 10))
    assert output.stats["sampling_temperature"] == 1
