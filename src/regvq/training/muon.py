"""Muon on the matrices of a network's blocks, AdamW on everything else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

from regvq.errors import RegvqError


@dataclass(frozen=True)
class MuonOptions:
    """How Muon trains matrices.

    Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024: a matrix's step is made
    orthogonal. Its size is AdamW's at the same learning rate: Liu et al., "Muon is Scalable for LLM
    Training", arXiv 2502.16982, section 2.2.

    Attributes:
        learning_rate: positive; the run's schedule is a factor on it.
        weight_decay: decoupled, not negative.
        momentum: in [0, 1).

    Raises:
        RegvqError: one is out of its range.
    """

    learning_rate: float = 1e-2
    weight_decay: float = 1.0
    momentum: float = 0.95

    def __post_init__(self) -> None:
        if not (self.learning_rate > 0 and self.weight_decay >= 0 and 0 <= self.momentum < 1):
            raise RegvqError(
                f"muon needs learning_rate > 0, weight_decay >= 0 and momentum in [0, 1), not {self}"
            )


class MuonAdamW(Optimizer):
    """Two optimizers as one: to a scheduler, a trainer and a checkpoint it is like any other.

    Args:
        matrices: two-dimensional parameters for Muon.
        others: for AdamW.
        muon: how the matrices are trained.
        learning_rate: AdamW's, and its other arguments.
        betas: AdamW's.
        weight_decay: AdamW's.
        fused: AdamW's implementation.
    """

    def __init__(
        self,
        matrices: Sequence[nn.Parameter],
        others: Sequence[nn.Parameter],
        muon: MuonOptions,
        *,
        learning_rate: float,
        betas: tuple[float, float],
        weight_decay: float,
        fused: bool = False,
    ) -> None:
        self.parts: tuple[Optimizer, Optimizer] = (
            AdamW(others, lr=learning_rate, betas=betas, weight_decay=weight_decay, fused=fused),
            Muon(
                matrices,
                lr=muon.learning_rate,
                weight_decay=muon.weight_decay,
                momentum=muon.momentum,
                adjust_lr_fn="match_rms_adamw",
            ),
        )
        super().__init__([*others, *matrices], {})
        self._join()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of both."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The states of both."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores both."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._join()

    def _join(self) -> None:
        # The same dictionaries: what a scheduler writes into them is what the parts read.
        self.param_groups = [group for part in self.parts for group in part.param_groups]
        self.state = cast(Any, {})  # the parts keep it


def split_matrices(
    model: nn.Module, blocks: type[nn.Module]
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """A model's parameters: the matrices inside its blocks, and all others.

    Args:
        model: any.
        blocks: the class of its blocks.
    """
    inside = {
        id(parameter)
        for block in model.modules()
        if isinstance(block, blocks)
        for parameter in block.parameters()
        if parameter.ndim == 2
    }
    parameters = list(model.parameters())
    return (
        [parameter for parameter in parameters if id(parameter) in inside],
        [parameter for parameter in parameters if id(parameter) not in inside],
    )
