"""Image tokenizers: images to tokens and back."""

from regvq.tokenizers.image_tokenizer import ImageTokenizer

__all__ = ["ImageTokenizer"]
