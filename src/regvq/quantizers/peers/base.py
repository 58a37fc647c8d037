"""Adapters that bring quantizers of other packages under this package's contract."""

import importlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn

from regvq.errors import RegvqError
from regvq.quantizers.base import Quantizer
from regvq.quantizers.functional import identity_straight_through
from regvq.quantizers.replay import State
from regvq.types import QuantizerOutput


class PeerQuantizer(Quantizer):
    """A quantizer of another package, trained by that package's own code.

    In training its module chooses the codes, moves its codebook and makes its loss. Encoding, decoding and
    logits are computed here from its weights in float32: no random draw, no change of state, full
    precision. In eval mode the module is not called at all, so neither is its loss.

    ``quantized`` has the gradient of the module. Its value in training is the codebook's row to the last
    bit, or the module's own value where ``exact_in_training`` is false.

    All state of a training step lies in buffers and parameters. Whether several processes train together
    is asked at each training step, never when the module is built.

    Args:
        codebook_size: number of codes N that the module really has.
        dim: channels D of the latents.
        make: builds the module.
    """

    peer: Any  # the packages have no types

    moves_in_place = True
    """Whether a training step writes into buffers, which ``torch.func``'s transforms forbid."""
    writes_parameters = False
    """Whether a training step writes into parameters; ``sharded`` then takes the values over."""

    def __init__(self, codebook_size: int, dim: int, make: Callable[[], nn.Module]) -> None:
        super().__init__(codebook_size, dim)
        self.peer = make().float()  # whatever the default format is

    def before_step(self, tokens: Tensor) -> None:
        """Prepare the module for the training tokens [B, L, D] float32; nothing to do by default."""

    @abstractmethod
    def train_step(self, tokens: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the module's quantized ``[B, L, D]``, codes ``[B, L]`` and losses for tokens [B, L, D].

        The losses are tensors of their own: writing into them leaves the module as it is.
        """

    def quantize(self, tokens: Tensor, valid: Tensor) -> QuantizerOutput:
        """See ``Quantizer``."""
        if not self.training or not tokens.numel():
            codes = self.best_codes(tokens.flatten(0, 1)).view(tokens.shape[:2])
            quantized = identity_straight_through(tokens, self.codebook[codes])
            return QuantizerOutput(quantized, codes, codes)
        if self.moves_in_place and torch._C._functorch.peek_interpreter_stack() is not None:
            raise RegvqError(
                f"{type(self).__name__} writes into its state in training, which torch.func's transforms "
                "forbid: call eval() on it, or use autograd"
            )
        kept = None if self.learning else State(self).copy_buffers()
        # The one place where training tokens enter the module.
        taught = with_stand_ins(tokens, valid)
        self.before_step(taught.detach())
        # The module may move the codebook in place: it looked its values up in the codebook of before.
        before = self.codebook.detach().clone()
        with _float32_by_default():
            quantized, indices, losses = self.train_step(taught)
        if kept is not None:
            kept.put_into(self)
        codes = indices.long()
        if self.exact_in_training:
            quantized = before[codes] + (quantized - quantized.detach())
        return QuantizerOutput(quantized, codes, codes, losses=losses)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Apply a move; a cast leaves the module in float32, the format of the tokens that it is given."""
        before = [(parameter, parameter.data) for parameter in self.parameters()]
        super()._apply(fn, recurse)
        for parameter, data in before:
            if parameter.dtype != data.dtype:
                parameter.data = data.to(parameter.device)
        return self


@contextmanager
def _float32_by_default() -> Iterator[None]:
    """Let a package's module make tensors of the tokens' format, whatever a training has set."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def with_stand_ins(tokens: Tensor, valid: Tensor) -> Tensor:
    """Put the last valid token before it, or the first of all, in the place of each that is not valid.

    A package's module cannot leave tokens out: so it sees some valid ones twice, and nothing else.

    Args:
        tokens: ``[B, L, D]``.
        valid: ``[B, L]`` bool.
    """
    rows, real = tokens.flatten(0, 1), valid.flatten()
    places = torch.arange(len(rows), device=rows.device)
    source = torch.where(real, places, real.int().argmax()).cummax(0).values
    return torch.where(real[:, None], rows, rows.detach()[source]).view_as(tokens)


def library(name: str, package: str = "vector-quantize-pytorch") -> Any:
    """Return the class ``name`` of a package.

    Raises:
        RegvqError: the package is not installed.
    """
    try:
        return getattr(importlib.import_module(package.replace("-", "_")), name)
    except ImportError:
        raise RegvqError(f"{name} comes with the package {package}: pip install 'regvq[peers]'") from None
