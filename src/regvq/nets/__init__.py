"""Networks around the quantizer: thin adapters over diffusers' blocks, frozen nets, a discriminator."""

from regvq.nets.backbone import Backbone, IdentityBackbone, VQGANBackbone
from regvq.nets.discriminator import PatchDiscriminator
from regvq.nets.features import (
    FeatureNet,
    OfflineFeatures,
    SqueezeNetFeatures,
    VGG16Features,
    VGG19Features,
)

__all__ = [
    "Backbone",
    "FeatureNet",
    "IdentityBackbone",
    "OfflineFeatures",
    "PatchDiscriminator",
    "SqueezeNetFeatures",
    "VGG16Features",
    "VGG19Features",
    "VQGANBackbone",
]
