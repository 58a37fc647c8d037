"""Images out of masks: all tokens at once, again and again."""

import math
from collections.abc import Callable
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Cache, DynamicCache

from regvq.conditions import Condition
from regvq.errors import RegvqError
from regvq.generators.base import UNKNOWN, Generator
from regvq.generators.diffusion_math import (
    DiffusionSchedule,
    absorbing,
    bound_term,
    mask_and_replace,
    q_posterior,
    q_pred,
)
from regvq.generators.sampling import guidance_at, guided, pick, probabilities, uniforms
from regvq.generators.vocabulary import TokenSource
from regvq.nets import TransformerSize, bidirectional_transformer, hidden_states
from regvq.types import LossOutput, SamplingOptions

PARALLEL_STEPS = 12
_CHOICE_NOISE = 4.5  # MaskGIT's choice temperature


class DiffusionBound(nn.Module):
    """The term of the variational bound at the times that were drawn: a module, which can be compiled."""

    def forward(
        self, x_0: Tensor, x_t: Tensor, logits: Tensor, schedule: DiffusionSchedule, t: Tensor
    ) -> Tensor:
        """The mean of ``bound_term`` over batch and places: a float32 scalar.

        Args:
            x_0: clean codes, ``[B, L]``.
            x_t: states, ``[B, L]``.
            logits: of the clean codes, ``[B, L, N]`` float32.
            schedule: the transitions.
            t: ``[B]``, from 1.
        """
        return bound_term(x_0, x_t, logits.softmax(-1), schedule, t).mean()


