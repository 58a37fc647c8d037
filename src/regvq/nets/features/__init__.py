"""Frozen nets whose features a loss or a metric compares."""

from regvq.nets.features.base import FeatureNet, SequentialFeatures
from regvq.nets.features.offline import OfflineFeatures
from regvq.nets.features.pretrained import SqueezeNetFeatures, VGG16Features, VGG19Features

__all__ = [
    "FeatureNet",
    "OfflineFeatures",
    "SequentialFeatures",
    "SqueezeNetFeatures",
    "VGG16Features",
    "VGG19Features",
]
