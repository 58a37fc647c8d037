"""A step counter that travels in the state dict."""

import torch
from torch import Tensor, nn


class StepCounter(nn.Module):
    """Counts training forward passes.

    A Python integer, so that a schedule read on every step never waits for a device; a tensor in
    the state dict, so that it can be saved as safetensors.
    """

    def __init__(self) -> None:
        super().__init__()
        self.value = 0

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.value)

    def set_extra_state(self, state: Tensor) -> None:
        self.value = int(state)
