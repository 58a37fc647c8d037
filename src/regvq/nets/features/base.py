"""The contract of every frozen feature net."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from regvq.errors import RegvqError


class FeatureNet(nn.Module, ABC):
    """Images to feature maps, by a net that never learns.

    It stays in eval mode whatever ``train`` says, and its weights are non-persistent buffers: no
    optimizer sees them, no checkpoint carries them. Gradients reach the images.

    Attributes:
        name: what a report prints beside a figure that this net was used for.
    """

    name: str

    @abstractmethod
    def layers(self, images: Tensor) -> list[Tensor]:
        """``forward`` on images that were checked."""

    def forward(self, images: Tensor) -> list[Tensor]:
        """One map ``[B, C, h, w]`` a layer, shallow to deep, of images ``[B, 3, H, W]`` in [-1, 1].

        Raises:
            RegvqError: the images have not three channels.
        """
        if images.ndim != 4 or images.shape[1] != 3:
            raise RegvqError(f"a feature net takes images [B, 3, H, W], not {list(images.shape)}")
        return self.layers(images)

    @torch.no_grad()
    def pooled(self, images: Tensor) -> Tensor:
        """One float32 vector ``[B, F]`` an image, for a Fréchet distance.

        The spatial mean of every channel of every layer, layers in order.
        """
        return torch.cat([layer.float().mean((2, 3)) for layer in self(images)], 1)

    def pooled_and_logits(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """``pooled``, and a classifier's logits ``[B, K]`` where scores are taken on this net."""
        return self.pooled(images), None

    def weights_hash(self) -> str:
        """Twelve hexadecimal digits that change with any weight: which net it was, beside a figure."""
        digest = hashlib.sha256()
        for name, value in sorted([*self.named_buffers(), *self.named_parameters()]):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:12]

    def train(self, mode: bool = True) -> "FeatureNet":
        """Changes nothing: a frozen net is always in eval mode."""
        return super().train(False)


class SequentialFeatures(FeatureNet):
    """The outputs of some steps of a sequential net.

    Args:
        name: what a report prints.
        trunk: the net; it is frozen, and what lies behind the last tap is dropped.
        taps: indices of the steps whose outputs are the layers, ascending.
        mean: what is subtracted from images in [0, 1], a number a channel.
        std: what they are then divided by.
        smallest: the smallest side of an image, in pixels, that the net can take.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        name: str,
        trunk: nn.Sequential,
        taps: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
        smallest: int,
    ) -> None:
        super().__init__()
        self.name = name
        self.trunk = freeze(trunk[: taps[-1] + 1])
        self.taps = frozenset(taps)
        self.smallest = smallest
        # On images in [-1, 1]: ((x + 1) / 2 - mean) / std = (x - (2 mean - 1)) / (2 std).
        self.register_buffer("mean", 2 * torch.tensor(mean).view(3, 1, 1) - 1, persistent=False)
        self.register_buffer("scale", 2 * torch.tensor(std).view(3, 1, 1), persistent=False)
        self.eval()

    def layers(self, images: Tensor) -> list[Tensor]:
        if min(images.shape[2:]) < self.smallest:
            raise RegvqError(
                f"{self.name} needs images of at least {self.smallest} pixels a side, "
                f"not {images.shape[2]}x{images.shape[3]}: enlarge them or choose another feature net"
            )
        value = (images - self.mean) / self.scale
        outputs = []
        for index, step in enumerate(self.trunk):
            value = step(value)
            if index in self.taps:
                outputs.append(value)
        return outputs


def freeze(module: nn.Sequential) -> nn.Sequential:
    """Turns all parameters of ``module`` into non-persistent buffers; returns it, in eval mode."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, parameter.detach(), persistent=False)
        # An activation in place would overwrite the layer before it, which may be a tapped one.
        if isinstance(part, nn.ReLU):
            part.inplace = False
    return module.eval()
