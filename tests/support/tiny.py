"""Models that are built in no time and have learned nothing."""

import torch

from regvq.conditions import Condition
from regvq.generators import AutoregressiveGenerator, DiscreteDiffusionGenerator, Generator, TokenSource
from regvq.nets import IdentityBackbone
from regvq.quantizers import RegularizedVectorQuantizer
from regvq.tokenizers import ImageTokenizer

CODES, SIDE, GRID = 32, 4, (4, 4)


def tiny_tokenizer() -> ImageTokenizer:
    """4x4 pixels a token and 32 codes, which were started from noise."""
    torch.manual_seed(1)
    tokenizer = ImageTokenizer(IdentityBackbone(SIDE), RegularizedVectorQuantizer(CODES, 6))
    tokenizer(torch.rand(4, 3, 16, 16) * 2 - 1)
    return tokenizer.eval()


def tiny_generator(
    tokenizer: ImageTokenizer,
    condition: Condition,
    kind: type[Generator] = AutoregressiveGenerator,
    **options: int,
) -> Generator:
    """Of 16 px images; untrained."""
    torch.manual_seed(0)
    source = TokenSource(CODES, GRID, tokenizer.fingerprint())
    assert kind in (AutoregressiveGenerator, DiscreteDiffusionGenerator)
    return kind(condition, source, dim=16, layers=1, heads=2, hidden=32, **options).eval()
