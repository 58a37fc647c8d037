"""What makes a quantizer of vector-quantize-pytorch one of ours."""

import importlib
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from regvq.errors import RegvqError
from regvq.quantizers.base import Quantizer
from regvq.quantizers.functional import identity_straight_through
from regvq.quantizers.replay import State
from regvq.types import QuantizerOutput


class PeerQuantizer(Quantizer):
    """A quantizer of the package ``vector-quantize-pytorch``, trained by its own code.

    In training its module chooses the codes, moves its codebook and makes its loss. Encoding, decoding and
    logits are computed here from its weights in float32, because the contract asks of them what not every
    one of its modules does: no chance, no change of state, full precision. ``quantized`` has the value of
    the codebook's row to the last bit and the gradient of the module.

    Args:
        codebook_size: number of codes N that the module really has.
        dim: channels D of the latents.
        make: builds the module.
    """

    peer: Any  # the library has no types

    def __init__(self, codebook_size: int, dim: int, make: Callable[[], nn.Module]) -> None:
        super().__init__(codebook_size, dim)
        self.peer = make().float()  # whatever the default format is

    def start(self, tokens: Tensor) -> None:
        """Sees ``tokens`` [B, L, D] of every training batch before it is quantized; does nothing here."""

    @abstractmethod
    def train_step(self, tokens: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The module on ``tokens`` [B, L, D]: quantized ``[B, L, D]``, codes ``[B, L]``, losses by name."""

    def quantize(self, tokens: Tensor, valid: Tensor) -> QuantizerOutput:
        """See ``Quantizer``."""
        if not self.training:
            codes = self.best_codes(tokens.flatten(0, 1)).view(tokens.shape[:2])
            return QuantizerOutput(identity_straight_through(tokens, self.codebook[codes]), codes, codes)
        before_all = None if self.learning else State(self).copy_buffers()
        self.start(tokens)
        # The module may move the codebook in place: what it looked up is the codebook of before.
        before = self.codebook.detach().clone()
        quantized, indices, losses = self.train_step(tokens)
        if before_all is not None:
            before_all.put_into(self)
        codes = indices.long()
        exact = before[codes] + (quantized - quantized.detach())
        return QuantizerOutput(exact, codes, codes, losses=losses)


def library(name: str) -> Any:
    """A class of vector-quantize-pytorch.

    Raises:
        RegvqError: the package is not installed.
    """
    try:
        return getattr(importlib.import_module("vector_quantize_pytorch"), name)
    except ImportError:
        raise RegvqError(
            f"{name} comes with the package vector-quantize-pytorch: pip install 'regvq[peers]'"
        ) from None
