"""Regularized vector quantization for images: tokens without collapse, and images from tokens."""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pathlib import Path

    from regvq.generators import Generator
    from regvq.tokenizers import ImageTokenizer


def load_tokenizer(path: "str | Path") -> "ImageTokenizer":
    """Loads a tokenizer: a folder (``config.json`` and ``model.safetensors``) or ``owner/name`` on the Hub.

    Raises:
        RegvqError: the folder is missing, cut short, or not a tokenizer.
    """
    from regvq.tokenizers import ImageTokenizer  # torch is slow to import: only when it is needed

    return ImageTokenizer.from_pretrained(path)


def load_generator(path: "str | Path") -> "Generator":
    """Loads a generator: a folder (``config.json`` and ``model.safetensors``) or ``owner/name`` on the Hub.

    Raises:
        RegvqError: the folder is missing, cut short, or not a generator.
    """
    from regvq.generators import Generator

    return Generator.from_pretrained(path)


__all__ = ["__version__", "load_generator", "load_tokenizer"]
