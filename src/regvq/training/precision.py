"""Which arithmetic is fast on the processor at hand."""

from typing import Literal

import torch


def fast_cpu_precision() -> Literal["bf16-mixed", "32-true"]:
    """Mixed bfloat16 where the processor has instructions for it, elsewhere plain float32.

    Without such instructions bfloat16 is emulated, several times slower than float32.
    """
    return "bf16-mixed" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "32-true"
