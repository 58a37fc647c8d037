"""What is asked of a generator, read from what a page sends."""

from typing import Any

import pytest
import torch

from regvq.app.drawing import LONGEST_CAPTION, Wish, read_condition
from regvq.conditions import Caption, ClassLabel, Condition, LabelMap, NoCondition
from regvq.errors import RegvqError
from regvq.generators import DiscreteDiffusionGenerator, Generator
from regvq.types import SamplingOptions
from tests.contracts.test_conditions import Toy
from tests.support.tiny import GRID, tiny_generator, tiny_tokenizer


def generator(condition: Condition) -> Generator:
    condition.prepare(Toy(), GRID)
    return tiny_generator(tiny_tokenizer(), condition)


def test_a_wish_becomes_options() -> None:
    tokenizer = tiny_tokenizer()
    token_by_token = tiny_generator(tokenizer, NoCondition())
    in_steps = tiny_generator(tokenizer, NoCondition(), DiscreteDiffusionGenerator)
    wish = Wish(3, 0.5, 4, 0.9, 2, 5, True)
    assert wish.options(in_steps) == SamplingOptions(3, 0, 0.5, 4, 0.9, 2.0, "constant", 5, True)
    assert wish.options(token_by_token).steps is None, "it has no steps"
    assert Wish(steps=0).options(in_steps).steps is None, "0 is all"


def test_no_seed_is_another_one_each_time() -> None:
    tiny = tiny_generator(tiny_tokenizer(), NoCondition())
    assert Wish(None).options(tiny).seed != Wish(None).options(tiny).seed


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (Wish(seed=-1), "the seed must be a whole number from 0"),
        (Wish(seed=1.5), "the seed must be a whole number"),
        (Wish(temperature=0), "temperature must be positive"),
        (Wish(temperature=float("nan")), "the temperature must be a number"),
        (Wish(temperature="hot"), "the temperature must be a number"),
        (Wish(top_p=2), r"top_p must be in \(0, 1\]"),
        (Wish(top_k=10**9), "top-k must be a whole number from 0 to 32"),
        (Wish(guidance=None), "the guidance must be a number"),
        (Wish(guidance=-1), "guidance must be at least 0"),
    ],
)
def test_a_wish_that_means_nothing_is_refused(wish: Wish, message: str) -> None:
    with pytest.raises(RegvqError, match=message):
        wish.options(tiny_generator(tiny_tokenizer(), NoCondition()))


def test_conditions_are_read() -> None:
    for condition, value, expected in (
        (ClassLabel(), "night", ClassLabel(("day", "night")).ids([1])),
        (ClassLabel(), "", torch.zeros(1, 1)),
        (Caption(length=8), "", torch.zeros(1, 8)),
        (NoCondition(), "anything", torch.zeros(1, 0)),
    ):
        asked = read_condition(generator(condition), value)
        assert asked.ids.tolist() == expected.tolist()
        assert asked.text == (value if condition.length else "")
        assert not asked.remarks


def test_a_painted_label_map_is_read() -> None:
    made = generator(LabelMap(2))
    assert isinstance(made.condition, LabelMap)
    rows, columns = made.condition.cells
    labels = torch.arange(rows * columns) % len(made.condition.labels)
    asked = read_condition(made, labels.tolist())
    assert torch.equal(asked.ids, made.condition.ids(labels.view(1, rows, columns)))
    with pytest.raises(RegvqError, match="cells"):
        read_condition(made, labels.tolist()[:-1])


def test_a_caption_that_is_cut_is_told_to_the_visitor() -> None:
    text = "a tree by day and the ground at night and a tree again"
    asked = read_condition(generator(Caption(length=8)), text)
    assert len(asked.remarks) == 1
    assert "it was cut after" in asked.remarks[0]
    assert asked.text == text


@pytest.mark.parametrize(
    ("value", "message"),
    [("noon", "there is no class 'noon'"), (7, "is a text"), ("x" * (LONGEST_CAPTION + 1), "shorten it")],
)
def test_what_is_no_condition_is_refused(value: Any, message: str) -> None:
    with pytest.raises(RegvqError, match=message):
        read_condition(generator(ClassLabel()), value)
