"""Generators: new codes of a frozen tokenizer, under a condition."""

from regvq.generators.autoregressive import AutoregressiveGenerator
from regvq.generators.base import UNKNOWN, Generator
from regvq.generators.discrete_diffusion import DiffusionBound, DiscreteDiffusionGenerator
from regvq.generators.sampler import Sampler
from regvq.generators.vocabulary import TokenSource, Vocabulary

__all__ = [
    "UNKNOWN",
    "AutoregressiveGenerator",
    "DiffusionBound",
    "DiscreteDiffusionGenerator",
    "Generator",
    "Sampler",
    "TokenSource",
    "Vocabulary",
]
