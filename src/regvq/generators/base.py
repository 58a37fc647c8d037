"""The contract of every generator."""

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from regvq import hub, model_folder
from regvq.conditions import NULL, Condition
from regvq.errors import RegvqError
from regvq.generators.sampling import check_options
from regvq.generators.vocabulary import TokenSource, Vocabulary
from regvq.pretrained import PretrainedModel
from regvq.tokenizers import ImageTokenizer
from regvq.types import LossOutput, SamplingOptions

UNKNOWN = -1
"""Stands in ``known`` where a token is to be generated."""


class Generator(PretrainedModel):
    """Models the codes ``[B, h, w]`` of a frozen tokenizer under a condition.

    ``in_steps`` says whether the options ``steps`` and ``parallel`` mean anything to it.

    Subclasses see codes as ``[B, L]``, row by row; they implement ``sequence_loss`` and
    ``sample_sequence``. Sampling changes neither weights nor buffers nor the mode.

    Args:
        condition: what is generated from.
        source: the tokenizer's codes and grid.
        condition_dropout: share of the conditions that training replaces by null, in [0, 1); it is what
            makes guidance and unconditional sampling possible.
        replaced: share of the codes that the network sees in training that are replaced by random ones, in
            [0, 0.5], on the average: each image has its own share, evenly up to twice as many. It makes the
            network look at the condition where other codes would tell as well (``pkeep`` in VQ-GAN's code).

    Raises:
        RegvqError: a share is out of its range.
    """

    kind: ClassVar[Literal["tokenizer", "generator"]] = "generator"
    in_steps: ClassVar[bool] = False

    def __init__(
        self,
        condition: Condition,
        source: TokenSource,
        condition_dropout: float,
        replaced: float,
    ) -> None:
        super().__init__()
        if not 0 <= condition_dropout < 1:
            raise RegvqError(f"condition_dropout must be in [0, 1), not {condition_dropout}")
        if not 0 <= replaced <= 0.5:
            raise RegvqError(f"replaced must be in [0, 0.5], not {replaced}")
        self.condition = condition
        self.source = source
        self.condition_dropout = condition_dropout
        self.replaced = replaced
        self.vocabulary = Vocabulary(source.codebook_size, condition.size)

    @property
    def length(self) -> int:
        """Number of tokens of an image, L."""
        return self.source.grid[0] * self.source.grid[1]

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.parameters()).device

    @abstractmethod
    def sequence_loss(self, codes: Tensor, condition: Tensor) -> LossOutput:
        """The loss of ``codes`` [B, L] under the ids ``condition`` [B, P], none of them dropped."""

    @abstractmethod
    def sample_sequence(
        self, condition: Tensor, known: Tensor, options: SamplingOptions, report: Callable[[], None]
    ) -> Tensor:
        """Codes ``[B, L]`` under the ids ``condition`` [B, P].

        Args:
            condition: on the generator's device.
            known: ``[B, L]``, ``UNKNOWN`` where a code is to be drawn.
            options: checked ones.
            report: to be called after each of ``passes(options)`` passes.
        """

    @abstractmethod
    def passes(self, options: SamplingOptions) -> int:
        """How many passes of the network one batch takes."""

    def loss(self, codes: Tensor, condition: Tensor | None = None) -> LossOutput:
        """What training minimises, in nats; ``stats`` hold ``bits_per_token``.

        In training mode a share of the conditions is replaced by null.

        Args:
            codes: ``[B, h, w]`` int64 in [0, N).
            condition: ids ``[B, P]``; null if none are given.

        Raises:
            RegvqError: the codes have another grid, or the condition another length.
        """
        rows = self._rows(codes)
        ids = self._condition(condition, len(rows))
        return self.sequence_loss(rows, self._partly_null(ids) if self.training else ids)

    @torch.no_grad()
    def sample(
        self,
        condition: Tensor | None,
        batch_size: int,
        options: SamplingOptions = SamplingOptions(),  # noqa: B008 - frozen
        known: Tensor | None = None,
        report: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """Draws codes: ``[B, h, w]`` int64 in [0, N).

        Args:
            condition: ids ``[B, P]``; null if none are given.
            batch_size: number of images B.
            options: how they are drawn.
            known: ``[B, h, w]``: tokens that must stay as they are, ``UNKNOWN`` (-1) elsewhere.
            report: called after every pass of the network, of which there are ``passes(options)``.

        Raises:
            RegvqError: an option is out of range, or a shape does not fit.
        """
        check_options(options)
        ids = self._condition(condition, batch_size)
        fixed = self._known(known, batch_size)
        mode = self.training
        self.eval()
        try:
            codes = self.sample_sequence(ids, fixed, options, report)
        finally:
            self.train(mode)
        return codes.view(batch_size, *self.source.grid)

    def require(self, tokenizer: ImageTokenizer, name: str = "this tokenizer") -> None:
        """Refuses a tokenizer other than the one whose tokens the generator has learned.

        Raises:
            RegvqError: it is another one.
        """
        fingerprint = tokenizer.fingerprint()
        if fingerprint != self.source.fingerprint:
            raise RegvqError(
                f"{name} (fingerprint {fingerprint}) is not the one that the generator was trained with "
                f"({self.source.fingerprint}): give that one"
            )

    @classmethod
    def from_pretrained(cls, path: str | Path, revision: str | None = None) -> Self:
        """Loads what ``save_pretrained`` wrote, in eval mode, on the CPU.

        Args:
            path: a folder, or ``owner/name`` on the Hugging Face Hub, whose cache is asked first.
            revision: branch, tag or commit on the Hub.

        Raises:
            RegvqError: the folder is missing, cut short, or holds something else, or the Hub has no such
                model.
        """
        generator = model_folder.load_model(hub.local_folder(path, revision))
        if not isinstance(generator, cls):
            raise RegvqError(f"{path} holds a {type(generator).__name__}, not a {cls.__name__}")
        return generator.eval()

    def about(self) -> dict[str, str]:
        return {
            "generator": type(self).__name__,
            "condition": type(self.condition).__name__,
            "tokens": f"{self.source.grid[0]} x {self.source.grid[1]} of {self.source.codebook_size} codes",
            "tokenizer's fingerprint": self.source.fingerprint,
            "parameters": f"{sum(parameter.numel() for parameter in self.parameters()):,}",
        }

    def _rows(self, codes: Tensor) -> Tensor:
        rows, columns = self.source.grid
        if codes.ndim != 3 or tuple(codes.shape[1:]) != self.source.grid:
            raise RegvqError(
                f"this generator models {rows} x {columns} tokens, not {list(codes.shape[1:])}: use images "
                "of the size it was trained on"
            )
        return codes.to(self.device).flatten(1)

    def _known(self, known: Tensor | None, batch_size: int) -> Tensor:
        if known is None:
            return torch.full((batch_size, self.length), UNKNOWN, device=self.device)
        rows = self._rows(known)
        if len(rows) != batch_size:
            raise RegvqError(f"known tokens of {len(rows)} images for a batch of {batch_size}")
        if rows.numel() and (rows.min() < UNKNOWN or rows.max() >= self.source.codebook_size):
            raise RegvqError(
                f"known tokens must lie in [0, {self.source.codebook_size}), or be {UNKNOWN} where one is "
                f"to be drawn; these reach from {int(rows.min())} to {int(rows.max())}"
            )
        return rows

    def _partly_null(self, ids: Tensor) -> Tensor:
        """The ids ``[B, P]`` as training shows them."""
        dropped = torch.rand(len(ids), 1, device=ids.device) < self.condition_dropout
        return ids.masked_fill(dropped, NULL)

    def _partly_replaced(self, codes: Tensor) -> Tensor:
        """Codes ``[B, L]`` as training shows them; masks stay masks."""
        if not (self.training and self.replaced):
            return codes
        shares = 2 * self.replaced * torch.rand(len(codes), 1, device=codes.device)
        chosen = (torch.rand(codes.shape, device=codes.device) < shares) & (codes != self.vocabulary.mask)
        return torch.where(chosen, torch.randint_like(codes, self.vocabulary.codebook_size), codes)

    def _condition(self, ids: Tensor | None, batch_size: int) -> Tensor:
        if ids is None:
            ids = self.condition.null(batch_size)
        if tuple(ids.shape) != (batch_size, self.condition.length):
            raise RegvqError(
                f"the condition's ids must be {[batch_size, self.condition.length]}, not {list(ids.shape)}"
            )
        return ids.to(self.device)
