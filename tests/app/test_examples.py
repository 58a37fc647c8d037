"""Images and label maps to begin with."""

from regvq.app.examples import PHOTOGRAPHS, SCENES, example_images, example_labels, label_colours
from regvq.data.scenes import LABELS, Scenes

NAMES = tuple(label.name for label in LABELS)


def test_scenes_have_the_side_and_photographs_are_there() -> None:
    images = example_images(48)
    assert len(images) == len(SCENES) + len(PHOTOGRAPHS)
    assert {tuple(image.shape) for image in images[: len(SCENES)]} == {(3, 48, 48)}
    assert all(image.min() >= -1 and image.max() <= 1 for image in images)


def test_the_labels_of_scenes_begin_with_a_scene() -> None:
    assert example_labels(NAMES, 48, 48) == Scenes("val", 48)[SCENES[0]]["label_map"].flatten().tolist()
    assert example_labels(("cat", "dog"), 2, 3) == [0] * 6
    assert example_labels(NAMES, 4, 4) == [0] * 16, "too coarse for a scene"


def test_the_labels_of_scenes_have_their_colours() -> None:
    assert label_colours(("sky", "lake")) == ["#80c0ff", "#0080a0"]
    assert label_colours(("sky", "dog")) is None
