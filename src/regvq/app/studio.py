"""What all tabs share: the models, the visitors' folder, the limits and the worker."""

from dataclasses import dataclass, field

from torch import Tensor

from regvq.app.drawing import AskedCondition, Wish
from regvq.app.limits import Limits
from regvq.app.outgoing import publish
from regvq.app.shelf import Shelf
from regvq.app.turns import Report, Worker
from regvq.generators import Generator, Sampler
from regvq.provenance import Provenance
from regvq.tokenizers import ImageTokenizer


@dataclass(frozen=True)
class Studio:
    """The server's side of the page.

    Attributes:
        tokenizer: on the device that computes.
        generator: likewise; ``None`` where only tokens are shown.
        shelf: the visitors' files.
        limits: what visitors may ask for.
        counts: ``[N]`` int64, how often each code occurs in the images that the server was started with.
        watermark: whether drawn images are marked.
        worker: computes, one turn at a time.
    """

    tokenizer: ImageTokenizer
    generator: Generator | None
    shelf: Shelf
    limits: Limits
    counts: Tensor | None = None
    watermark: bool = True
    worker: Worker = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "worker", Worker(self.limits.seconds))

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width in pixels of the images that the generator makes."""
        return None if self.generator is None else self._sampler(Wish()).size

    def draw(self, wish: Wish, condition: AskedCondition, count: int, report: Report) -> list[str]:
        """New images under one condition: the paths of their files."""
        sampler = self._sampler(wish)
        images = sampler.draw(condition.ids.expand(count, -1), 0, lambda done: report(done / count))
        return publish(images, Provenance.of(sampler, self.watermark), condition.text, self.shelf)

    def redraw(
        self, wish: Wish, image: Tensor, mask: Tensor, condition: AskedCondition, count: int, report: Report
    ) -> list[str]:
        """Versions of an image with a new part, see ``Sampler.redraw``: the paths of their files."""
        sampler, ids = self._sampler(wish), condition.ids.expand(count, -1)
        images = sampler.redraw(image, mask, ids, lambda done: report(done / count))
        provenance = Provenance.of(sampler, self.watermark, edited=True)
        return publish(images, provenance, condition.text, self.shelf, drawn=mask)

    def _sampler(self, wish: Wish) -> Sampler:
        assert self.generator is not None  # the tabs that draw are not there without one
        # One image at a time would be stopped soonest; four are drawn in little more time than one.
        return Sampler(self.tokenizer, self.generator, wish.options(self.generator), batch_size=4)
