"""Tokens of video clips: RegularizedVectorQuantizer between two 3-D networks, in a plain PyTorch loop.

The clips are made here: a square of one of eight colours crosses a dark picture. A token stands for a block
of four frames and four by four pixels. Run it: python examples/video_in_a_plain_loop.py (seconds on a CPU).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regvq.quantizers import RegularizedVectorQuantizer

FRAMES, SIDE, SQUARE = 8, 16, 6


def clips(count: int, generator: torch.Generator) -> Tensor:
    """``[count, 3, FRAMES, SIDE, SIDE]`` in [-1, 1]."""
    video = torch.full((count, 3, FRAMES, SIDE, SIDE), -1.0)
    colours = torch.randint(0, 2, (count, 3), generator=generator) * 1.6 - 0.6
    start, end = torch.randint(0, SIDE - SQUARE + 1, (2, count, 2), generator=generator)
    for clip in range(count):
        for frame in range(FRAMES):
            place = start[clip] + (end[clip] - start[clip]) * frame / (FRAMES - 1)
            y, x = place.round().int().tolist()
            video[clip, :, frame, y : y + SQUARE, x : x + SQUARE] = colours[clip, :, None, None]
    return video


def train(steps: int = 150, codes: int = 64, dim: int = 16) -> dict[str, float]:
    """Trains, and measures on clips that were never seen."""
    torch.manual_seed(0)
    chance = torch.Generator().manual_seed(0)
    encoder = nn.Sequential(
        nn.Conv3d(3, 32, 4, stride=2, padding=1), nn.SiLU(), nn.Conv3d(32, dim, 4, stride=2, padding=1)
    )
    decoder = nn.Sequential(
        nn.ConvTranspose3d(dim, 32, 4, stride=2, padding=1),
        nn.SiLU(),
        nn.ConvTranspose3d(32, 3, 4, stride=2, padding=1),
    )
    quantizer = RegularizedVectorQuantizer(codes, dim)
    modules = nn.ModuleList([encoder, quantizer, decoder])
    optimizer = torch.optim.AdamW(modules.parameters(), lr=3e-3)
    for _ in range(steps):
        video = clips(8, chance)
        output = quantizer(encoder(video))  # latents [B, D, 2, 4, 4]
        # The reconstruction, and the quantizer's own losses, of which the defaults have none.
        loss = F.l1_loss(decoder(output.quantized), video) + output.loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    modules.eval()  # from now on no chance: every token is the best one
    with torch.no_grad():
        video = clips(32, chance)
        tokens = quantizer.encode(encoder(video))  # [B, 2, 4, 4]
        error = F.l1_loss(decoder(quantizer.decode(tokens)), video)
    return {
        "tokens a clip": tokens[0].numel(),
        "codes used": len(tokens.unique()) / codes,
        "error of a constant": float((video - video.mean()).abs().mean()),
        "error": float(error),
    }


if __name__ == "__main__":
    figures = train()
    for name, value in figures.items():
        print(f"{name}: {value:.3g}")
