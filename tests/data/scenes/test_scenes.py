"""Scenes: what is drawn, what is said of it, what is held out, and that it is always the same."""

from collections import Counter

import numpy as np
import pytest
import torch

from regvq.data.scenes import HELD_OUT, LABELS, SCENE_CLASSES, Scenes, ScenesData, caption, sample_scene
from regvq.errors import RegvqError


def test_a_sample_has_its_parts() -> None:
    sample = Scenes("train", size=32)[5]
    assert sample["image"].shape == (3, 32, 32)
    assert sample["image"].dtype == torch.float32
    assert sample["image"].abs().max() <= 1
    assert sample["label_map"].shape == (32, 32)
    assert sample["label_map"].dtype == torch.int64
    assert set(sample["label_map"].unique().tolist()) <= set(range(len(LABELS)))
    assert 0 <= sample["class_label"] < len(SCENE_CLASSES)


def test_a_scene_is_its_index_split_and_seed() -> None:
    first, again = Scenes("train", 32, seed=3), Scenes("train", 32, seed=3)
    assert first.scene(7) == again.scene(7)
    assert torch.equal(first[7]["image"], again[7]["image"])
    assert torch.equal(first[7]["label_map"], again[7]["label_map"])
    for other in (Scenes("train", 32, seed=4)[7], Scenes("val", 32, seed=3)[7], first[8]):
        assert not torch.equal(first[7]["image"], other["image"])


def test_a_later_epoch_shows_other_scenes() -> None:
    dataset = Scenes("train", 32, length=4)
    assert not torch.equal(dataset[1]["image"], dataset[1 + len(dataset)]["image"])


def test_the_attributes_are_those_of_the_scene() -> None:
    dataset = Scenes("val", 32)
    sample, scene = dataset[11], dataset.scene(11)
    assert sample["attributes"] == scene.attributes
    assert sample["class_label"] == scene.class_label
    assert sample["caption"] == caption(scene)


@pytest.mark.parametrize("split", ["train", "val", "heldout"])
def test_what_is_held_out_is_never_trained_on(split: str) -> None:
    dataset = Scenes(split, 16)
    shown = [dataset.scene(index).combinations & set(HELD_OUT) for index in range(1000)]
    if split == "heldout":
        assert all(shown)
        assert set().union(*shown) == set(HELD_OUT)
    else:
        assert not any(shown)


def test_each_held_out_colour_and_place_is_seen_apart() -> None:
    combinations = set().union(*(Scenes("train", 16).scene(i).combinations for i in range(1000)))
    for held in HELD_OUT:
        assert any(one.colour == held.colour and one.thing == held.thing for one in combinations)
        assert any(one.side == held.side and one.thing == held.thing for one in combinations)


def test_two_colours_of_every_thing_stand_on_both_sides() -> None:
    """So that colour and side have nothing to do with each other, but for what is held out."""
    combinations = set().union(*(Scenes("train", 16).scene(i).combinations for i in range(1000)))
    for thing in {held.thing for held in HELD_OUT}:
        sides = Counter(one.colour for one in combinations if one.thing == thing)
        assert sorted(sides.values()) == [1, 2, 2]


def test_classes_are_equally_likely_in_training() -> None:
    counts = np.bincount([Scenes("train", 16).scene(i).class_label for i in range(3000)], minlength=6)
    # Rejecting held-out combinations thins out the classes with a house by the same factor.
    bare, housed = counts[0::2], counts[1::2]
    for group in (bare, housed):
        assert group.max() - group.min() < 5 * np.sqrt(group.mean())
    assert housed.sum() > 0.3 * counts.sum()


def test_a_caption_states_every_attribute() -> None:
    """Two scenes have one caption exactly where they have the same attributes."""
    by_caption: dict[str, dict[str, str]] = {}
    for index in range(3000):
        scene = sample_scene(np.random.default_rng(index), "train")
        assert by_caption.setdefault(caption(scene), scene.attributes) == scene.attributes
    by_attributes = {tuple(one.items()): text for text, one in by_caption.items()}
    assert len(by_attributes) == len(by_caption)


def test_a_caption() -> None:
    texts = {Scenes("val", 16).sample(0, np.random.default_rng(i))["caption"] for i in range(3)}
    for text in texts:
        assert text[0].isupper()
        assert text.endswith(".")
        assert "  " not in text


def test_both_halves_share_their_settings() -> None:
    data = ScenesData(size=16, train_length=10, val_length=5)
    assert (len(data.train(1)), len(data.val())) == (10, 5)
    assert data.train(1)[0]["image"].shape == data.val()[0]["image"].shape == (3, 16, 16)
    assert not torch.equal(data.train(1)[0]["image"], data.train(2)[0]["image"])


def test_wrong_settings_are_named() -> None:
    with pytest.raises(RegvqError, match="train, val and heldout"):
        Scenes("test")
    with pytest.raises(RegvqError, match="size >= 16"):
        Scenes("train", size=8)
    with pytest.raises(RegvqError, match="length >= 1"):
        Scenes("train", length=0)
