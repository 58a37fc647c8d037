"""Reads class, label map and attributes back from a picture of a scene, by colour and place alone."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regvq.data.scenes.vocabulary import (
    BODIES,
    CLOUDS,
    CROWN,
    GROUND,
    GROUNDS,
    LAKE,
    MOUNTAIN,
    ROOF,
    SCENE_CLASSES,
    SKIES,
    TRUNK,
    WALL,
    Material,
)


@dataclass(frozen=True)
class SceneReading:
    """What the oracle saw.

    Attributes:
        label_map: int64 ``[S, S]``, values of ``LABELS``.
        class_label: number in ``SCENE_CLASSES``.
        attributes: by name, as in ``Scene.attributes``.
    """

    label_map: Tensor
    class_label: int
    attributes: dict[str, str]

    @property
    def class_name(self) -> str:
        """The name of the class."""
        return SCENE_CLASSES[self.class_label]


# Rows, as shares of the height, in which a thing can lie, with some room beyond where it is drawn.
_ROWS = {
    "sky": (0.0, 0.75),
    "cloud": (0.0, 0.3),
    "sun": (0.0, 0.32),
    "moon": (0.0, 0.32),
    "mountain": (0.3, 0.72),
    "ground": (0.5, 1.0),
    "lake": (0.8, 1.0),
    "wall": (0.35, 0.86),
    "roof": (0.2, 0.78),
    "tree": (0.2, 0.86),
}

# The least number of pixels, as a share of the picture, that makes a thing present: half of the smallest
# that is ever drawn, or what its occluders leave of it.
_LEAST = {
    "cloud": 0.008,
    "sun": 0.007,
    "moon": 0.007,
    "mountain": 0.012,
    "lake": 0.010,
    "wall": 0.012,
    "roof": 0.005,
    "tree": 0.008,
}
_LARGE_WALL = 0.042  # share of the picture; small ones reach 0.029, large ones begin at 0.061
_LARGE_CROWN = 0.034  # likewise: 0.024 and 0.047

Distances = NDArray[np.float32]


class SceneOracle:
    """Looks at pictures of scenes without any learned net.

    First it settles what colours the picture has, by counting: one sky, one ground, at most one colour of
    wall, roof and crown; things of too few pixels are absent. Then each pixel takes the nearest of those
    colours that is also seen clearly close by, so that the mixed colours of edges, blur and noise fall to
    one of the two things that meet there.

    Args:
        clear: largest distance (of 255, Euclidean) between a pixel and a colour that it clearly has.
    """

    def __init__(self, clear: float = 45.0) -> None:
        self.clear = clear

    def read_batch(self, images: Tensor) -> list[SceneReading]:
        """Reads images ``[B, 3, S, S]`` in [-1, 1]."""
        return [self.read(image) for image in images]

    def read(self, image: Tensor) -> SceneReading:
        """Reads one image ``[3, S, S]`` in [-1, 1]."""
        colours = ((image.detach().float().cpu().clamp(-1, 1).permute(1, 2, 0) + 1) * 127.5).numpy()
        materials = self._materials(colours)
        assigned = self._assign(colours, materials)
        return _reading(assigned, materials)

    def _materials(self, colours: Distances) -> list[Material]:
        """The materials that the picture holds."""
        size = colours.shape[0]
        # Sky and ground first: they tell the time, and with it the colours of all that is in the sky.
        time = _most(_distances(colours[: size // 3], list(SKIES.values())), list(SKIES))
        ground = _most(_distances(colours[size * 7 // 10 :], list(GROUND.values())), list(GROUND))
        groups = [
            [SKIES[time]],
            [GROUND[ground]],
            [CLOUDS[time]],
            [BODIES[time]],
            [MOUNTAIN],
            [LAKE],
            list(WALL.values()),
            list(ROOF.values()),
            list(CROWN.values()),
        ]
        candidates = [material for group in groups for material in group] + [TRUNK]
        distances = _restricted(_distances(colours, candidates), candidates)
        nearest = distances.argmin(0)
        clear = distances.min(0) < self.clear
        counts = np.bincount(nearest[clear], minlength=len(candidates)) / clear.size
        share = dict(zip(candidates, counts, strict=True))
        found = []
        for group in groups:
            best = max(group, key=share.__getitem__)
            if share[best] >= _LEAST.get(best.label, 0.0):
                found.append(best)
        labels = {material.label for material in found}
        if "wall" not in labels:
            found = [material for material in found if material.label != "roof"]
        if "tree" in labels:
            found.append(TRUNK)
        return found

    def _assign(self, colours: Distances, materials: list[Material]) -> NDArray[np.int64]:
        """The number of each pixel's material, ``[S, S]``."""
        distances = _restricted(_distances(colours, materials), materials)
        nearest = distances.argmin(0)
        clear = distances.min(0) < self.clear
        seen = np.stack([(nearest == number) & clear for number in range(len(materials))])
        near = _grown(_supported(seen))
        local = np.where(near, distances, np.inf)
        assigned: NDArray[np.int64] = np.where(near.any(0), local.argmin(0), nearest)
        return assigned


