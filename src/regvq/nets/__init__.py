"""Networks: thin adapters over diffusers' and transformers' blocks, frozen nets, a discriminator."""

from regvq.nets.attentive_backbone import AttentiveVQGANBackbone
from regvq.nets.backbone import Backbone, BackboneStage, IdentityBackbone, VQGANBackbone
from regvq.nets.compiled_steps import CompiledSteps
from regvq.nets.discriminator import PatchDiscriminator
from regvq.nets.features import (
    DINOv2Features,
    EnlargedFeatures,
    FeatureNet,
    InceptionFeatures,
    LastLayer,
    OfflineFeatures,
    SqueezeNetFeatures,
    VGG16Features,
    VGG19Features,
)
from regvq.nets.static_cache import static_cache
from regvq.nets.transformer import (
    TransformerBlock,
    TransformerSize,
    bidirectional_transformer,
    causal_transformer,
    hidden_states,
)

__all__ = [
    "AttentiveVQGANBackbone",
    "Backbone",
    "BackboneStage",
    "CompiledSteps",
    "DINOv2Features",
    "EnlargedFeatures",
    "FeatureNet",
    "IdentityBackbone",
    "InceptionFeatures",
    "LastLayer",
    "OfflineFeatures",
    "PatchDiscriminator",
    "SqueezeNetFeatures",
    "TransformerBlock",
    "TransformerSize",
    "VGG16Features",
    "VGG19Features",
    "VQGANBackbone",
    "bidirectional_transformer",
    "causal_transformer",
    "hidden_states",
    "static_cache",
]
