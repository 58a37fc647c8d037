"""Quantizers and the parts they are put together from."""

from regvq.quantizers.base import Quantizer
from regvq.quantizers.codebooks import Codebook, EMACodebook, GradientCodebook
from regvq.quantizers.composed import ComposedQuantizer
from regvq.quantizers.gumbel import GumbelQuantizer
from regvq.quantizers.heads import CosineHead, EuclideanHead, Head, LinearHead
from regvq.quantizers.regvq import RegularizedVectorQuantizer
from regvq.quantizers.straight_through import (
    IdentityStraightThrough,
    RotationStraightThrough,
    SoftmaxStraightThrough,
    StraightThrough,
)
from regvq.quantizers.vq import EMAVectorQuantizer, VectorQuantizer

__all__ = [
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
    "Quantizer",
    "RegularizedVectorQuantizer",
    "RotationStraightThrough",
    "SoftmaxStraightThrough",
    "StraightThrough",
    "VectorQuantizer",
]
