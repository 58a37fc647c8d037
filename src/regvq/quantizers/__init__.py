"""Quantizers and the parts they are put together from."""

from regvq.quantizers.base import Quantizer
from regvq.quantizers.changed_share import ChangedShare
from regvq.quantizers.codebooks import Codebook, EMACodebook, GradientCodebook
from regvq.quantizers.composed import ComposedQuantizer
from regvq.quantizers.gumbel import GumbelQuantizer
from regvq.quantizers.heads import CosineHead, EuclideanHead, Head, LinearHead
from regvq.quantizers.prior_bias import PriorBias
from regvq.quantizers.regvq import RegularizedVectorQuantizer
from regvq.quantizers.straight_through import (
    BalancedStraightThrough,
    IdentityStraightThrough,
    RotationStraightThrough,
    SoftmaxStraightThrough,
    StraightThrough,
)
from regvq.quantizers.usage_watch import UsageWatch
from regvq.quantizers.vq import EMAVectorQuantizer, VectorQuantizer

__all__ = [
    "BalancedStraightThrough",
    "ChangedShare",
    "Codebook",
    "ComposedQuantizer",
    "CosineHead",
    "EMACodebook",
    "EMAVectorQuantizer",
    "EuclideanHead",
    "GradientCodebook",
    "GumbelQuantizer",
    "Head",
    "IdentityStraightThrough",
    "LinearHead",
    "PriorBias",
    "Quantizer",
    "RegularizedVectorQuantizer",
    "RotationStraightThrough",
    "SoftmaxStraightThrough",
    "StraightThrough",
    "UsageWatch",
    "VectorQuantizer",
]
