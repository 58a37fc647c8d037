"""Regularized vector quantization for images: tokens without collapse, and images from tokens."""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pathlib import Path

    from regvq.generators import Generator
    from regvq.tokenizers import ImageTokenizer


def load_tokenizer(path: "str | Path") -> "ImageTokenizer":
    """Loads a saved tokenizer folder (``config.json`` and ``model.safetensors``).

    Raises:
        RegvqError: the folder is missing, cut short, or not a tokenizer.
    """
    from regvq.tokenizers import ImageTokenizer  # torch is slow to import: only when it is needed

    return ImageTokenizer.from_pretrained(path)


def load_generator(path: "str | Path") -> "Generator":
    """Loads a saved generator folder (``config.json`` and ``model.safetensors``).

    Raises:
        RegvqError: the folder is missing, cut short, or not a generator.
    """
    from regvq.generators import Generator

    return Generator.from_pretrained(path)


__all__ = ["__version__", "load_generator", "load_tokenizer"]
