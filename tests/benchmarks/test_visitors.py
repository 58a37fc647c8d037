"""The benchmark of many visitors: they are served for real, and the figures are what they say."""

import asyncio

import pytest

from benchmarks.visitors import Record, crowd
from regvq.app.limits import Limits
from regvq.conditions import NoCondition
from regvq.generators import DiscreteDiffusionGenerator
from tests.support.site import served
from tests.support.tiny import tiny_generator, tiny_tokenizer


def test_a_small_crowd_is_served() -> None:
    tokenizer = tiny_tokenizer()
    generator = tiny_generator(tokenizer, NoCondition(), DiscreteDiffusionGenerator)
    with served(tokenizer, generator, Limits()) as site:
        record = asyncio.run(crowd(site.address, 2, 2.0, lambda: 1.0))
    assert set(record.statuses) == {200}
    assert set(record.seconds) == {"reconstruct", "paint", "sample"}
    assert not record.sentences
    assert record.left >= 1, "the first visitor leaves"
    assert record.slowest() == max(max(times) for times in record.seconds.values())


def test_growth_is_the_last_third_over_the_first() -> None:
    record = Record(resident=[(0, 80), (1, 100), (3, 500), (4, 120), (6, 110)])
    assert record.growth() == pytest.approx(1.2)
