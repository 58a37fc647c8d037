"""What every generated image is saved with: the mark in its pixels and the record in its file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from regvq.data.images import save_png
from regvq.generators import Sampler
from regvq.model_folder import fingerprint
from regvq.provenance.grid import LINE, Grid
from regvq.provenance.record import Record
from regvq.provenance.watermark import CHANCE, chance, mark, score
from regvq.provenance.wear import worn


@dataclass
class Provenance:
    """Marks the images of a generator and saves them.

    Attributes:
        generator: fingerprint.
        tokenizer: fingerprint.
        seed: that the images are drawn with.
        watermark: whether they are marked.
        edited: whether only a part of each is drawn.
        marked: how many were marked so far.
        lost: in how many of them the mark is too weak to be found.
        fragile: in how many it would be lost after JPEG and a resize; the lost ones among them.
    """

    generator: str
    tokenizer: str
    seed: int
    watermark: bool
    edited: bool = False
    marked: int = 0
    lost: int = 0
    fragile: int = 0

    @classmethod
    def of(cls, sampler: Sampler, watermark: bool, edited: bool = False) -> "Provenance":
        """Of what ``sampler`` draws."""
        generator, tokenizer = fingerprint(sampler.generator), sampler.tokenizer.fingerprint()
        return cls(generator, tokenizer, sampler.options.seed, watermark, edited)

    def mark(self, images: Tensor, drawn: Tensor | None = None) -> Tensor:
        """The images ``[B, 3, H, W]`` in [-1, 1] as they are to be saved.

        Args:
            images: as they were drawn.
            drawn: ``[H, W]`` bool, the pixels that were; all of them where none are named.
        """
        if not self.watermark:
            return images
        # One by one: of many at once the float64 copies would fill the memory.
        marked = torch.cat([mark(image[None], drawn) for image in images])
        self.marked += len(marked)
        for image in marked:
            lost = _unmarked(image)
            self.lost += lost
            self.fragile += lost or _unmarked(worn(image))
        return marked

    def save(
        self,
        images: Tensor,
        path: Path,
        conditions: Sequence[str],
        index: int = 0,
        columns: int = 1,
        line: int | None = None,
    ) -> None:
        """Writes images as one PNG with its record.

        Args:
            images: ``[B, 3, H, W]`` in [-1, 1], marked.
            path: of the PNG.
            conditions: in words, one for each row.
            index: the number of the first image among all of the seed.
            columns: images side by side.
            line: pixels of white between several images, and around them; by default what a grid has.

        Raises:
            RegvqError: the place cannot be written.
        """
        grid = None
        if len(images) > 1:
            height, width = images.shape[2:]
            grid = Grid(columns, len(images) // columns, width, height, LINE if line is None else line)
        record = Record(
            generator=self.generator,
            tokenizer=self.tokenizer,
            seed=self.seed,
            conditions=tuple(conditions),
            index=index,
            watermark=self.watermark,
            edited=self.edited,
            grid=grid,
        )
        save_png(images[0] if grid is None else grid.picture(images), path, record.chunk())


def _unmarked(image: Tensor) -> bool:
    return chance(float(score(image[None]))) > CHANCE
