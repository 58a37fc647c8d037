"""VQGAN written in plain torch, its modules under the names of published checkpoints.

It shares nothing with the networks under test: 1x1 convolutions attend, and the way through the blocks
is spelt out.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-6)


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = _norm(outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.conv1(F.silu(self.norm1(x)))
        branch = self.conv2(F.silu(self.norm2(branch)))
        return branch + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class _Attention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        h = self.norm(x)
        q, k, v = (part(h).flatten(2) for part in (self.q, self.k, self.v))
        weight = torch.einsum("bci,bcj->bij", q, k).mul(channels**-0.5).softmax(2)
        attended = torch.einsum("bij,bcj->bci", weight, v).view(batch, channels, height, width)
        return x + self.proj_out(attended)


class _Resampling(nn.Module):
    def __init__(self, channels: int, up: bool) -> None:
        super().__init__()
        self.up = up
        self.conv = nn.Conv2d(channels, channels, 3, stride=1 if up else 2, padding=1 if up else 0)

    def forward(self, x: Tensor) -> Tensor:
        if self.up:
            return self.conv(x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class _Level(nn.Module):
    def __init__(self, inputs: int, outputs: int, blocks: int, attends: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList(_Residual(outputs if i else inputs, outputs) for i in range(blocks))
        self.attn = nn.ModuleList(_Attention(outputs) for _ in range(blocks if attends else 0))

    def forward(self, x: Tensor) -> Tensor:
        for number, block in enumerate(self.block):
            x = block(x)
            if len(self.attn):
                x = self.attn[number](x)
        for name in ("downsample", "upsample"):
            if hasattr(self, name):
                x = getattr(self, name)(x)
        return x


class _Middle(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1, self.block_2 = _Residual(channels, channels), _Residual(channels, channels)
        self.attn_1 = _Attention(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class _Encoder(nn.Module):
    def __init__(self, widths: Sequence[int], blocks: int, attends: Sequence[int], latent: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        before = [widths[0], *widths]
        self.down = nn.ModuleList(
            _Level(before[i], width, blocks, i in attends) for i, width in enumerate(widths)
        )
        for level, width in zip(self.down[:-1], widths, strict=False):
            level.downsample = _Resampling(width, up=False)
        self.mid = _Middle(widths[-1])
        self.norm_out, self.conv_out = _norm(widths[-1]), nn.Conv2d(widths[-1], latent, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class _Decoder(nn.Module):
    def __init__(self, widths: Sequence[int], blocks: int, attends: Sequence[int], latent: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(latent, widths[-1], 3, padding=1)
        self.mid = _Middle(widths[-1])
        after = [*widths, widths[-1]]
        self.up = nn.ModuleList(
            _Level(after[i + 1], width, blocks + 1, i in attends) for i, width in enumerate(widths)
        )
        for level, width in zip(self.up[1:], widths[1:], strict=True):
            level.upsample = _Resampling(width, up=True)
        self.norm_out, self.conv_out = _norm(widths[0]), nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class TamingVQGAN(nn.Module):
    """Images to codes and images, the nearest code or, with ``gumbel``, the likeliest."""

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 64),
        blocks: int = 1,
        attends: Sequence[int] = (2,),
        latent: int = 6,
        dim: int = 6,
        codes: int = 24,
        gumbel: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = _Encoder(widths, blocks, attends, latent)
        self.decoder = _Decoder(widths, blocks, attends, latent)
        self.quantize = nn.Module()
        if gumbel:
            self.quantize.proj = nn.Conv2d(dim, codes, 1)
            self.quantize.embed = nn.Embedding(codes, dim)
        else:
            self.quantize.embedding = nn.Embedding(codes, dim)
        self.quant_conv = nn.Conv2d(latent, dim, 1)
        self.post_quant_conv = nn.Conv2d(dim, latent, 1)

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        z = self.quant_conv(self.encoder(images))
        if hasattr(self.quantize, "proj"):
            codes, table = self.quantize.proj(z).argmax(1), self.quantize.embed
        else:
            table = self.quantize.embedding
            codes = (z.movedim(1, -1)[..., None, :] - table.weight).square().sum(-1).argmin(-1)
        return codes, self.decoder(self.post_quant_conv(table(codes).movedim(-1, 1)))
