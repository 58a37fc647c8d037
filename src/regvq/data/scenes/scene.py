"""A scene as a record: what is in it and where, how it is drawn by lot, and what is said of it."""

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from regvq.data.scenes.vocabulary import (
    CROWNS,
    GROUNDS,
    HELD_OUT,
    ROOFS,
    SCENE_CLASSES,
    SIDES,
    SIZES,
    TIMES,
    WALLS,
    Combination,
    Crown,
    Ground,
    Roof,
    Side,
    Size,
    Time,
    Wall,
)
from regvq.errors import RegvqError

Split = Literal["train", "val", "heldout"]
SPLITS: tuple[Split, ...] = ("train", "val", "heldout")


@dataclass(frozen=True)
class House:
    """A house; lengths are shares of the picture's side, ``x`` its middle, ``base`` its lowest row."""

    side: Side
    size: Size
    wall: Wall
    roof: Roof
    x: float
    base: float
    width: float
    wall_height: float
    roof_height: float


@dataclass(frozen=True)
class Tree:
    """A tree with a round crown; lengths as in ``House``."""

    side: Side
    size: Size
    crown: Crown
    x: float
    base: float
    radius: float
    trunk: float


@dataclass(frozen=True)
class SkyBody:
    """The sun, or at night the moon: a disc."""

    side: Side
    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Cloud:
    """Three discs side by side."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Peak:
    """A mountain: a triangle on the horizon."""

    x: float
    height: float
    half_width: float


@dataclass(frozen=True)
class Lake:
    """An ellipse in the foreground."""

    x: float
    y: float
    half_width: float
    half_height: float


@dataclass(frozen=True)
class Scene:
    """All that decides a picture. ``horizon`` is a share of the height; ``texture`` seeds the grain."""

    time: Time
    ground: Ground
    horizon: float
    body: SkyBody | None
    cloud: Cloud | None
    mountains: tuple[Peak, ...]
    lake: Lake | None
    house: House | None
    tree: Tree | None
    texture: int

    @property
    def class_label(self) -> int:
        """The number of the scene's class in ``SCENE_CLASSES``."""
        return 2 * GROUNDS.index(self.ground) + (self.house is not None)

    @property
    def class_name(self) -> str:
        """The name of the scene's class."""
        return SCENE_CLASSES[self.class_label]

    @property
    def attributes(self) -> dict[str, str]:
        """What the caption states, always the same keys; ``"none"`` for what is absent."""
        house, tree = self.house, self.tree
        return {
            "time": self.time,
            "ground": self.ground,
            "body": self.body.side if self.body else "none",
            "cloud": "some" if self.cloud else "none",
            "mountains": "some" if self.mountains else "none",
            "lake": "some" if self.lake else "none",
            "house": house.side if house else "none",
            "house_size": house.size if house else "none",
            "wall": house.wall if house else "none",
            "roof": house.roof if house else "none",
            "tree": tree.side if tree else "none",
            "tree_size": tree.size if tree else "none",
            "crown": tree.crown if tree else "none",
        }

    @property
    def combinations(self) -> set[Combination]:
        """The colours of the objects at their places."""
        found = set()
        if self.house:
            found.add(Combination(self.house.wall, "house", self.house.side))
            found.add(Combination(self.house.roof, "roof", self.house.side))
        if self.tree:
            found.add(Combination(self.tree.crown, "tree", self.tree.side))
        return found


def sample_scene(rng: np.random.Generator, split: Split = "train") -> Scene:
    """Draws a scene; the six classes are equally likely.

    Args:
        rng: all chance is drawn from it.
        split: ``"train"`` and ``"val"`` never show a combination of ``HELD_OUT``; ``"heldout"`` shows at
            least one.

    Raises:
        RegvqError: there is no such split.
    """
    if split not in SPLITS:
        raise RegvqError(
            f"scenes have the splits train, val and heldout, not {split!r}: choose one of them"
        )
    # Rejection keeps all that is not held out exactly as likely as it would be without the rule.
    while True:
        scene = _draw(rng)
        if bool(scene.combinations & set(HELD_OUT)) == (split == "heldout"):
            return scene


