"""Encoders and decoders of the plain loops: two strided stages and what a user puts between them."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from loop_data import SIZE, SOURCES
from loop_zoo import Loop

WIDTH = 64
_PATCH = 4
_DCT = 8

_CONV: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, Any] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
# Kernel and stride of both stages; time is halved once.
_STAGES: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {
    1: ({"kernel_size": 8, "stride": 4, "padding": 2}, {"kernel_size": 8, "stride": 4, "padding": 2}),
    2: ({"kernel_size": 4, "stride": 2, "padding": 1}, {"kernel_size": 4, "stride": 2, "padding": 1}),
    3: (
        {"kernel_size": (3, 4, 4), "stride": (1, 2, 2), "padding": 1},
        {"kernel_size": 4, "stride": 2, "padding": 1},
    ),
}


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of ``[B, C, *S]``."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalize every place by itself."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Residual(nn.Module):
    """``x + conv(relu(conv(relu(x))))``, two-dimensional."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width, width // 2, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width // 2, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add the branch to its input."""
        out: Tensor = x + self.net(x)
        return out


class ViT(nn.Module):
    """Two transformer blocks on a square grid of tokens with learned positions."""

    def __init__(self, width: int, tokens: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1, tokens, width) * 0.02)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(2)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the places of ``x`` [B, C, H, W]."""
        tokens = x.flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens).transpose(1, 2).reshape(x.shape)


class DCT(nn.Module):
    """The block DCT of the grey image: 64 coefficients of each 8 by 8 block, nothing to learn."""

    basis: Tensor

    def __init__(self) -> None:
        super().__init__()
        place = torch.arange(_DCT) + 0.5
        rows = torch.cos(math.pi / _DCT * torch.arange(_DCT)[:, None] * place) * math.sqrt(2 / _DCT)
        rows[0] /= math.sqrt(2)
        self.register_buffer("basis", torch.einsum("ux,vy->uvxy", rows, rows).reshape(-1, 1, _DCT, _DCT))

    def forward(self, x: Tensor) -> Tensor:
        """Return the coefficients ``[B, 64, H / 8, W / 8]``."""
        return F.conv2d(x.mean(1, keepdim=True), self.basis, stride=_DCT)


def encoder(loop: Loop) -> nn.Module:
    """Build the network from inputs to latents before ``scale`` and ``offset``."""
    source, kind = SOURCES[loop.data], loop.encoder
    if kind == "frozen-dct":
        return DCT()
    if kind == "vit":
        patches = nn.Conv2d(source.channels, WIDTH, _PATCH, _PATCH)
        return nn.Sequential(patches, ViT(WIDTH, (SIZE // _PATCH) ** 2), nn.Conv2d(WIDTH, loop.dim, 1))
    conv, (first, second) = _CONV[source.dims], _STAGES[source.dims]
    net = nn.Sequential(
        conv(source.channels, WIDTH, **first),
        *_between(kind),
        conv(WIDTH, WIDTH, **second),
        *([Residual(WIDTH), Residual(WIDTH), nn.ReLU()] if kind == "residual" else _between(kind)),
        conv(WIDTH, loop.dim, 1),
    )
    return net.requires_grad_(False) if loop.frozen else net


def decoder(loop: Loop, outputs: int) -> nn.Module:
    """Build the mirrored network from quantized latents to ``outputs`` channels; none for features."""
    source, kind = SOURCES[loop.data], loop.encoder
    if loop.frozen:
        return nn.Identity()
    if kind == "vit":
        mixed = ViT(WIDTH, (SIZE // _PATCH) ** 2)
        return nn.Sequential(
            nn.Conv2d(loop.dim, WIDTH, 1), mixed, nn.ConvTranspose2d(WIDTH, outputs, _PATCH, _PATCH)
        )
    back, (first, second) = _TRANSPOSED[source.dims], _STAGES[source.dims]
    return nn.Sequential(
        _CONV[source.dims](loop.dim, WIDTH, 1),
        *([Residual(WIDTH), Residual(WIDTH), nn.ReLU()] if kind == "residual" else _between(kind)),
        back(WIDTH, WIDTH, **second),
        *_between(kind),
        back(WIDTH, outputs, **first),
    )


def _between(kind: str) -> list[nn.Module]:
    """List what stands between two convolutions."""
    norms: dict[str, Any] = {
        "group": lambda: nn.GroupNorm(8, WIDTH),
        "batch": lambda: nn.BatchNorm2d(WIDTH),
        "layer": lambda: ChannelNorm(WIDTH),
    }
    return [*([norms[kind]()] if kind in norms else []), nn.ReLU()]
