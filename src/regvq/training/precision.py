"""Which arithmetic is fast on the processor at hand."""

from typing import Literal

import torch


def fast_cpu_precision() -> Literal["bf16-mixed", "32-true"]:
    """Mixed bfloat16 where oneDNN, which computes torch's convolutions, has it for this processor.

    Elsewhere plain float32: bfloat16 would run on torch's slow general kernels.
    """
    return "bf16-mixed" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "32-true"
