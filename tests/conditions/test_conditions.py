"""What is particular to each condition, worked out by hand."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from regvq.conditions import Caption, ClassLabel, LabelMap, NoCondition
from regvq.errors import RegvqError
from tests.contracts.test_conditions import Toy


def test_a_cell_has_the_label_of_most_of_its_pixels_and_the_lowest_of_several() -> None:
    condition = LabelMap(1, ["a", "b", "c"], (1, 2))
    label_map = torch.tensor([[2, 2, 1, 1], [2, 0, 0, 0]])
    assert condition.ids(label_map[None]).tolist() == [[3, 1]]
    assert condition.ids(torch.tensor([[[2, 1, 1, 2], [1, 2, 1, 2]]])).tolist() == [[2, 2]]


def learned(*maps: list[list[int]], vocabulary: int = 4096) -> LabelMap:
    """A condition of 1 x 2 tokens and 2 x 2 cells for each that has learned from ``maps``."""
    data = LabelMaps([torch.tensor(label_map) for label_map in maps])
    condition = LabelMap(2, ["a", "b", "c"], vocabulary=vocabulary)
    condition.prepare(data, (1, 2))
    return condition


class LabelMaps(Dataset[dict[str, Any]]):
    def __init__(self, maps: list[torch.Tensor]) -> None:
        self.maps = maps

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"label_map": self.maps[index]}


def test_finer_cells_are_named_together_labels_first_and_then_frequent_patterns() -> None:
    # Tokens: 00/12 twice, 01/01 once, 22/22 once.
    condition = learned([[0, 0, 0, 1], [1, 2, 0, 1]], [[2, 2, 0, 0], [2, 2, 1, 2]])
    assert (condition.size, condition.length) == (1 + 3 + 2, 2)
    assert condition.ids(torch.tensor([[[0, 0, 2, 2], [1, 2, 2, 2]]])).tolist() == [[1 + 3, 1 + 2]]
    assert condition.ids(torch.tensor([[[0, 1, 1, 1], [0, 1, 1, 1]]])).tolist() == [[1 + 4, 1 + 1]]


def test_a_pattern_that_was_not_learned_takes_the_one_that_it_shares_the_most_cells_with() -> None:
    condition = learned([[0, 0, 0, 1], [1, 2, 0, 1]])
    # 01/11 shares three cells with label 1 and with 01/01: the lower id. 20/12 shares three with 00/12.
    assert condition.ids(torch.tensor([[[0, 1, 2, 0], [1, 1, 1, 2]]])).tolist() == [[1 + 1, 1 + 3]]


def test_the_rarest_patterns_are_left_out_where_there_are_too_many() -> None:
    with pytest.warns(UserWarning, match="the 1 most frequent label patterns cover 75% of the tokens"):
        condition = learned([[0, 0, 0, 1], [1, 2, 0, 1]], [[2, 2, 0, 0], [2, 2, 1, 2]], vocabulary=1)
    assert condition.init_args["patterns"] == [[0, 0, 1, 2]]
    assert condition.size == 1 + 3 + 1


def test_finer_cells_without_patterns_say_what_to_do() -> None:
    with pytest.raises(RegvqError, match="learned no patterns yet: call prepare"):
        LabelMap(2, ["a", "b"], (1, 2)).ids(torch.zeros(1, 2, 4))
    with pytest.raises(RegvqError, match="must name the labels of 4 cells"):
        LabelMap(2, ["a", "b"], (1, 2), patterns=[[0, 1]])


@pytest.mark.parametrize(
    ("label_map", "message"),
    [
        (torch.zeros(1, 6, 8, dtype=torch.int64), "6 x 8 does not divide into 4 x 4 cells"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int64), "3 x 8 x 8 does not divide"),
        (torch.full((1, 8, 8), 2), r"unknown ids \(2\): known are 0 to 1"),
        (torch.full((1, 8, 8), -1), r"unknown ids \(-1\)"),
    ],
)
def test_a_label_map_that_does_not_fit_says_why(label_map: torch.Tensor, message: str) -> None:
    with pytest.raises(RegvqError, match=message):
        LabelMap(1, ["a", "b"], (4, 4)).ids(label_map)


def test_label_maps_are_read_from_grey_and_palette_pictures(tmp_path: Path) -> None:
    numbers = np.arange(16, dtype=np.uint8).reshape(4, 4)
    Image.fromarray(numbers).save(tmp_path / "grey.png")
    palette = Image.fromarray(numbers, "P")
    palette.putpalette(bytes(range(48)))
    palette.save(tmp_path / "palette.png")
    for name in ("grey.png", "palette.png"):
        read = LabelMap(1, ["a"], (4, 4)).read(str(tmp_path / name))
        assert torch.equal(read, torch.from_numpy(numbers).long())
    Image.fromarray(numbers > 5).save(tmp_path / "bit.png")
    read = LabelMap(1, ["a", "b"], (4, 4)).read(str(tmp_path / "bit.png"))
    assert torch.equal(read, torch.from_numpy(numbers > 5).long())


def test_a_coloured_or_unreadable_label_map_is_refused(tmp_path: Path) -> None:
    condition = LabelMap(1, ["a"], (4, 4))
    Image.new("RGB", (4, 4)).save(tmp_path / "rgb.png")
    with pytest.raises(RegvqError, match=r"has colours .*save it as a grey or palette"):
        condition.read(str(tmp_path / "rgb.png"))
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(RegvqError, match="is no PNG: a label map is kept as one"):
        condition.read(str(tmp_path / "text.png"))
    with pytest.raises(RegvqError, match="there is no label map"):
        condition.read(str(tmp_path / "missing.png"))


def test_classes_are_known_by_name_and_by_number() -> None:
    condition = ClassLabel(["cat", "dog"])
    assert condition.read("dog") == condition.read("1") == 1
    assert condition.ids([0, 1]).tolist() == [[1], [2]]
    with pytest.raises(RegvqError, match="no class 'bird': choose one of cat, dog"):
        condition.read("bird")
    with pytest.raises(RegvqError, match="no class 2: labels go from 0 to 1"):
        condition.ids([2])


def test_captions_differ_where_their_words_do_and_not_where_their_case_does() -> None:
    condition = Caption(length=12)
    condition.prepare(Toy(), (4, 4))
    day, shout, night = condition.ids(["a tree by day", "A TREE BY DAY", "a tree by night"])
    assert torch.equal(day, shout)
    assert not torch.equal(day, night)
    # Bytes that training never showed have ids, too.
    assert (condition.ids(["ß → 🌲"]) > 0).sum() > 3


def test_a_caption_that_is_too_long_is_cut_with_a_word_on_where() -> None:
    condition = Caption(length=3)
    condition.prepare(Toy(), (4, 4))
    with pytest.warns(UserWarning, match=r"it was cut after …' ?a tree by', without 'day'"):
        ids = condition.ids(["a tree by day"])
    assert ids.shape == (1, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        condition.ids(["a tree"])


def test_training_warns_of_the_first_caption_that_is_cut_and_of_no_other() -> None:
    condition = Caption(length=3)
    condition.prepare(Toy(), (4, 4))
    with pytest.warns(UserWarning, match="others are cut without a word") as said:
        condition.of({"caption": ["a tree by day", "the ground by day"]})
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        condition.of({"caption": ["a tree at night"]})


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_caption_is_refused(text: str) -> None:
    condition = Caption()
    condition.prepare(Toy(), (4, 4))
    with pytest.raises(RegvqError, match="a caption is empty"):
        condition.ids([text])
    with pytest.raises(RegvqError, match="a caption is empty"):
        condition.read(text)


def test_no_condition_takes_no_text() -> None:
    with pytest.raises(RegvqError, match="takes no condition"):
        NoCondition().read("a tree")
