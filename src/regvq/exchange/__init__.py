"""Tokenizers and generators as folders of other libraries, and back."""

from regvq.exchange.to_diffusers import save_vq_model
from regvq.exchange.to_transformers import save_llama

__all__ = ["save_llama", "save_vq_model"]
