"""How the blocks of a transformer attend: torch's fused kernels, but where plain matrices are faster."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.models.llama.modeling_llama import eager_attention_forward

ATTENTION = "regvq"
"""The name under which transformers' configurations know ``attend``."""

_MOST_PLACES = 512
"""Places of a sequence up to which the matrices are faster."""
_MOST_SCORES = 2**25
"""Scores of a layer up to which they are written out: they stay until the backward pass."""


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """The ``sdpa`` of transformers; its ``eager`` where a CPU trains on short sequences in half precision.

    There torch's fused kernel is slower than the matrices, and than itself in float32
    (docs/performance.md). What the two give differs by the rounding of the scores.

    Args:
        module: an attention layer.
        query: ``[B, H, S, D]``.
        key: ``[B, H, T, D]``.
        value: ``[B, H, T, D]``.
        attention_mask: bool, which of the T places (last) each of the S places sees, ``[1 or B, 1, S, T]``;
            what the layer is made for if none is given.
        **options: transformers' own.

    Returns:
        ``[B, S, H, D]``, and the weights where they were written out.
    """
    if not _written_out(query, key):
        fused: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **options
        )
        return fused
    if attention_mask is None and module.is_causal:
        places = query.shape[2]
        attention_mask = torch.ones(places, places, dtype=torch.bool, device=query.device).tril()
    bias = None
    if attention_mask is not None:
        half = _precision(query)
        bias = torch.zeros(attention_mask.shape, dtype=half, device=query.device)
        bias = bias.masked_fill(~attention_mask, torch.finfo(half).min)
    written: tuple[Tensor, Tensor] = eager_attention_forward(module, query, key, value, bias, **options)
    return written


def _precision(query: Tensor) -> torch.dtype:
    device = query.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else query.dtype


def _written_out(query: Tensor, key: Tensor) -> bool:
    batch, heads, places, _ = query.shape
    return (
        query.device.type == "cpu"
        and torch.is_grad_enabled()
        and places == key.shape[2] <= _MOST_PLACES
        and batch * heads * places**2 <= _MOST_SCORES
        and _precision(query) != torch.float32
    )


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
