"""The Fréchet distance between two sets of images in the features of a frozen net."""

import torch
from torch import Tensor
from torchmetrics import Metric

from regvq.errors import RegvqError
from regvq.nets import FeatureNet


def frechet_distance(
    mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor
) -> Tensor:
    """Squared Fréchet distance of two Gaussians: a scalar in the dtype given, at least 0.

    ``|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2))`` (Dowson and Landau, 1982). The trace of the root is
    taken through the symmetric ``C^(1/2) C' C^(1/2)``, which has the same eigenvalues as ``C C'``, so
    that nothing complex appears and singular covariances need no jitter.

    Args:
        mean: ``[F]``.
        covariance: ``[F, F]``, symmetric, positive semi-definite.
        other_mean: ``[F]``.
        other_covariance: ``[F, F]``.
    """
    values, vectors = torch.linalg.eigh(covariance)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ other_covariance @ root).clamp_min(0).sqrt().sum()
    traces = covariance.trace() + other_covariance.trace()
    distance: Tensor = (mean - other_mean).square().sum() + traces - 2 * cross
    return distance.clamp_min(0)


class FrechetDistance(Metric):
    """Fréchet distance between originals and other images; it streams and sums over ranks.

    The number depends on the features, the image size and the number of images, so it only compares
    within one table. Only with the Inception net's features is it an FID (Heusel et al., 2017);
    ``name`` says which features these are.

    Args:
        features: a frozen net; its pooled features are compared.
        keep_originals: ``reset`` forgets the other images only, to compare many sets to one.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False

    def __init__(self, features: FeatureNet, keep_originals: bool = False) -> None:
        super().__init__()
        self.features = features.eval()
        self.keep_originals = keep_originals
        with torch.no_grad():
            size = self.features.pooled(torch.zeros(1, 3, 32, 32)).shape[1]
        for side in ("original", "other"):
            for name, shape in (("sum", (size,)), ("products", (size, size)), ("count", ())):
                zeros = torch.zeros(shape, dtype=torch.float64)
                self.add_state(f"{side}_{name}", default=zeros, dist_reduce_fx="sum")

    @property
    def name(self) -> str:
        """What a report prints: the distance and the features it was taken in."""
        return f"Fréchet distance ({self.features.name})"

    @torch.no_grad()
    def update(self, images: Tensor, original: bool) -> None:
        """Adds ``images`` [B, 3, H, W] in [-1, 1] to the originals or to the others."""
        rows = self.features.pooled(images.clamp(-1, 1)).double()
        side = "original" if original else "other"
        for name, value in (
            ("sum", rows.sum(0)),
            ("products", rows.T @ rows),
            ("count", torch.tensor(len(rows), dtype=torch.float64, device=rows.device)),
        ):
            setattr(self, f"{side}_{name}", getattr(self, f"{side}_{name}") + value)

    def compute(self) -> Tensor:
        """The squared distance, a float64 scalar, at least 0.

        Raises:
            RegvqError: fewer than two images on a side, which have no covariance.
        """
        return frechet_distance(*self._gaussian("original"), *self._gaussian("other"))

    def reset(self) -> None:
        """Forgets the images seen, the originals too unless they are to be kept."""
        kept = {}
        if self.keep_originals:
            kept = {key: getattr(self, key) for key in self._defaults if key.startswith("original")}
        super().reset()
        for key, value in kept.items():
            setattr(self, key, value)

    def _gaussian(self, side: str) -> tuple[Tensor, Tensor]:
        count: Tensor = getattr(self, f"{side}_count")
        if count < 2:
            raise RegvqError(f"a Fréchet distance needs at least 2 {side} images, not {int(count)}")
        mean: Tensor = getattr(self, f"{side}_sum") / count
        products: Tensor = getattr(self, f"{side}_products")
        return mean, (products - count * torch.outer(mean, mean)) / (count - 1)
