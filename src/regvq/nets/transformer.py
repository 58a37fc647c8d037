"""Stock Llamas from transformers, sized for tokens of images."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, LlamaModel
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaDecoderLayer

from regvq.errors import RegvqError
from regvq.nets.attention import ATTENTION

TransformerBlock = LlamaDecoderLayer
"""The class of a transformer's blocks."""


@dataclass(frozen=True)
class TransformerSize:
    """How large a transformer is.

    Attributes:
        dim: width; ``heads`` divides it, each head has an even share.
        layers: blocks.
        heads: attention heads.
        hidden: width inside the gated feed-forward part.
    """

    dim: int
    layers: int
    heads: int
    hidden: int

    def __post_init__(self) -> None:
        if min(self.dim, self.layers, self.heads, self.hidden) < 1 or self.dim % (2 * self.heads):
            raise RegvqError(
                f"a transformer needs layers, heads and hidden of at least 1 and a dim that is a multiple "
                f"of 2 * heads, not {self}"
            )


def causal_transformer(size: TransformerSize, vocabulary: int, length: int) -> LlamaForCausalLM:
    """A causal language model over ``vocabulary`` ids and at most ``length`` positions."""
    return LlamaForCausalLM(_config(size, vocabulary, length))


def hidden_states(model: LlamaModel, inputs: Tensor, seen: Tensor | None = None) -> Tensor:
    """What ``model`` makes of whole sequences: ``[B, S, dim]`` embedded ids to ``[B, S, dim]``.

    The same as ``model(inputs_embeds=inputs, attention_mask=seen).last_hidden_state``, which first looks
    into the positions whether several sequences share a row, and so makes the host wait for a GPU at every
    step.

    Args:
        model: causal or bidirectional.
        inputs: embedded ids.
        seen: bool ``[1, 1, S, S]``, which places (last) each place sees; what the model is made for if none
            is given.
    """
    places = torch.arange(inputs.shape[1], device=inputs.device)[None]
    rotation = model.rotary_emb(inputs, position_ids=places)
    hidden = inputs
    for block in model.layers:
        hidden = block(hidden, attention_mask=seen, position_ids=places, position_embeddings=rotation)
    normed: Tensor = model.norm(hidden)
    return normed


def bidirectional_transformer(size: TransformerSize, vocabulary: int, length: int) -> LlamaModel:
    """The same blocks, each position seeing all others; gives hidden states ``[B, length, dim]``."""
    config = _config(size, vocabulary, length)
    config.is_causal = False
    model = LlamaModel(config)
    for module in model.modules():
        # The configuration decides the mask, this flag what happens where no mask is needed.
        if isinstance(module, LlamaAttention):
            module.is_causal = False
    return model


def _config(size: TransformerSize, vocabulary: int, length: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=size.dim,
        intermediate_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=length,
        tie_word_embeddings=False,
        # Ends and beginnings are the vocabulary map's business.
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        attn_implementation=ATTENTION,  # type: ignore[call-arg]  # a key of every configuration's
    )
