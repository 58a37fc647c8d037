"""Image tokenizers: images to tokens and back."""

from regvq.tokenizers.image_tokenizer import ImageTokenizer
from regvq.tokenizers.token_cache import CachedTokens, TokenCacheData, write_cache

__all__ = ["CachedTokens", "ImageTokenizer", "TokenCacheData", "write_cache"]
