"""The speed benchmark of sampling: its floor, its bars, and that every contestant draws."""

import pytest

from benchmarks.sampling import (
    BATCH,
    BATCHES,
    CACHED,
    COMPILED,
    STOCK,
    bars,
    bytes_read,
    contestants,
    generators,
    measure,
)

TINY = {"dim": 8, "layers": 2, "heads": 2, "hidden": 16}


def test_the_floor_by_hand() -> None:
    ar, _ = generators("cpu", **TINY)
    # A block: four square maps, three of the feed-forward part, two norms; then the last norm and the head.
    weights = 2 * (4 * 8 * 8 + 3 * 8 * 16 + 2 * 8) + 8 + 1024 * 8
    # Keys and values of the start and of all codes before, in both blocks, for three images.
    cache = 3 * 2 * 2 * 8 * sum(range(1, 257))
    assert bytes_read(ar, 3) == 4 * (256 * weights + cache)


def test_every_contestant_draws_and_is_judged() -> None:
    ar, diffusion = generators("cpu", **TINY)
    rows = measure(ar, diffusion, 1, 1, "cpu", quick=True)
    assert [row["contestant"] for row in rows] == list(contestants(ar, diffusion, 1, quick=True))
    assert all(row["per_second"] == pytest.approx(256 / row["seconds"]) for row in rows)
    assert {row["contestant"] for row in rows if row["floors"] is not None} == {CACHED, STOCK}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("quick", [True, False])
def test_bars_compare_the_right_rows(device: str, quick: bool) -> None:
    ar, diffusion = generators("cpu", **TINY)
    rows = [
        {"contestant": name, "batch_size": batch, "seconds": 1.0 + number, "floors": 3.0}
        for batch in BATCHES
        for number, name in enumerate(contestants(ar, diffusion, batch, quick))
    ]
    found = bars(rows, device)
    if device == "cuda" and quick:  # the compiled network, which they judge, does not take part
        assert found == []
        return
    assert len(found) == (3 if device == "cpu" else 2)
    gain = next(bar for bar in found if "over generate()" in bar.name)
    order = list(contestants(ar, diffusion, BATCH if device == "cpu" else 1, quick))
    fast = CACHED if device == "cpu" else COMPILED
    assert gain.measured == (1 + order.index(STOCK)) / (1 + order.index(fast))
    assert f"{BATCH if device == 'cpu' else 1} at once" in gain.name
    if device == "cuda":
        assert (found[-1].measured, found[-1].passed) == (3.0, False)
