"""The one place where a generator's ids are told apart."""

from dataclasses import dataclass

from torch import Tensor

from regvq.configurable import Configurable
from regvq.errors import RegvqError


@dataclass(frozen=True)
class Vocabulary:
    """Ids of a generator: codes, then mask, then start, then those of the condition.

    =========================  ======================================================
    ids                        meaning
    =========================  ======================================================
    0 … N-1                    codes of the tokenizer
    N                          mask: a token that is not known yet (diffusion)
    N+1                        start: stands between condition and codes (autoregression)
    N+2                        the condition's null
    N+3 … N+1+condition_size   the condition's other ids
    =========================  ======================================================

    Attributes:
        codebook_size: number of codes N.
        condition_size: number of the condition's ids, null included.
    """

    codebook_size: int
    condition_size: int

    @property
    def mask(self) -> int:
        """The id of a token that is not known."""
        return self.codebook_size

    @property
    def start(self) -> int:
        """The id between condition and codes."""
        return self.codebook_size + 1

    @property
    def size(self) -> int:
        """Number of all ids."""
        return self.codebook_size + 2 + self.condition_size

    def condition(self, ids: Tensor) -> Tensor:
        """A condition's own ids moved to where they are here."""
        return ids + (self.codebook_size + 2)


class TokenSource(Configurable):
    """What a generator knows of the tokenizer whose tokens it models.

    Args:
        codebook_size: number of codes N.
        grid: rows and columns of an image's tokens.
        fingerprint: of the tokenizer.
    """

    def __init__(self, codebook_size: int, grid: tuple[int, int], fingerprint: str) -> None:
        if codebook_size < 1 or min(grid) < 1:
            raise RegvqError(f"codebook_size and grid must be at least 1, not {codebook_size} and {grid}")
        self.codebook_size = codebook_size
        self.grid = (grid[0], grid[1])
        self.fingerprint = fingerprint
