"""Arithmetic that several losses share."""

from torch import Tensor, nn


def unit_norm(features: Tensor) -> Tensor:
    """Features ``[B, C, *S]`` scaled to norm 1 at every location, float32.

    Features shorter than 1e-4 stay shorter than 1: what is nearly nothing has no direction, and the
    gradient of pretending otherwise grows without bound.
    """
    return nn.functional.normalize(features.float(), dim=1, eps=1e-4)
