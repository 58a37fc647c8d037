"""The Inception net of the Fréchet inception distance: torch-fidelity's, with the user's own weights."""

import hashlib
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.nets.features.base import FeatureNet
from regvq.nets.features.weights import load_weights, weights_file

CACHED_NAME = "weights-inception-2015-12-05-6726825d.pth"
"""What torch-fidelity calls the file in torch's cache."""

_ORIGINAL = "6726825d"
"""The first digits of the SHA-256 of the published file, which its name ends with."""


class InceptionFeatures(FeatureNet):
    """The 2,048 pooled features and the logits that FID, KID and the Inception Score are defined on.

    The network is that of December 2015 as ``torch-fidelity`` rebuilds it, its resizing to 299 pixels
    included; images are rounded to 8 bits first, as they are when they are read from files.

    Attributes:
        original: whether the weights are the published ones, known by their file: what is measured with
            others has not the names FID, KID and IS.

    Args:
        weights: a state dict of torch-fidelity's ``FeatureExtractorInceptionV3``; None takes torch's own
            cache.

    Raises:
        RegvqError: torch-fidelity is not installed, or the weights are missing or another net's.
    """

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__()
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError:
            raise RegvqError(
                "the Inception net needs torch-fidelity: pip install 'regvq[eval]' or choose other features"
            ) from None
        state = load_weights(weights, CACHED_NAME, "Inception")
        file = weights_file(weights, CACHED_NAME)
        self.original = _digest(file).startswith(_ORIGINAL)
        self.name = "Inception" if self.original else f"Inception with the weights {file.name}"
        # The library unpickles whatever file it is given: what was read safely goes through one of ours.
        with tempfile.TemporaryDirectory() as folder:
            own = Path(folder) / "weights.pth"
            torch.save(state, own)
            try:
                self.net = FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], str(own))
            except RuntimeError as error:
                reason = str(error).splitlines()[-1].strip()
                raise RegvqError(f"these are not the weights of Inception: {reason}") from None
        self.eval()

    def layers(self, images: Tensor) -> list[Tensor]:
        pooled, _ = self._both(images)
        return [pooled[:, :, None, None]]

    @torch.no_grad()
    def pooled_and_logits(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        return self._both(images)

    def _both(self, images: Tensor) -> tuple[Tensor, Tensor]:
        pixels = images.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
        pooled, logits = self.net(pixels)
        return pooled, logits


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