class DiscreteDiffusionGenerator(Generator):
    """A chain that masks and replaces codes, and a transformer that undoes it.

    Gu et al., "Vector Quantized Diffusion Model for Text-to-Image Synthesis", CVPR 2022. The denoiser
    reads the condition, each id seeing those before it and nothing else, then time and the noisy tokens,
    every place seeing all places and the whole condition, and predicts the clean codes. So what a word
    says is the same at all times, and sampling reads the condition once. Places are told apart by the
    rotation of their positions alone (docs/results.md). What is minimised is the variational bound, one
    random time a sample, and as its auxiliary term the cross-entropy of the clean codes.

    Args:
        condition: what is generated from.
        source: the tokenizer's codes and grid.
        dim: width of the network.
        layers: blocks of the network.
        heads: attention heads.
        hidden: width inside the feed-forward part.
        condition_dropout: share of the conditions that training replaces by null.
        replaced: share of the codes left unmasked that training replaces by random ones, the loss not
            knowing it: see ``Generator``.
        steps: of the chain, T.
        transition: ``mask_and_replace`` (VQ-Diffusion's), or ``absorbing``, which only masks.
        auxiliary_weight: of the cross-entropy of the clean codes (VQ-Diffusion, eq. 13).
    """

    in_steps: ClassVar[bool] = True

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
        steps: int = 100,
        transition: Literal["mask_and_replace", "absorbing"] = "mask_and_replace",
        auxiliary_weight: float = 5e-4,
    ) -> None:
        super().__init__(condition, source, condition_dropout, replaced)
        if steps < 1:
            raise RegvqError(f"a diffusion needs at least 1 step, not {steps}")
        if not auxiliary_weight >= 0:
            raise RegvqError(f"auxiliary_weight must not be negative, not {auxiliary_weight}")
        if transition not in ("mask_and_replace", "absorbing"):
            raise RegvqError(f"transition must be mask_and_replace or absorbing, not {transition!r}")
        make = absorbing if transition == "absorbing" else mask_and_replace
        self._schedule = make(steps, source.codebook_size)
        self.bound = DiffusionBound()
        self.auxiliary_weight = auxiliary_weight
        size = TransformerSize(dim, layers, heads, hidden)
        self.network = bidirectional_transformer(
            size, self.vocabulary.size, condition.length + 1 + self.length
        )
        self.time = nn.Embedding(steps + 1, dim)
        self.head = nn.Linear(dim, source.codebook_size, bias=False)
        for weight in (self.time.weight, self.head.weight):
            nn.init.normal_(weight, std=0.02)

    @property
    def schedule(self) -> DiffusionSchedule:
        """The chain, on the generator's device: copied there once, for a copy makes the host wait."""
        self._schedule = self._schedule.on(self.device)
        return self._schedule

    def logits(self, x_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """Logits of the clean codes: ``[B, L, N]``.

        Args:
            x_t: states ``[B, L]``, N for the mask.
            t: times ``[B]`` in [1, T].
            condition: ids ``[B, P]``.
        """
        ids = self.vocabulary.condition(condition)
        inputs = torch.cat([self.network.embed_tokens(ids), self._states(x_t, t)], dim=1)
        places, words = inputs.shape[1], ids.shape[1]
        seen = torch.ones(places, places, dtype=torch.bool, device=ids.device)
        seen[:words] = seen[:words].tril()  # a word sees the words before it, and no picture
        return self._codes(hidden_states(self.network, inputs, seen[None, None]))

    def _read(self, condition: Tensor) -> Cache:
        """What the network keeps of the ids ``condition`` [B, P]."""
        read = DynamicCache(config=self.network.config)
        if condition.shape[1]:
            ids = self.vocabulary.condition(condition)
            before = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool, device=ids.device).tril()
            seen = before.expand(len(ids), 1, -1, -1)
            self.network(input_ids=ids, attention_mask=seen, past_key_values=read, use_cache=True)
        return read

    def _logits(self, x_t: Tensor, t: Tensor, read: Cache) -> Tensor:
        """``logits`` under a condition that has been read; ``read`` stays as it is."""
        inputs = self._states(x_t, t)
        hidden = self.network(inputs_embeds=inputs, past_key_values=read, use_cache=True).last_hidden_state
        read.crop(-inputs.shape[1])
        return self._codes(hidden)

    def _states(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Time and noisy tokens as the network takes them: ``[B, 1 + L, dim]``."""
        return torch.cat([self.time(t)[:, None], self.network.embed_tokens(x_t)], dim=1)

    def _codes(self, hidden: Tensor) -> Tensor:
        """Logits ``[B, L, N]`` at the last L places of ``hidden``."""
        logits: Tensor = self.head(hidden[:, -self.length :])
        return logits

    def sequence_loss(self, codes: Tensor, condition: Tensor) -> LossOutput:
        t, uniform = self.chance(codes)
        with torch.autocast(codes.device.type, enabled=False):
            x_t = pick(q_pred(codes, self.schedule, t), uniform)
        logits = self.logits(self._partly_replaced(x_t), t, condition).float()
        with torch.autocast(codes.device.type, enabled=False):
            # One time of T stands for all of them.
            bound = self.schedule.steps * self.bound(codes, x_t, logits, self.schedule, t)
            cross_entropy = F.cross_entropy(logits.flatten(0, 1), codes.flatten())
        auxiliary = self.auxiliary_weight * cross_entropy
        return LossOutput(
            bound + auxiliary,
            {"bound": bound, "auxiliary": auxiliary},
            {"bits_per_token": bound.detach() / math.log(2), "clean_nll": cross_entropy.detach()},
        )

    def chance(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """What is left to chance in the loss of ``codes`` [B, L].

        Returns:
            A time in [1, T] for every sample, ``[B]`` int64, spread evenly over the batch, which makes a
            calmer loss; and ``[B, L]`` in [0, 1), which decides the noisy tokens.
        """
        device = codes.device
        places = (torch.arange(len(codes), device=device) + torch.rand((), device=device)) / len(codes)
        times = (places * self.schedule.steps).floor().long().clamp_max(self.schedule.steps - 1) + 1
        return times, torch.rand(codes.shape, device=device)

    def passes(self, options: SamplingOptions) -> int:
        """One for each step."""
        if options.parallel:
            return min(options.steps or PARALLEL_STEPS, self.length)
        return min(options.steps or self.schedule.steps, self.schedule.steps)

    def sample_sequence(
        self, condition: Tensor, known: Tensor, options: SamplingOptions, report: Callable[[], None]
    ) -> Tensor:
        walk = self._parallel if options.parallel else self._ancestral
        return walk(condition, known, options, report)

    def _ancestral(
        self, condition: Tensor, known: Tensor, options: SamplingOptions, report: Callable[[], None]
    ) -> Tensor:
        """Backwards through the chain, over all times or evenly over fewer (VQ-Diffusion, section 4.4)."""
        batch, count = len(condition), self.passes(options)
        read = self._read_for(condition, options)
        times = torch.linspace(self.schedule.steps, 0, count + 1).round().long().to(self.device)
        uniform = uniforms(options, batch, count + 1, self.length).to(self.device)
        given = known != UNKNOWN
        start = q_pred(torch.zeros_like(known), self.schedule, times[:1].expand(batch))
        x = torch.where(given, known, pick(start, uniform[:, 0]))
        for step in range(count):
            t, s = times[step].expand(batch), times[step + 1].expand(batch)
            logits = self._guided_logits(x, t, read, options, step / max(count - 1, 1))
            p_x_0 = probabilities(logits, options)
            drawn = pick(q_posterior(x, p_x_0, self.schedule, t, s), uniform[:, step + 1])
            x = torch.where(given, known, drawn)
            report()
        return x

    def _parallel(
        self, condition: Tensor, known: Tensor, options: SamplingOptions, report: Callable[[], None]
    ) -> Tensor:
        """The surest tokens first (Chang et al., "MaskGIT", CVPR 2022, section 3.2)."""
        batch, count = len(condition), self.passes(options)
        read = self._read_for(condition, options)
        uniform = uniforms(options, batch, 2, count, self.length).to(self.device)
        given = known != UNKNOWN
        wanted = (~given).sum(1, keepdim=True)
        x = torch.where(given, known, self.vocabulary.mask)
        for step in range(count):
            masked = x == self.vocabulary.mask
            share = masked.float().mean(1)
            t = (share * self.schedule.steps).ceil().long().clamp_min(1)
            logits = self._guided_logits(x, t, read, options, step / max(count - 1, 1))
            probability = probabilities(logits, options)
            drawn = pick(probability, uniform[:, 0, step])
            sureness = probability.gather(2, drawn[..., None])[..., 0].clamp_min(1e-20).log()
            # Chance decides the order at first, sureness in the end.
            noise = -(-uniform[:, 1, step].clamp(1e-20, 1 - 1e-7).log()).log()
            sureness = sureness + _CHOICE_NOISE * (1 - (step + 1) / count) * noise
            left = (wanted * math.cos(math.pi / 2 * (step + 1) / count)).long()
            order = sureness.masked_fill(~masked, math.inf).argsort(1).argsort(1)
            x = torch.where(masked & (order >= left), drawn, x)
            report()
        return x

    def _read_for(self, condition: Tensor, options: SamplingOptions) -> Cache:
        """The condition, and where it guides, null as a second half of the batch."""
        if options.guidance == 1:
            return self._read(condition)
        return self._read(torch.cat([condition, torch.zeros_like(condition)]))

    def _guided_logits(
        self, x: Tensor, t: Tensor, read: Cache, options: SamplingOptions, progress: float
    ) -> Tensor:
        if options.guidance == 1:
            return self._logits(x, t, read)
        conditional, unconditional = self._logits(x.repeat(2, 1), t.repeat(2), read).chunk(2)
        return guided(conditional, unconditional, guidance_at(options, progress))
