"""What scenes are made of: classes, labels, attribute values and the colours that tell them apart."""

from dataclasses import dataclass
from typing import Literal

Rgb = tuple[int, int, int]

Time = Literal["day", "dusk", "night"]
Ground = Literal["grass", "sand", "snow"]
Side = Literal["left", "right"]
Size = Literal["small", "large"]
Wall = Literal["red", "blue", "purple"]
Roof = Literal["black", "grey", "turquoise"]
Crown = Literal["green", "orange", "pink"]

TIMES: tuple[Time, ...] = ("day", "dusk", "night")
GROUNDS: tuple[Ground, ...] = ("grass", "sand", "snow")
SIDES: tuple[Side, ...] = ("left", "right")
SIZES: tuple[Size, ...] = ("small", "large")
WALLS: tuple[Wall, ...] = ("red", "blue", "purple")
ROOFS: tuple[Roof, ...] = ("black", "grey", "turquoise")
CROWNS: tuple[Crown, ...] = ("green", "orange", "pink")

# A scene's class says what its ground is and whether somebody lives there.
SCENE_CLASSES = ("meadow", "farm", "desert", "outpost", "snowfield", "cabin")


@dataclass(frozen=True)
class Label:
    """One value of the label map: its name, and the colour it is shown in."""

    name: str
    colour: Rgb


LABELS = (
    Label("sky", (128, 192, 255)),
    Label("cloud", (255, 255, 255)),
    Label("sun", (255, 224, 32)),
    Label("moon", (240, 240, 192)),
    Label("mountain", (128, 112, 96)),
    Label("ground", (96, 192, 64)),
    Label("lake", (0, 128, 160)),
    Label("wall", (208, 32, 48)),
    Label("roof", (64, 64, 72)),
    Label("tree", (16, 96, 32)),
)
LABEL_IDS = {label.name: number for number, label in enumerate(LABELS)}


@dataclass(frozen=True)
class Material:
    """A colour that stands for one value of one label, e.g. the grass of the ground."""

    label: str
    value: str
    colour: Rgb

    @property
    def label_id(self) -> int:
        """The label map's value."""
        return LABEL_IDS[self.label]


# The colours of one picture lie at least 50 (of 255, Euclidean) apart, so that they stay apart when a
# tokenizer blurs them; what differs by less never lies side by side.
SKIES = {
    "day": Material("sky", "day", (130, 190, 245)),
    "dusk": Material("sky", "dusk", (165, 125, 190)),
    "night": Material("sky", "night", (25, 35, 100)),
}
CLOUDS = {
    "day": Material("cloud", "day", (252, 252, 255)),
    "dusk": Material("cloud", "dusk", (238, 200, 226)),
    "night": Material("cloud", "night", (98, 110, 158)),
}
BODIES = {
    "day": Material("sun", "day", (255, 230, 50)),
    "dusk": Material("sun", "dusk", (255, 230, 50)),
    "night": Material("moon", "night", (245, 240, 205)),
}
GROUND = {
    "grass": Material("ground", "grass", (125, 195, 75)),
    "sand": Material("ground", "sand", (220, 190, 120)),
    "snow": Material("ground", "snow", (232, 240, 248)),
}
WALL = {
    "red": Material("wall", "red", (205, 35, 45)),
    "blue": Material("wall", "blue", (40, 60, 215)),
    "purple": Material("wall", "purple", (115, 30, 150)),
}
ROOF = {
    "black": Material("roof", "black", (20, 20, 22)),
    "grey": Material("roof", "grey", (160, 162, 160)),
    "turquoise": Material("roof", "turquoise", (60, 220, 195)),
}
CROWN = {
    "green": Material("tree", "green", (20, 100, 40)),
    "orange": Material("tree", "orange", (230, 110, 20)),
    "pink": Material("tree", "pink", (248, 115, 180)),
}
TRUNK = Material("tree", "trunk", (100, 60, 30))
MOUNTAIN = Material("mountain", "mountain", (125, 105, 95))
LAKE = Material("lake", "lake", (15, 120, 150))


@dataclass(frozen=True)
class Combination:
    """A colour of an object at a place, e.g. a purple house on the left."""

    colour: str
    thing: Literal["house", "roof", "tree"]
    side: Side


# Training and validation never show these; the split "heldout" shows at least one in every scene. Each
# colour and each place is seen in training, only not together. Of each thing one colour of three is held
# out: where it was two, nothing told a generator that colour and side have nothing to do with each other
# (docs/results.md).
HELD_OUT = (
    Combination("purple", "house", "left"),
    Combination("turquoise", "roof", "right"),
    Combination("pink", "tree", "right"),
)
