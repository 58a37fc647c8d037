"""A causal transformer that reads one token after the other through a compiled step."""

import torch
from torch import Tensor
from transformers import LlamaForCausalLM, StaticCache


class CompiledSteps:
    """Reads sequences of one size over a cache of one size and place, so that every step is the same graph.

    transformers' static cache hands out all of its length, and a mask hides what is not filled yet. The
    first reading, of many tokens at once, runs as it is; each further one, of one token, through
    ``torch.compile``, which on a GPU records it as a CUDA graph: the host then starts one thing for a token
    in place of some hundred.

    Args:
        network: in eval mode; read without gradients.
        length: positions at most.
    """

    def __init__(self, network: LlamaForCausalLM, length: int) -> None:
        self.model = network.model
        self.length = length
        self.cache = StaticCache(network.config, max_cache_len=length)
        device = network.lm_head.weight.device
        self.places = torch.arange(length, device=device)
        self.filled = torch.zeros(1, dtype=torch.int64, device=device)
        # A graph writes to where it was recorded.
        torch._dynamo.mark_static_address(self.filled)
        mode = "reduce-overhead" if device.type == "cuda" else "default"
        self._step = torch.compile(self._read, mode=mode, dynamic=False)

    def start(self, ids: Tensor) -> Tensor:
        """Forgets what was read, and reads ``ids`` [B, S]: the last one's hidden states, ``[B, dim]``."""
        self.cache.reset()
        self.filled.zero_()
        return self._read(ids)

    def step(self, ids: Tensor) -> Tensor:
        """Reads one token more of each sequence, ``[B, 1]``: ``[B, dim]``, valid until the next call."""
        torch.compiler.cudagraph_mark_step_begin()
        hidden: Tensor = self._step(ids)
        return hidden

    def _read(self, ids: Tensor) -> Tensor:
        here = (self.filled + self.places[: ids.shape[1]])[None]
        seen = self.places <= here[..., None]
        hidden = self.model.embed_tokens(ids)
        rotation = self.model.rotary_emb(hidden, position_ids=here)
        for block in self.model.layers:
            hidden = block(
                hidden,
                attention_mask=seen[:, None],
                position_ids=here,
                past_key_values=self.cache,
                position_embeddings=rotation,
            )
        self.filled += ids.shape[1]
        last: Tensor = self.model.norm(hidden[:, -1])
        return last
