"""Tokens of sound: RegularizedVectorQuantizer in code that was written for vector-quantize-pytorch.

Such code has latents with the channels last and expects three things back: ``quantized, indices, loss``.
``TupleQuantizer`` is all that it takes. The sounds are made here: two tones, each with its own envelope.
Run it: python examples/audio_in_tuple_style.py (seconds on a CPU).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regvq.quantizers import Quantizer, RegularizedVectorQuantizer

SAMPLES, HOP = 512, 16


class TupleQuantizer(nn.Module):
    """Latents ``[B, L, D]`` to embeddings ``[B, L, D]``, tokens ``[B, L]`` and a scalar loss."""

    def __init__(self, quantizer: Quantizer) -> None:
        super().__init__()
        self.quantizer = quantizer

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        output = self.quantizer(latents.transpose(1, 2))
        # While training, a share of the tokens is sampled: these are what the decoder gets.
        return output.quantized.transpose(1, 2), output.codes, output.loss

    def get_output_from_indices(self, indices: Tensor) -> Tensor:
        """Tokens ``[B, L]`` to embeddings ``[B, L, D]``."""
        return self.quantizer.decode(indices).transpose(1, 2)


def sounds(count: int, generator: torch.Generator) -> Tensor:
    """``[count, 1, SAMPLES]`` in [-1, 1]."""
    time = torch.arange(SAMPLES) / SAMPLES
    draw = torch.rand(count, 2, 3, 1, generator=generator)
    tones = torch.sin(2 * math.pi * (4 + 12 * draw[:, :, 0]) * time)
    envelopes = torch.exp(-(((time - draw[:, :, 1]) / (0.1 + 0.3 * draw[:, :, 2])) ** 2))
    return (tones * envelopes).mean(1, keepdim=True)


def train(steps: int = 200, codes: int = 64, dim: int = 8) -> dict[str, float]:
    """Trains, and measures on sounds that were never heard."""
    torch.manual_seed(0)
    chance = torch.Generator().manual_seed(0)
    encoder = nn.Sequential(
        nn.Conv1d(1, 32, 2 * HOP, stride=HOP, padding=HOP // 2), nn.SiLU(), nn.Conv1d(32, dim, 1)
    )
    decoder = nn.Sequential(
        nn.Conv1d(dim, 32, 3, padding=1),
        nn.SiLU(),
        nn.ConvTranspose1d(32, 1, 2 * HOP, stride=HOP, padding=HOP // 2),
    )
    quantize = TupleQuantizer(RegularizedVectorQuantizer(codes, dim))
    modules = nn.ModuleList([encoder, quantize, decoder])
    optimizer = torch.optim.AdamW(modules.parameters(), lr=3e-3)
    for _ in range(steps):
        audio = sounds(16, chance)
        latents = encoder(audio).transpose(1, 2)  # [B, L, D]
        quantized, indices, quantizer_loss = quantize(latents)
        loss = F.l1_loss(decoder(quantized.transpose(1, 2)), audio) + quantizer_loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    modules.eval()
    with torch.no_grad():
        audio = sounds(64, chance)
        quantized, indices, _ = quantize(encoder(audio).transpose(1, 2))
        assert torch.equal(quantize.get_output_from_indices(indices), quantized)
        error = F.l1_loss(decoder(quantized.transpose(1, 2)), audio)
    return {
        "tokens a sound": indices[0].numel(),
        "codes used": len(indices.unique()) / codes,
        "error of silence": float(audio.abs().mean()),
        "error": float(error),
    }


if __name__ == "__main__":
    figures = train()
    for name, value in figures.items():
        print(f"{name}: {value:.3g}")
