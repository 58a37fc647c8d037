"""The speed benchmark of the quantizers: every contestant, every bar, and what it measures with."""

import argparse
import mmap

import pytest
import torch

from benchmarks.quantizers import (
    BARS,
    CONTESTANTS,
    SIZES,
    TRAINED,
    Ceilings,
    Readable,
    bars,
    bytes_moved,
    encode_bar,
    measure,
    memory_bar,
    product_rates,
)
from measuring import Bar, extra_memory, fresh_memory, take_turns, usable_device
from regvq.quantizers import (
    IdentityStraightThrough,
    PriorBias,
    RegularizedVectorQuantizer,
    SoftmaxStraightThrough,
    StraightThrough,
)


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
    # Latents, quantized latents and two gradients of 16 x 4 floats; two tables of 8 x 4; 16 tokens.
    assert bytes_moved(8, 16, 4, tables=2) == 4 * 4 * 64 + 2 * 4 * 32 + 8 * 16
    ceilings = Ceilings(flops={"TF32": 5.0, "bfloat16": 10.0}, bytes=1.0)
    assert ceilings.seconds(40, 3) == 4
    assert ceilings.seconds(40, 5) == 5


def test_a_gpu_s_ceilings_are_those_of_its_tensor_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    def rate(dtype: torch.dtype, device: str, rounds: int) -> tuple[torch.dtype, str]:
        return dtype, torch.get_float32_matmul_precision()

    before = torch.get_float32_matmul_precision()
    monkeypatch.setattr("benchmarks.quantizers.product_rate", rate)
    found = product_rates(8, 16, 4, 3, "cuda")
    assert found == {"TF32": (torch.float32, "high"), "bfloat16": (torch.bfloat16, before)}
    assert torch.get_float32_matmul_precision() == before
    assert product_rates(8, 16, 4, 3, "cpu").keys() == {"float32"}


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


@pytest.mark.parametrize("straight_through", [IdentityStraightThrough, SoftmaxStraightThrough])
def test_the_readable_form_is_reg_vq(straight_through: type[StraightThrough]) -> None:
    found = []
    for kind in (RegularizedVectorQuantizer, Readable):
        torch.manual_seed(0)
        quantizer = kind(
            16,
            4,
            prior_weight=0.1,
            prior_bias=PriorBias(rate=0.0),
            posterior_momentum=0.0,
            straight_through=straight_through(),
        )
        quantizer.train()(torch.randn(2, 4, 30))  # a codebook that has seen latents
        z = torch.randn(2, 4, 30, requires_grad=True)
        torch.manual_seed(1)
        output = quantizer(z)
        assert (output.codes != output.best_codes).any()
        (output.quantized.square().sum() + output.loss).backward()
        found.append((output.codes, output.losses["prior"], z.grad))
    (codes, prior, gradient), (wanted_codes, wanted_prior, wanted_gradient) = found
    assert torch.equal(codes, wanted_codes)
    torch.testing.assert_close(prior, wanted_prior)
    torch.testing.assert_close(gradient, wanted_gradient)


@pytest.mark.parametrize("name", TRAINED)
def test_training_with_many_codes_is_judged_with_an_optimizer(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepped = []
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: stepped.append(self))
    monkeypatch.setattr("benchmarks.quantizers.extra_memory", lambda run, device: run() or 3 * 2**20)
    bar = memory_bar(name, 8, 16, 4, "cpu")
    assert bar is not None
    assert bar.measured == 3
    has_parameters = any(True for _ in CONTESTANTS[name].make(8, 4).parameters())
    assert len(stepped) == has_parameters


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


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert usable_device("cpu") == "cpu"
    with pytest.raises(argparse.ArgumentTypeError, match="no GPU on this machine"):
        usable_device("cuda")
