"""The tokenizer: encoder, quantizer and decoder in one module and in one folder."""

from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from regvq import hub, model_folder
from regvq.errors import RegvqError
from regvq.nets import Backbone
from regvq.pretrained import PretrainedModel
from regvq.quantizers import Quantizer
from regvq.types import TokenizerOutput


class ImageTokenizer(PretrainedModel):
    """Images ``[B, 3, H, W]``, float in [-1, 1], to codes ``[B, H/f, W/f]``, int64, and back.

    Args:
        backbone: encoder and decoder.
        quantizer: latents to codes. 1x1 convolutions on both sides fit its ``dim`` to the backbone.
    """

    kind: ClassVar[Literal["tokenizer", "generator"]] = "tokenizer"

    def __init__(self, backbone: Backbone, quantizer: Quantizer) -> None:
        super().__init__()
        self.backbone = backbone
        self.quant_conv = nn.Conv2d(backbone.latent_channels, quantizer.dim, 1)
        self.quantizer = quantizer
        self.post_quant_conv = nn.Conv2d(quantizer.dim, backbone.latent_channels, 1)
        for convolution in (self.quant_conv, self.post_quant_conv):
            # The identity, as far as the sizes allow: the quantizer starts on the backbone's own latents.
            for parameter in convolution.parameters():
                nn.init.zeros_(parameter)
            nn.init.dirac_(convolution.weight)

    @property
    def codebook_size(self) -> int:
        """Number of codes N."""
        return self.quantizer.codebook_size

    @property
    def downsampling(self) -> int:
        """Image pixels a token's side, f."""
        return self.backbone.downsampling

    def latents(self, images: Tensor) -> Tensor:
        """What the quantizer sees: ``[B, D, H/f, W/f]``.

        Raises:
            RegvqError: the images are not [B, 3, H, W] with sides that ``downsampling`` divides.
        """
        factor = self.downsampling
        if images.ndim != 4 or images.shape[1] != 3:
            raise RegvqError(f"images must be [B, 3, H, W], not {list(images.shape)}")
        if images.shape[2] % factor or images.shape[3] % factor:
            raise RegvqError(
                f"a side of {images.shape[2]}x{images.shape[3]} images is no multiple of {factor}: "
                "crop or resize them"
            )
        latents: Tensor = self.quant_conv(self.backbone.encode(images))
        return latents

    def decode_latents(self, quantized: Tensor) -> Tensor:
        """Embeddings ``[B, D, h, w]`` to images ``[B, 3, h*f, w*f]``, not clamped."""
        return self.backbone.decode(self.post_quant_conv(quantized))

    def forward(self, images: Tensor) -> TokenizerOutput:
        """A training pass: reconstruction and the quantizer's output."""
        quantized = self.quantizer(self.latents(images))
        return TokenizerOutput(self.decode_latents(quantized.quantized), quantized)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Images to codes ``[B, H/f, W/f]`` int64; deterministic."""
        return self.quantizer.encode(self.latents(images))

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Codes ``[B, h, w]`` to images ``[B, 3, h*f, w*f]`` in [-1, 1].

        Raises:
            RegvqError: a code is outside the codebook.
        """
        vectors = self.quantizer.decode(codes)
        return self.decode_latents(vectors.to(self.post_quant_conv.weight.dtype)).clamp(-1, 1)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images to codes to images in [-1, 1]."""
        return self.decode(self.encode(images))

    @classmethod
    def from_pretrained(cls, path: str | Path, revision: str | None = None) -> "ImageTokenizer":
        """Loads what ``save_pretrained`` wrote, in eval mode, on the CPU.

        Args:
            path: a folder, or ``owner/name`` on the Hugging Face Hub, whose cache is asked first.
            revision: branch, tag or commit on the Hub.

        Raises:
            RegvqError: the folder is missing, cut short, or not a tokenizer, or the Hub has no such model.
        """
        tokenizer = model_folder.load_model(hub.local_folder(path, revision))
        if not isinstance(tokenizer, cls):
            raise RegvqError(f"{path} holds a {type(tokenizer).__name__}, not an image tokenizer")
        return tokenizer.eval()

    def fingerprint(self) -> str:
        """Names configuration and weights: 16 hexadecimal digits, the same after save and load."""
        return model_folder.fingerprint(self)

    def about(self) -> dict[str, str]:
        return {
            "backbone": type(self.backbone).__name__,
            "quantizer": type(self.quantizer).__name__,
            "codes": f"{self.codebook_size} of {self.quantizer.dim} channels",
            "a token": f"{self.downsampling} x {self.downsampling} pixels",
            "images": "RGB in [-1, 1]",
            "parameters": f"{sum(parameter.numel() for parameter in self.parameters()):,}",
            "fingerprint": self.fingerprint(),
        }
