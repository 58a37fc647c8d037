"""The speed benchmark of the quantizers: every contestant, every bar, and what it measures with."""

import argparse
import mmap

import pytest
import torch

from benchmarks.quantizers import (
    BARS,
    CONTESTANTS,
    SIZES,
    Ceilings,
    Readable,
    bars,
    bytes_moved,
    encode_bar,
    measure,
)
from measuring import Bar, extra_memory, fresh_memory, take_turns, usable_device
from regvq.quantizers import RegularizedVectorQuantizer


def test_every_contestant_is_measured() -> None:
    rows = measure(size=8, tokens=16, dim=4, rounds=3, device="cpu")
    assert [row["quantizer"] for row in rows] == list(CONTESTANTS)
    for row in rows:
        assert row["codebook_size"] == 8
        assert row["milliseconds"] > 0
        assert row["spread"] >= 0
        assert row["floor_milliseconds"] > 0
        assert row["flops"] == CONTESTANTS[row["quantizer"]].products * 2 * 8 * 16 * 4


def test_the_floor_is_the_longer_of_computing_and_moving() -> None:
    # Latents, quantized latents and two gradients of 16 x 4 floats; 8 x 4 of the codebook; 16 tokens.
    assert bytes_moved(8, 16, 4) == 4 * 4 * 64 + 4 * 32 + 8 * 16
    assert Ceilings(flops=10.0, bytes=1.0).seconds(40, 3) == 4
    assert Ceilings(flops=10.0, bytes=1.0).seconds(40, 5) == 5


def test_bars_compare_the_right_rows() -> None:
    rows = [
        {"quantizer": name, "codebook_size": size, "milliseconds": 1.0 + number, "megabytes": 10.0}
        for number, name in enumerate(CONTESTANTS)
        for size in SIZES["cpu"]
    ]
    found = bars(rows, "cpu")
    assert len(found) == len(BARS["cpu"])
    order = list(CONTESTANTS)
    expected = (1 + order.index("Reg-VQ")) / (1 + order.index("library VQ"))
    assert next(bar for bar in found if bar.name.startswith("Reg-VQ over library")).measured == expected


def test_the_readable_form_is_reg_vq() -> None:
    torch.manual_seed(0)
    one = RegularizedVectorQuantizer(16, 4).train()
    two = Readable(16, 4).train()
    two.load_state_dict(one.state_dict())
    z = torch.randn(2, 4, 30)
    for quantizer in (one, two):
        quantizer.mask_ratio = lambda step: 1e-9  # no place sampled: no chance to differ by
    torch.manual_seed(1)
    first = one(z)
    torch.manual_seed(1)
    second = two(z)
    assert torch.equal(first.codes, second.codes)
    torch.testing.assert_close(first.losses["prior"], second.losses["prior"])


def test_encoding_is_judged() -> None:
    assert encode_bar(8, 16, 4, 3, "cpu").measured > 0


@pytest.mark.parametrize(
    ("measured", "at_most", "passed"), [(1.0, True, True), (1.1, True, False), (0.9, False, False)]
)
def test_a_bar_is_a_bound(measured: float, at_most: bool, passed: bool) -> None:
    assert Bar("x", measured, 1.0, at_most).passed is passed


def test_warm_rounds_are_not_timed() -> None:
    calls = []
    seconds = take_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2, warm=1)
    assert calls == ["a", "b"] * 3
    assert [len(times) for times in seconds.values()] == [2, 2]


def test_memory_is_counted_by_the_pages_that_are_touched() -> None:
    if extra_memory(lambda: None) is None:
        pytest.skip("the system does not count pages")
    size = 2**24  # 64 MB, and not a page before it is written
    assert extra_memory(lambda: torch.ones(size)) == pytest.approx(4 * size, rel=0.1)
    assert extra_memory(lambda: fresh_memory(size)) < 2**20
    assert fresh_memory(mmap.PAGESIZE, 2).shape == (mmap.PAGESIZE, 2)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    assert usable_device("cpu") == "cpu"
    with pytest.raises(argparse.ArgumentTypeError, match="no GPU on this machine"):
        usable_device("cuda")
