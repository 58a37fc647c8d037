"""Tokenizers and generators as folders of other libraries, and back."""

from regvq.exchange.from_diffusers import load_vq_model
from regvq.exchange.from_taming import load_taming
from regvq.exchange.to_diffusers import save_vq_model
from regvq.exchange.to_onnx import save_onnx
from regvq.exchange.to_transformers import save_llama

__all__ = ["load_taming", "load_vq_model", "save_llama", "save_onnx", "save_vq_model"]
