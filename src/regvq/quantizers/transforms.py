"""Quantizers inside of torch's program transforms: ``torch.compile``, ``torch.func``."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

from regvq.errors import RegvqError

P = ParamSpec("P")
T = TypeVar("T")


def outside_of_graphs(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function so that ``torch.compile`` runs it as it is, between the graphs around it.

    With ``fullgraph=True`` there may be nothing between graphs, and torch's error holds our sentence.
    ``torch.compiler.disable`` does the same but imports the compiler, which takes a second and more, where
    nobody compiles.
    """
    uncompiled: list[Callable[P, T]] = []

    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        if torch.compiler.is_compiling():
            torch._dynamo.graph_break(
                msg="a quantizer draws random numbers and moves its statistics, which a compiled graph "
                "cannot do: leave fullgraph=True out, or compile encoder and decoder by themselves"
            )
        if "torch._dynamo" not in sys.modules:
            return function(*args, **kwargs)
        if not uncompiled:
            uncompiled.append(torch.compiler.disable(function))
        return uncompiled[0](*args, **kwargs)

    return wrapper


@contextmanager
def outside_of_transforms() -> Iterator[None]:
    """Run a block on plain tensors: inside of ``torch.func``'s transforms statistics could not move."""
    if torch._C._functorch.peek_interpreter_stack() is None:
        yield
        return
    with temporarily_clear_interpreter_stack():
        yield


def plain(tensor: Tensor) -> Tensor:
    """Return what ``torch.func.grad`` and its like have wrapped, which outlives the transform.

    Raises:
        RegvqError: ``torch.func.vmap`` has hidden a dimension of it.
    """
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(tensor):
        if functorch.is_batchedtensor(tensor):
            raise RegvqError(
                "a quantizer counts the tokens of a whole batch, which torch.func.vmap hides: call it on "
                "the batch, outside of vmap"
            )
        tensor = functorch.get_unwrapped(tensor)
    return tensor