def _draw(rng: np.random.Generator) -> Scene:
    horizon = _between(rng, 0.58, 0.66)
    # House and tree stand on opposite sides, and so do cloud and sun: nothing hides anything else.
    house_left, body_left = rng.random() < 0.5, rng.random() < 0.5
    class_label = int(rng.integers(len(SCENE_CLASSES)))
    return Scene(
        time=cast(Time, rng.choice(TIMES).item()),
        ground=GROUNDS[class_label // 2],
        horizon=horizon,
        body=_body(rng, body_left) if rng.random() < 0.8 else None,
        cloud=_cloud(rng, not body_left) if rng.random() < 0.5 else None,
        mountains=_mountains(rng) if rng.random() < 0.4 else (),
        lake=_lake(rng) if rng.random() < 0.35 else None,
        house=_house(rng, house_left, horizon) if class_label % 2 else None,
        tree=_tree(rng, not house_left, horizon) if rng.random() < 0.75 else None,
        texture=int(rng.integers(2**31)),
    )


def _body(rng: np.random.Generator, left: bool) -> SkyBody:
    x = _between(rng, 0.15, 0.35)
    return SkyBody(
        side=SIDES[0] if left else SIDES[1],
        x=x if left else 1 - x,
        y=_between(rng, 0.11, 0.15),
        radius=_between(rng, 0.07, 0.095),
    )


def _cloud(rng: np.random.Generator, left: bool) -> Cloud:
    x = _between(rng, 0.2, 0.32)
    return Cloud(x if left else 1 - x, _between(rng, 0.1, 0.16), _between(rng, 0.05, 0.065))


def _mountains(rng: np.random.Generator) -> tuple[Peak, ...]:
    return tuple(
        Peak(
            x=(number + _between(rng, 0.2, 0.8)) / 3,
            height=_between(rng, 0.12, 0.2),
            half_width=_between(rng, 0.16, 0.26),
        )
        for number in range(3)
    )


def _lake(rng: np.random.Generator) -> Lake:
    return Lake(
        x=_between(rng, 0.35, 0.65),
        y=_between(rng, 0.9, 0.92),
        half_width=_between(rng, 0.18, 0.3),
        half_height=_between(rng, 0.04, 0.055),
    )


def _house(rng: np.random.Generator, left: bool, horizon: float) -> House:
    size = cast(Size, rng.choice(SIZES).item())
    x = _between(rng, 0.22, 0.28)
    scale = _between(rng, 0.9, 1.0) * (1.0 if size == "large" else 0.62)
    return House(
        side=SIDES[0] if left else SIDES[1],
        size=size,
        wall=cast(Wall, rng.choice(WALLS).item()),
        roof=cast(Roof, rng.choice(ROOFS).item()),
        x=x if left else 1 - x,
        base=horizon + _between(rng, 0.06, 0.13),
        width=0.36 * scale,
        wall_height=0.21 * scale,
        roof_height=0.14 * scale,
    )


def _tree(rng: np.random.Generator, left: bool, horizon: float) -> Tree:
    size = cast(Size, rng.choice(SIZES).item())
    x = _between(rng, 0.2, 0.3)
    return Tree(
        side=SIDES[0] if left else SIDES[1],
        size=size,
        crown=cast(Crown, rng.choice(CROWNS).item()),
        x=x if left else 1 - x,
        base=horizon + _between(rng, 0.06, 0.13),
        radius=_between(rng, 0.122, 0.138) if size == "large" else _between(rng, 0.075, 0.088),
        trunk=_between(rng, 0.07, 0.1),
    )


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(rng.random())


def caption(scene: Scene) -> str:
    """One English sentence that states all of ``scene.attributes``."""
    subject = _subject(scene)
    place = f" by a lake on {scene.ground}" if scene.lake else f" on {scene.ground}"
    behind = " in front of mountains" if scene.mountains else ""
    when = {"day": "by day", "dusk": "at dusk", "night": "at night"}[scene.time]
    sentence = f"{subject}{place}{behind} under {_sky(scene)} {when}."
    return sentence[0].upper() + sentence[1:]


def _subject(scene: Scene) -> str:
    house, tree = scene.house, scene.tree
    if house and tree:
        return f"{_house_words(house)} {house.side} of {_tree_words(tree)}"
    if house:
        return f"{_house_words(house)} on the {house.side}"
    if tree:
        return f"{_tree_words(tree)} on the {tree.side}"
    return "an empty place"


def _house_words(house: House) -> str:
    return f"a {house.size} {house.wall} house with a {house.roof} roof"


def _tree_words(tree: Tree) -> str:
    return f"a {tree.size} {tree.crown} tree"


def _sky(scene: Scene) -> str:
    seen = []
    if scene.body:
        seen.append(f"{'a moon' if scene.time == 'night' else 'a yellow sun'} on the {scene.body.side}")
    if scene.cloud:
        seen.append("a cloud")
    return " and ".join(seen) or "a clear sky"
