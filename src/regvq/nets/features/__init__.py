"""Frozen nets whose features a loss or a metric compares."""

from regvq.nets.features.base import FeatureNet, SequentialFeatures
from regvq.nets.features.dinov2 import DINOv2Features
from regvq.nets.features.enlarged import EnlargedFeatures
from regvq.nets.features.inception import InceptionFeatures
from regvq.nets.features.last_layer import LastLayer
from regvq.nets.features.offline import OfflineFeatures
from regvq.nets.features.pretrained import SqueezeNetFeatures, VGG16Features, VGG19Features

__all__ = [
    "DINOv2Features",
    "EnlargedFeatures",
    "FeatureNet",
    "InceptionFeatures",
    "LastLayer",
    "OfflineFeatures",
    "SequentialFeatures",
    "SqueezeNetFeatures",
    "VGG16Features",
    "VGG19Features",
]
