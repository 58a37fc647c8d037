"""Laws of every condition in the package."""

from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

import regvq.conditions
from regvq.conditions import NULL, Caption, ClassLabel, Condition, LabelMap, NoCondition
from regvq.configurable import build, describe
from regvq.errors import RegvqError
from tests.support.discovery import concrete_subclasses

GRID = (4, 4)


class Toy(Dataset[dict[str, Any]]):
    """Eight samples with everything that a condition may read."""

    class_names = ("day", "night")
    label_names = ("sky", "ground", "tree")

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        return {
            "image": torch.zeros(3, 16, 16),
            "class_label": index % 2,
            "label_map": torch.randint(3, (16, 16), generator=generator),
            "caption": ["a tree by day", "the ground at night"][index % 2],
        }

    def batch(self, *indices: int) -> dict[str, Any]:
        return torch.utils.data.default_collate([self[index] for index in indices])


WAYS: dict[str, dict[str, Any]] = {"LabelMap": {"cells_per_token": 2}}
KINDS = concrete_subclasses(regvq.conditions, Condition)


def prepared(kind: type[Condition]) -> Condition:
    condition = kind(**WAYS.get(kind.__name__, {}))
    condition.prepare(Toy(), GRID)
    return condition


def test_all_are_found() -> None:
    assert {Caption, ClassLabel, LabelMap, NoCondition} <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_ids_have_the_length_and_lie_in_the_vocabulary(kind: type[Condition]) -> None:
    condition = prepared(kind)
    ids = condition.of(Toy().batch(0, 1, 2))
    assert ids.shape == (3, condition.length)
    assert ids.dtype == torch.int64
    if condition.length:
        assert ids.min() >= 0 and ids.max() < condition.size  # noqa: PT018


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_is_never_wholly_null(kind: type[Condition]) -> None:
    condition = prepared(kind)
    assert torch.equal(condition.null(2), torch.full((2, condition.length), NULL))
    if condition.length:
        assert (condition.of(Toy().batch(0, 1)) != NULL).any(1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_alone_has_the_ids_that_it_has_in_a_batch(kind: type[Condition]) -> None:
    condition = prepared(kind)
    assert torch.equal(condition.of(Toy().batch(1)), condition.of(Toy().batch(0, 1))[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_down_needs_no_data_again(kind: type[Condition]) -> None:
    condition = prepared(kind)
    again = build(describe(condition))
    assert (again.size, again.length) == (condition.size, condition.length)
    assert torch.equal(again.of(Toy().batch(0, 1)), condition.of(Toy().batch(0, 1)))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.key is not None])
def test_data_without_the_values_is_refused_by_name(kind: type[Condition]) -> None:
    with pytest.raises(RegvqError, match=f"{kind.__name__} reads '{kind.key}'"):
        prepared(kind).of({"image": torch.zeros(1, 3, 16, 16)})
