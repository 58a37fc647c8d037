"""Images as sentences: one code after the other, by a stock Llama."""

import math
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from regvq.conditions import Condition
from regvq.generators.base import UNKNOWN, Generator
from regvq.generators.sampling import guidance_at, guided, pick, probabilities, uniforms
from regvq.generators.vocabulary import TokenSource
from regvq.nets import CompiledSteps, TransformerSize, causal_transformer, hidden_states, static_cache
from regvq.nets.compiling import lacking
from regvq.types import LossOutput, SamplingOptions


class AutoregressiveGenerator(Generator):
    """Condition, start, then the codes row by row; each is predicted from all before it.

    Esser et al., "Taming Transformers for High-Resolution Image Synthesis", CVPR 2021, section 3.2;
    ``network`` is a transformers ``LlamaForCausalLM`` over the ids of ``Vocabulary``.

    Args:
        condition: what is generated from.
        source: the tokenizer's codes and grid.
        dim: width of the network.
        layers: blocks of the network.
        heads: attention heads.
        hidden: width inside the feed-forward part.
        condition_dropout: share of the conditions that training replaces by null.
        replaced: share of the codes before that training replaces by random ones: see ``Generator``.
    """

    def __init__(
        self,
        condition: Condition,
        source: TokenSource,
        dim: int = 768,
        layers: int = 12,
        heads: int = 12,
        hidden: int = 2048,
        condition_dropout: float = 0.1,
        replaced: float = 0.0,
    ) -> None:
        super().__init__(condition, source, condition_dropout, replaced)
        size = TransformerSize(dim, layers, heads, hidden)
        self.network = causal_transformer(size, self.vocabulary.size, condition.length + self.length + 1)
        self.compiled = False
        """Whether sampling reads its tokens through ``torch.compile``, on a GPU as CUDA graphs. The first
        batch of a size then takes from some seconds to minutes longer. No part of what is saved."""
        self._steps: dict[tuple[int, int, torch.dtype, torch.device], CompiledSteps] = {}
        """Of the last size that was sampled; its cache is kept, for a graph belongs to its place."""

    def prefix(self, condition: Tensor) -> Tensor:
        """What stands before the codes: ``[B, P + 1]``."""
        ids = self.vocabulary.condition(condition)
        return torch.cat([ids, ids.new_full((len(ids), 1), self.vocabulary.start)], dim=1)

    def logits(self, codes: Tensor, condition: Tensor) -> Tensor:
        """Logits of every code given those before it: ``[B, L, N]``.

        Args:
            codes: ``[B, L]``.
            condition: ids ``[B, P]``.
        """
        ids = torch.cat([self.prefix(condition), codes[:, :-1]], dim=1)
        hidden = hidden_states(self.network.model, self.network.model.embed_tokens(ids))
        return self._head(hidden[:, -codes.shape[1] :])

    def sequence_loss(self, codes: Tensor, condition: Tensor) -> LossOutput:
        logits = self.logits(self._partly_replaced(codes), condition).float()
        loss = F.cross_entropy(logits.flatten(0, 1), codes.flatten())
        return LossOutput(loss, {"nll": loss}, {"bits_per_token": loss.detach() / math.log(2)})

    def passes(self, options: SamplingOptions) -> int:
        """One for each token."""
        return self.length

    def sample_sequence(
        self, condition: Tensor, known: Tensor, options: SamplingOptions, report: Callable[[], None]
    ) -> Tensor:
        batch = len(condition)
        uniform = uniforms(options, batch, self.length).to(self.device)
        steer = options.guidance != 1
        if steer:
            condition = torch.cat([condition, torch.zeros_like(condition)])
        inputs = self.prefix(condition)
        read = self._reader(inputs)
        codes = known.clone()
        for place in range(self.length):
            logits = self._head(read(inputs))
            if steer:
                scale = guidance_at(options, place / max(self.length - 1, 1))
                logits = guided(logits[:batch], logits[batch:], scale)
            drawn = pick(probabilities(logits, options), uniform[:, place])
            codes[:, place] = torch.where(known[:, place] == UNKNOWN, drawn, known[:, place])
            inputs = codes[:, place : place + 1].repeat(2 if steer else 1, 1)
            report()
        return codes

    def _reader(self, prefix: Tensor) -> Callable[[Tensor], Tensor]:
        """Reads ``prefix`` [B, S] first, then token after token: ids to the last one's hidden states."""
        length = prefix.shape[1] + self.length - 1
        if self.compiled and self._can_compile():
            weight = self.network.lm_head.weight
            size = (len(prefix), length, weight.dtype, weight.device)
            if size not in self._steps:
                self._steps = {size: CompiledSteps(self.network, length)}
            steps = self._steps[size]
            return lambda ids: steps.start(ids) if ids is prefix else steps.step(ids)
        cache = static_cache(len(self.network.model.layers), length)

        def read(ids: Tensor) -> Tensor:
            hidden: Tensor = self.network.model(
                input_ids=ids, past_key_values=cache, use_cache=True
            ).last_hidden_state
            return hidden[:, -1]

        return read

    def _can_compile(self) -> bool:
        missing = lacking(self.device.type)
        if missing is not None:
            warnings.warn(f"{missing}: sampling runs uncompiled", stacklevel=2)
            self.compiled = False
        return missing is None

    def _head(self, hidden: Tensor) -> Tensor:
        """Logits of the codes alone: nothing else can follow."""
        return F.linear(hidden, self.network.lm_head.weight[: self.vocabulary.codebook_size])
