"""A generator with its tokenizer: from conditions to images."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from regvq.generators.base import UNKNOWN, Generator
from regvq.generators.batches import sample_in_batches
from regvq.tokenizers import ImageTokenizer
from regvq.types import SamplingOptions


def _ignore(_: object) -> None:
    """Where nobody wants to hear of it."""


@dataclass(frozen=True)
class Sampler:
    """Draws images.

    Attributes:
        tokenizer: turns codes into images.
        generator: draws codes.
        options: how.
        batch_size: images at once.
        notice: called with what the user should know.
    """

    tokenizer: ImageTokenizer
    generator: Generator
    options: SamplingOptions
    batch_size: int
    notice: Callable[[str], None] = _ignore

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images in pixels."""
        rows, columns = self.generator.source.grid
        return rows * self.tokenizer.downsampling, columns * self.tokenizer.downsampling

    def draw(
        self,
        condition: Tensor,
        first: int,
        report: Callable[[int], None],
        known: Tensor | None = None,
    ) -> Tensor:
        """An image for each row of ids, as part of a larger lot: ``[M, 3, H, W]`` in [-1, 1], on the CPU.

        Args:
            condition: ids ``[M, P]``.
            first: the number of the first image in the lot.
            report: called after every pass of the network with the images so far; what it raises ends
                the drawing.
            known: codes that are given, see ``Generator.sample``.
        """
        return sample_in_batches(
            self.generator,
            condition,
            replace(self.options, first=first),
            self.batch_size,
            known=known,
            finish=self.tokenizer.decode,
            report=report,
            notice=self.notice,
        )

    def redraw(
        self, image: Tensor, mask: Tensor, condition: Tensor, report: Callable[[int], None]
    ) -> Tensor:
        """Draws a part of an image anew, token by token: ``[M, 3, H, W]`` in [-1, 1].

        Args:
            image: ``[3, H, W]`` in [-1, 1], of the sampler's size.
            mask: ``[H, W]`` bool: what is drawn anew. Elsewhere the pixels stay as they are; a token
                that the mask touches is drawn as a whole.
            condition: ids ``[M, P]``, a row for each version.
            report: see ``draw``.
        """
        codes = self.tokenizer.encode(image[None].to(self.generator.device)).cpu()
        touched = max_pool2d(mask[None].float(), self.tokenizer.downsampling) > 0
        known = torch.where(touched, UNKNOWN, codes).expand(len(condition), -1, -1)
        return torch.where(mask, self.draw(condition, 0, report, known), image)
