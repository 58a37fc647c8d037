"""A quantizer's training forward pass, run again in the backward pass as it was the first time.

Activation checkpointing drops what a forward pass has computed and runs it again where the backward pass
needs it. By then the running statistics have moved on. So a pass under checkpointing leaves a copy of the
state it started from, and when it is run again it gets that copy: the same codes, and nothing moves twice.
"""

import sys
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import checkpoint

from regvq.errors import RegvqError

_IN_FLIGHT = 16
"""Passes of reentrant checkpointing whose copies are kept: it has no graph that they could live with."""


class State:
    """The buffers, as they are, and the extra states of a module and its children."""

    def __init__(self, module: nn.Module) -> None:
        self.buffers = [dict(part._buffers) for part in module.modules()]
        self.extra = [_extra_state(part) for part in module.modules()]

    def copy_buffers(self) -> "State":
        """Make the buffers copies, which do not change with the module's."""
        self.buffers = [
            {name: None if value is None else value.clone() for name, value in buffers.items()}
            for buffers in self.buffers
        ]
        return self

    def put_into(self, module: nn.Module) -> None:
        """Make this the state of the module that it was taken from."""
        for part, buffers, extra in zip(module.modules(), self.buffers, self.extra, strict=True):
            part._buffers.update(buffers)
            if extra is not None:
                part.set_extra_state(extra)


class Replays:
    """Copies of the state before those training passes of a quantizer that may be run again."""

    def __init__(self) -> None:
        self._copies: weakref.WeakValueDictionary[int, State] = weakref.WeakValueDictionary()
        self._kept: deque[State] = deque(maxlen=_IN_FLIGHT)
        self.again = False
        """Whether the present pass is run again."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Replays":
        return Replays()

    def __reduce__(self) -> tuple[type["Replays"], tuple[()]]:
        return Replays, ()

    @contextmanager
    def training_pass(self, module: nn.Module) -> Iterator["Pass"]:
        """Run a training forward pass of ``module``, or run one again.

        Raises:
            RegvqError: the pass that the backward pass runs again is not known.
        """
        # Drawn by every pass: checkpointing restores the random state, so a pass that is run again has
        # the number of the first run.
        ticket = int(torch.randint(2**62, ()))
        if torch._C._current_graph_task_id() == -1:
            yield Pass(self._keep(ticket, module))
            return
        copy = self._copies.get(ticket)
        if copy is None:
            raise RegvqError(
                "activation checkpointing runs a quantizer again with other random numbers than before: "
                "leave its preserve_rng_state at True"
            )
        now = State(module)
        copy.put_into(module)
        # What this pass moves are copies of the copy, as it may be run a third time.
        State(module).copy_buffers().put_into(module)
        self.again = True
        try:
            yield Pass(copy)
        finally:
            self.again = False
            now.put_into(module)

    def _keep(self, ticket: int, module: nn.Module) -> State | None:
        reentrant = not torch.is_grad_enabled() and _under_reentrant_checkpoint()
        if not (reentrant or _under_checkpoint()):
            return None
        copy = self._copies[ticket] = State(module).copy_buffers()
        if reentrant:
            self._kept.append(copy)
        return copy


class Pass:
    """One run of a training forward pass.

    Args:
        copy: of the state before it, where it may be run again.
    """

    def __init__(self, copy: State | None) -> None:
        self._copy = copy

    def tie_to(self, output: Tensor) -> None:
        """Keep the copy for as long as the graph of ``output`` lives."""
        if self._copy is not None and output.grad_fn is not None:
            metadata: Any = output.grad_fn.metadata  # torch's types take it for a method
            metadata["regvq state"] = self._copy


def _under_checkpoint() -> bool:
    """Whether a pass without reentrance is checkpointed: torch packs what it saves for the backward."""
    hooks = torch._C._autograd._top_saved_tensors_default_hooks(False)
    return hooks is not None and getattr(hooks[0], "__module__", None) == checkpoint.__name__


def _under_reentrant_checkpoint() -> bool:
    code = checkpoint.CheckpointFunction.forward.__code__
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None


def _extra_state(module: nn.Module) -> Tensor | None:
    if type(module).get_extra_state is nn.Module.get_extra_state:
        return None
    state: Tensor = module.get_extra_state()
    return state
