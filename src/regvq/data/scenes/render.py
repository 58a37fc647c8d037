"""From a scene to its picture and its label map: distance fields, smoothed edges, a little texture."""

import functools

import numpy as np
from numpy.typing import NDArray

from regvq.data.scenes.scene import House, Scene, Tree
from regvq.data.scenes.vocabulary import (
    BODIES,
    CLOUDS,
    CROWN,
    GROUND,
    LAKE,
    MOUNTAIN,
    ROOF,
    SKIES,
    TRUNK,
    WALL,
    Material,
)
from regvq.errors import RegvqError

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

SMALLEST = 16  # pixels: below, a trunk is thinner than half a pixel
_GRAIN = 2.5  # of 255, standard deviation
_SWELL = 5.0  # of 255, amplitude of the slow light and dark


def render(scene: Scene, size: int = 64) -> tuple[Floats, Integers]:
    """Draws a scene.

    Each shape is a signed distance field; a pixel takes as much of its colour as the edge leaves, and its
    label where that is more than half.

    Args:
        scene: what to draw.
        size: side of the picture in pixels, at least ``SMALLEST``.

    Returns:
        The picture, float32 ``[size, size, 3]`` in [0, 255], and the label map, int64 ``[size, size]``.

    Raises:
        RegvqError: the size is too small for the objects to be seen.
    """
    if size < SMALLEST:
        raise RegvqError(
            f"scenes of {size} pixels do not show their objects: choose a size of {SMALLEST} or more"
        )
    canvas = _Canvas(size, SKIES[scene.time])
    x, y = canvas.x, canvas.y
    canvas.shade(18 * (y - 0.3))
    if scene.body:
        body = scene.body
        canvas.paint(_disc(x, y, body.x, body.y, body.radius), BODIES[scene.time])
    if scene.cloud:
        cloud = scene.cloud
        puffs = [
            _disc(x, y, cloud.x + shift * cloud.radius, cloud.y + drop * cloud.radius, cloud.radius * part)
            for shift, drop, part in ((-1.3, 0.25, 0.85), (0.0, 0.0, 1.1), (1.3, 0.25, 0.85))
        ]
        canvas.paint(functools.reduce(np.minimum, puffs), CLOUDS[scene.time])
    if scene.mountains:
        slopes = [
            _peak(x, y, peak.x, scene.horizon - peak.height, peak.height / peak.half_width)
            for peak in scene.mountains
        ]
        canvas.paint(functools.reduce(np.minimum, slopes), MOUNTAIN)
    canvas.paint(scene.horizon - y, GROUND[scene.ground])
    if scene.lake:
        lake = scene.lake
        canvas.paint(_ellipse(x, y, lake.x, lake.y, lake.half_width, lake.half_height), LAKE)
    if scene.house:
        _paint_house(canvas, scene.house)
    if scene.tree:
        _paint_tree(canvas, scene.tree)
    return canvas.finish(np.random.default_rng(scene.texture))


class _Canvas:
    """A picture and its label map while they are painted, back to front."""

    def __init__(self, size: int, background: Material) -> None:
        self.size = size
        self.x, self.y = _coordinates(size)
        self.colours = np.empty((size, size, 3), np.float32)
        self.colours[:] = background.colour
        self.labels = np.full((size, size), background.label_id, np.int64)

    def shade(self, light: Floats) -> None:
        """Adds light to all that is painted so far; of 255, broadcast over ``[size, size]``."""
        self.colours += np.broadcast_to(light, (self.size, self.size))[:, :, None]

    def paint(self, distance: Floats, material: Material) -> None:
        """Paints where ``distance`` (negative inside, in shares of the side) is below zero."""
        cover = np.clip(0.5 - distance * self.size, 0, 1)
        cover = np.broadcast_to(cover, (self.size, self.size))
        colour = np.asarray(material.colour, np.float32)
        self.colours += cover[:, :, None] * (colour - self.colours)
        self.labels[cover > 0.5] = material.label_id

    def finish(self, rng: np.random.Generator) -> tuple[Floats, Integers]:
        """Lays grain and a slow swell of light over everything."""
        phase, tilt, turn = rng.random(3) * 2 * np.pi
        swell = np.sin(5 * (self.x * np.cos(turn) + self.y * np.sin(turn)) + phase)
        swell = swell + 0.5 * np.sin(13 * (self.x * np.sin(tilt) - self.y * np.cos(tilt)) + tilt)
        self.shade(np.float32(_SWELL / 1.5) * swell.astype(np.float32))
        grain = rng.standard_normal((self.size, self.size, 3), dtype=np.float32)
        self.colours += np.float32(_GRAIN) * grain
        return np.clip(self.colours, 0, 255), self.labels


@functools.lru_cache(maxsize=8)
def _coordinates(size: int) -> tuple[Floats, Floats]:
    """Pixel middles as shares of the side: a row ``[1, size]`` and a column ``[size, 1]``."""
    middles = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return middles[None, :], middles[:, None]


def _paint_house(canvas: _Canvas, house: House) -> None:
    eaves = house.base - house.wall_height
    half = house.width / 2
    across = np.abs(canvas.x - house.x)
    wall = np.maximum(across - half, np.maximum(eaves - canvas.y, canvas.y - house.base))
    canvas.paint(wall, WALL[house.wall])
    # The roof juts out a little, as roofs do, and hides the top edge of the wall.
    slope = house.roof_height / (half * 1.15)
    gable = _peak(canvas.x, canvas.y, house.x, eaves - house.roof_height, slope)
    canvas.paint(np.maximum(gable, canvas.y - eaves), ROOF[house.roof])


def _paint_tree(canvas: _Canvas, tree: Tree) -> None:
    crown_y = tree.base - tree.trunk - tree.radius
    half = 0.022 if tree.size == "small" else 0.03
    trunk = np.maximum(
        np.abs(canvas.x - tree.x) - half, np.maximum(crown_y - canvas.y, canvas.y - tree.base)
    )
    canvas.paint(trunk, TRUNK)
    canvas.paint(_disc(canvas.x, canvas.y, tree.x, crown_y, tree.radius), CROWN[tree.crown])


def _disc(x: Floats, y: Floats, middle_x: float, middle_y: float, radius: float) -> Floats:
    distance: Floats = np.hypot(x - middle_x, y - middle_y) - np.float32(radius)
    return distance


def _ellipse(
    x: Floats, y: Floats, middle_x: float, middle_y: float, half_width: float, half_height: float
) -> Floats:
    """Near its edge the distance to an ellipse, to first order: value over the length of its gradient."""
    across, down = (x - middle_x) / half_width, (y - middle_y) / half_height
    radius = np.hypot(across, down)
    gradient = np.hypot(across / half_width, down / half_height) / np.maximum(radius, 1e-6)
    distance: Floats = (radius - 1) / np.maximum(gradient, 1e-6)
    return distance


def _peak(x: Floats, y: Floats, middle: float, top: float, slope: float) -> Floats:
    """Distance to a wedge that opens downwards from ``(middle, top)``."""
    distance: Floats = (slope * np.abs(x - middle) - (y - top)) / np.float32(np.hypot(slope, 1.0))
    return distance
