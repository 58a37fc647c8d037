"""DINOv2, whose features follow people's judgement of generated images better than Inception's."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.nets.features.base import FeatureNet
from regvq.nets.features.pretrained import IMAGENET_MEAN, IMAGENET_STD

DEFAULT = "facebook/dinov2-base"


class DINOv2Features(FeatureNet):
    """The class token of a DINOv2 transformer.

    Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision", 2023; for the evaluation of
    generated images Stein et al., "Exposing flaws of generative model evaluation metrics", NeurIPS 2023.

    Args:
        weights: a folder that ``transformers`` has saved; None takes ``facebook/dinov2-base`` from Hugging
            Face's cache.

    Raises:
        RegvqError: it is in neither place, or is another net.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__()
        from transformers import Dinov2Model

        source = DEFAULT if weights is None else str(weights)
        try:
            loaded: Any = Dinov2Model.from_pretrained(
                source, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            reason = str(error).strip().splitlines()[0]
            raise RegvqError(
                f"no DINOv2 at {source} (nothing is downloaded; {reason}): give the folder of a copy, with "
                "config.json and model.safetensors"
            ) from None
        net, found = loaded
        wrong = [str(key) for kind in ("missing_keys", "unexpected_keys") for key in found[kind]]
        if wrong or net.config.model_type != "dinov2":
            raise RegvqError(f"{source} is another net than a DINOv2 ({', '.join(wrong[:2])})")
        self.net = net.requires_grad_(False)
        self.name = "DINOv2" if weights is None else f"DINOv2 ({Path(weights).name})"
        # On images in [-1, 1], as in SequentialFeatures.
        self.register_buffer("mean", 2 * torch.tensor(IMAGENET_MEAN).view(3, 1, 1) - 1, persistent=False)
        self.register_buffer("scale", 2 * torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        self.eval()

    def layers(self, images: Tensor) -> list[Tensor]:
        token: Tensor = self.net(pixel_values=(images - self.mean) / self.scale).pooler_output
        return [token[:, :, None, None]]
