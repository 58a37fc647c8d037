"""Small procedural scenes with their class, label map and caption, and an oracle that reads them back."""

from regvq.data.scenes.dataset import Scenes, ScenesData
from regvq.data.scenes.oracle import SceneOracle, SceneReading
from regvq.data.scenes.render import render
from regvq.data.scenes.scene import Scene, caption, sample_scene
from regvq.data.scenes.vocabulary import HELD_OUT, LABELS, SCENE_CLASSES

__all__ = [
    "HELD_OUT",
    "LABELS",
    "SCENE_CLASSES",
    "Scene",
    "SceneOracle",
    "SceneReading",
    "Scenes",
    "ScenesData",
    "caption",
    "render",
    "sample_scene",
]
