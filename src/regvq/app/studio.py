"""What all tabs share: the models, the visitors' folder, the limits and the worker."""

from dataclasses import dataclass, field

from torch import Tensor

from regvq.app.drawing import Wish
from regvq.app.limits import Limits
from regvq.app.outgoing import publish
from regvq.app.shelf import Shelf
from regvq.app.turns import Report, Worker
from regvq.generators import Generator, Sampler
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
        worker: computes, one turn at a time.
    """

    tokenizer: ImageTokenizer
    generator: Generator | None
    shelf: Shelf
    limits: Limits
    counts: Tensor | None = None
    worker: Worker = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "worker", Worker(self.limits.seconds))

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width in pixels of the images that the generator makes."""
        return None if self.generator is None else self._sampler(Wish()).size

    def draw(self, wish: Wish, condition: Tensor, report: Report) -> list[str]:
        """New images, one for each row of ids ``condition`` [M, P]: the paths of their files."""
        sampler = self._sampler(wish)
        images = sampler.draw(condition, 0, lambda done: report(done / len(condition)))
        return publish(images, self.shelf)

    def redraw(
        self, wish: Wish, image: Tensor, mask: Tensor, condition: Tensor, report: Report
    ) -> list[str]:
        """Versions of an image with a new part, see ``Sampler.redraw``: the paths of their files."""
        sampler = self._sampler(wish)
        images = sampler.redraw(image, mask, condition, lambda done: report(done / len(condition)))
        return publish(images, self.shelf)

    def _sampler(self, wish: Wish) -> Sampler:
        assert self.generator is not None  # the tabs that draw are not there without one
        # One image at a time would be stopped soonest; four are drawn in little more time than one.
        return Sampler(self.tokenizer, self.generator, wish.options(self.generator), batch_size=4)