def _distances(colours: Distances, materials: list[Material]) -> Distances:
    """Euclidean distances (of 255) of each pixel to each material's colour: ``[M, H, W]``."""
    anchors = np.asarray([material.colour for material in materials], np.float32)
    distances: Distances = np.sqrt(((colours[None] - anchors[:, None, None]) ** 2).sum(-1))
    return distances


def _most(distances: Distances, names: list[str]) -> str:
    """The name that the most pixels are nearest to."""
    return names[int(np.bincount(distances.argmin(0).ravel(), minlength=len(names)).argmax())]


def _restricted(distances: Distances, materials: list[Material]) -> Distances:
    """Distances that are infinite in the rows where a material cannot lie."""
    rows = (np.arange(distances.shape[1]) + 0.5) / distances.shape[1]
    result = distances.copy()
    for number, material in enumerate(materials):
        low, high = _ROWS[material.label]
        result[number, (rows < low) | (rows > high)] = np.inf
    return result


def _supported(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of ``[M, H, W]`` masks that are set with at least three others of their 3×3 square."""
    return masks & (_sum_of_squares(masks) >= 4)


def _grown(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Masks grown by one pixel in all eight directions."""
    return _sum_of_squares(masks) > 0


def _sum_of_squares(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The number of set pixels in each 3×3 square."""
    padded = np.pad(masks.astype(np.int64), ((0, 0), (1, 1), (1, 1)))
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    squares: NDArray[np.int64] = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    return squares


def _reading(assigned: NDArray[np.int64], materials: list[Material]) -> SceneReading:
    by_label: dict[str, Material] = {}
    for material in materials:
        by_label.setdefault(material.label, material)  # the crown stands before the trunk
    masks = {label: assigned == materials.index(material) for label, material in by_label.items()}
    house, tree = masks.get("wall"), masks.get("tree")
    body = masks.get("sun", masks.get("moon"))
    ground = by_label["ground"].value
    attributes = {
        "time": by_label["sky"].value,
        "ground": ground,
        "body": _side(body),
        "cloud": _some("cloud" in by_label),
        "mountains": _some("mountain" in by_label),
        "lake": _some("lake" in by_label),
        "house": _side(house),
        "house_size": _size(house, _LARGE_WALL),
        "wall": by_label["wall"].value if "wall" in by_label else "none",
        "roof": by_label["roof"].value if "roof" in by_label else "none",
        "tree": _side(tree),
        "tree_size": _size(tree, _LARGE_CROWN),
        "crown": by_label["tree"].value if "tree" in by_label else "none",
    }
    label_ids = np.asarray([material.label_id for material in materials], np.int64)
    return SceneReading(
        label_map=torch.from_numpy(label_ids[assigned]),
        class_label=2 * list[str](GROUNDS).index(ground) + (house is not None),
        attributes=attributes,
    )


def _some(present: bool) -> str:
    return "some" if present else "none"


def _side(mask: NDArray[np.bool_] | None) -> str:
    if mask is None:
        return "none"
    columns = np.nonzero(mask)[1]
    if columns.size == 0:
        return "none"
    return "left" if columns.mean() + 0.5 < mask.shape[1] / 2 else "right"


def _size(mask: NDArray[np.bool_] | None, large: float) -> str:
    if mask is None:
        return "none"
    return "large" if mask.mean() > large else "small"
