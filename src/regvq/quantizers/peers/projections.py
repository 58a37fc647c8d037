"""The linear maps around a small code space, in full precision."""

import torch.nn.functional as F
from torch import Tensor, nn


def projected(map_: nn.Module, vectors: Tensor) -> Tensor:
    """Vectors ``[..., C]`` through a linear map, or as they are where it is the identity."""
    if isinstance(map_, nn.Linear):
        bias = None if map_.bias is None else map_.bias.float()
        return F.linear(vectors, map_.weight.float(), bias)
    return vectors
