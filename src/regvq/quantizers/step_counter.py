"""Step counters that travel in the state dict."""

import torch
from torch import Tensor, nn


class StepCounter(nn.Module):
    """A counter of whatever its owner counts.

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


class TrainingSteps(StepCounter):
    """The training step that schedules are read at.

    A step is an optimizer step. A module cannot see those: until ``set`` is called, every training forward
    pass counts as one, which is right for loops with one forward pass a step. A training that accumulates
    gradients, or runs two forward passes a step, calls ``set`` before each step; from then on the step is
    its business.

    Attributes:
        value: the step, 0 before the first.
        batches: training forward passes so far, whatever a step is.
        owned: whether somebody has called ``set``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.batches = 0
        self.owned = False

    def set(self, step: int) -> None:
        """Take ``step`` as the current one, and leave counting to the caller."""
        self.value, self.owned = int(step), True

    def finish_batch(self) -> None:
        """Count a training forward pass, and with it a step unless the step is somebody else's."""
        self.batches += 1
        if not self.owned:
            self.value += 1

    def get_extra_state(self) -> Tensor:
        return torch.tensor([self.value, self.batches])

    def set_extra_state(self, state: Tensor) -> None:
        numbers = [int(number) for number in state.reshape(-1)]
        if len(numbers) not in (1, 2):
            raise ValueError(f"steps are one number or two, not {len(numbers)}")
        # Folders of before hold one: the forward passes, which were the steps.
        self.value, self.batches = numbers[0], numbers[-1]
