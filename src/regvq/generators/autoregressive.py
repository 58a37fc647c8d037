"""Images as sentences: one code after the other, by a stock Llama."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from regvq.conditions import Condition
from regvq.errors import RegvqError
from regvq.generators.base import UNKNOWN, Generator
from regvq.generators.sampling import guidance_at, guided, pick, probabilities, uniforms
from regvq.generators.vocabulary import TokenSource
from regvq.nets import TransformerSize, causal_transformer, hidden_states, static_cache
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
        condition_hidden: see ``Generator``.
        replaced: in training, the share of the codes before that are replaced by random ones, in
            [0, 0.5], on the average: each image has its own share, evenly up to twice as many. It makes the
            network look at the condition where the codes would tell as well (``pkeep`` in VQ-GAN's code).

    Raises:
        RegvqError: ``replaced`` is out of its range.
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
        condition_hidden: float = 0.0,
        replaced: float = 0.0,
    ) -> None:
        super().__init__(condition, source, condition_dropout, condition_hidden)
        if not 0 <= replaced <= 0.5:
            raise RegvqError(f"replaced must be in [0, 0.5], not {replaced}")
        self.replaced = replaced
        size = TransformerSize(dim, layers, heads, hidden)
        self.network = causal_transformer(size, self.vocabulary.size, condition.length + self.length + 1)

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
        hidden = hidden_states(self.network.model, ids)
        return self._head(hidden[:, -codes.shape[1] :])

    def sequence_loss(self, codes: Tensor, condition: Tensor) -> LossOutput:
        seen = self._partly_replaced(codes) if self.training and self.replaced else codes
        logits = self.logits(seen, condition).float()
        loss = F.cross_entropy(logits.flatten(0, 1), codes.flatten())
        return LossOutput(loss, {"nll": loss}, {"bits_per_token": loss.detach() / math.log(2)})

    def _partly_replaced(self, codes: Tensor) -> Tensor:
        """Codes ``[B, L]`` of which some are random."""
        shares = 2 * self.replaced * torch.rand(len(codes), 1, device=codes.device)
        chosen = torch.rand(codes.shape, device=codes.device) < shares
        return torch.where(chosen, torch.randint_like(codes, self.vocabulary.codebook_size), codes)

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
        cache = static_cache(len(self.network.model.layers), inputs.shape[1] + self.length - 1)
        codes = known.clone()
        for place in range(self.length):
            hidden = self.network.model(
                input_ids=inputs, past_key_values=cache, use_cache=True
            ).last_hidden_state
            logits = self._head(hidden[:, -1])
            if steer:
                scale = guidance_at(options, place / max(self.length - 1, 1))
                logits = guided(logits[:batch], logits[batch:], scale)
            drawn = pick(probabilities(logits, options), uniform[:, place])
            codes[:, place] = torch.where(known[:, place] == UNKNOWN, drawn, known[:, place])
            inputs = codes[:, place : place + 1].repeat(2 if steer else 1, 1)
            report()
        return codes

    def _head(self, hidden: Tensor) -> Tensor:
        """Logits of the codes alone: nothing else can follow."""
        return F.linear(hidden, self.network.lm_head.weight[: self.vocabulary.codebook_size])
