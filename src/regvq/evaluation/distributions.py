"""How far a set of images is from another: distances between the distributions of their features."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.evaluation.measurement import Measurement
from regvq.metrics import frechet_distance
from regvq.nets import FeatureNet, InceptionFeatures

ENOUGH = 2048
"""With fewer images the bias of a Fréchet distance is no longer small beside what is compared."""

_SUBSETS, _SUBSET_SIZE = 100, 1000
_NEIGHBOURS = 3
_SPLITS = 10
_SEED = 2020


@dataclass(frozen=True)
class FeatureSet:
    """The features of a set of images.

    Attributes:
        rows: ``[M, F]`` float32.
        logits: ``[M, K]`` of the Inception net, or none.
    """

    rows: Tensor
    logits: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, rows: Tensor) -> "FeatureSet":
        """The features of some of the images, without their logits."""
        return FeatureSet(self.rows[rows])

    @property
    def gaussian(self) -> tuple[Tensor, Tensor]:
        """Mean ``[F]`` and covariance ``[F, F]``, float64."""
        rows = self.rows.double()
        return rows.mean(0), torch.cov(rows.T)


class FeatureCollector:
    """Gathers the features of batches.

    Args:
        net: the frozen net.
    """

    def __init__(self, net: FeatureNet) -> None:
        self.net = net
        self._device = next(itertools.chain(net.buffers(), net.parameters())).device
        self._rows: list[Tensor] = []
        self._logits: list[Tensor] = []

    def add(self, images: Tensor) -> None:
        """Images ``[B, 3, H, W]`` in [-1, 1]; what lies outside is clamped."""
        rows, logits = self.net.pooled_and_logits(images.to(self._device).clamp(-1, 1))
        self._rows.append(rows.float().cpu())
        if logits is not None:
            self._logits.append(logits.float().cpu())

    def tensors(self) -> dict[str, Tensor]:
        """All of them: ``rows``, and ``logits`` where the net has them."""
        found = {"rows": torch.cat(self._rows)}
        return {**found, "logits": torch.cat(self._logits)} if self._logits else found

    def result(self) -> FeatureSet:
        """All of them.

        Raises:
            RegvqError: fewer than two images, which have no spread.
        """
        return joined([self.tensors()] if self._rows else [])


def joined(parts: Sequence[Mapping[str, Tensor]]) -> FeatureSet:
    """The features of all images of several ``FeatureCollector.tensors``.

    Raises:
        RegvqError: fewer than two images, which have no spread.
    """
    count = sum(len(part["rows"]) for part in parts)
    if count < 2:
        raise RegvqError(f"distances between sets of images need at least 2 images, not {count}")
    logits = [part["logits"] for part in parts if "logits" in part]
    return FeatureSet(torch.cat([part["rows"] for part in parts]), torch.cat(logits) if logits else None)


def features_of(net: FeatureNet, batches: Iterable[Tensor]) -> FeatureCollector:
    """The features of batches of images [B, 3, H, W] in [-1, 1]."""
    collector = FeatureCollector(net)
    for images in batches:
        collector.add(images)
    return collector


def frechet(one: FeatureSet, other: FeatureSet) -> float:
    """The squared Fréchet distance of two sets, at least 0."""
    return float(frechet_distance(*one.gaussian, *other.gaussian))


def bias_of_samples(images: int, reference: FeatureSet) -> float | None:
    """About how much of a Fréchet distance comes from the number of images alone, at least 0.

    Two halves of one set should be at distance 0. What is between them instead is what so few images cost:
    a sum over both sets of one over their number (Chong and Forsyth, "Effectively Unbiased FID and
    Inception Score", CVPR 2020), so halves of n images tell its factor, the distance times n / 4.

    Args:
        images: number of images that are compared with the reference, drawn independently of it.
        reference: the real images; where they are fewer than four, nothing can be said.
    """
    if len(reference) < 4:
        return None
    one, other = _halves(len(reference))
    factor = frechet(reference.part(one), reference.part(other)) * len(one) / 2
    return factor * (1 / images + 1 / len(reference))


def bias_of_pairs(images: FeatureSet, originals: FeatureSet) -> float | None:
    """The same for images made of the reference's own, which are not drawn independently of it.

    As the bias falls with one over the number of pairs, half of them have twice of it: what two halves are
    farther from their originals than all are, on average, is the bias of all.

    Args:
        images: the features of what was made, in the order of the originals.
        originals: theirs; where they are fewer than four, nothing can be said.
    """
    if len(originals) < 4:
        return None
    parts = [frechet(images.part(rows), originals.part(rows)) for rows in _halves(len(originals))]
    return max(0.0, sum(parts) / 2 - frechet(images, originals))


def _halves(count: int) -> tuple[Tensor, Tensor]:
    """Two random halves of the numbers below ``count``, always the same; of an odd number one is left."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(_SEED))
    return order[: count // 2], order[count // 2 : 2 * (count // 2)]


def require_library() -> None:
    """Says what is missing before anything long is begun.

    Raises:
        RegvqError: torch-fidelity is not installed.
    """
    try:
        import torch_fidelity  # noqa: F401
    except ImportError:
        raise RegvqError("evaluation needs torch-fidelity: pip install 'regvq[eval]'") from None


def distribution_measurements(
    net: FeatureNet,
    images: FeatureSet,
    reference: FeatureSet,
    kind: str = "",
    bias: float | None = None,
) -> list[Measurement]:
    """Distances of images to their reference, and what can be said of the images alone.

    Kernel distance and score are torch-fidelity's (polynomial kernel of degree 3, 100 subsets of up to
    1,000 images, unbiased; ten splits), precision and recall those of Kynkäänniemi et al., NeurIPS 2019, by
    the third nearest neighbour. Only with Inception's features and its published weights have they the
    names FID, KID and IS.

    Args:
        net: whose features they are.
        images: what is judged.
        reference: the real images.
        kind: put before the names, e.g. ``"r"`` for reconstructions.
        bias: about how much of the Fréchet distance is bias, where that must be said.

    Raises:
        RegvqError: torch-fidelity is not installed.
    """
    require_library()
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    is_inception = isinstance(net, InceptionFeatures) and net.original
    subset = min(_SUBSET_SIZE, len(images), len(reference))
    kernel = kid_features_to_metric(
        images.rows,
        reference.rows,
        kid_subsets=_SUBSETS,
        kid_subset_size=subset,
        rng_seed=_SEED,
        verbose=False,
    )
    neighbours = prc_features_to_metric(
        images.rows,
        reference.rows,
        prc_neighborhood=min(_NEIGHBOURS, subset - 1),
        save_cpu_ram=True,
        verbose=False,
    )
    found = [
        Measurement(
            f"{kind}FID" if is_inception else f"Fréchet distance ({net.name})",
            frechet(images, reference),
            -1,
            bias=bias,
        ),
        Measurement(
            f"{kind}KID" if is_inception else f"kernel distance ({net.name})",
            kernel["kernel_inception_distance_mean"],
            -1,
            spread=kernel["kernel_inception_distance_std"],
            places=5,
        ),
        Measurement("precision", neighbours["precision"], 1, places=3),
        Measurement("recall", neighbours["recall"], 1, places=3),
    ]
    if images.logits is not None:
        score = isc_features_to_metric(images.logits, splits=min(_SPLITS, len(images)), rng_seed=_SEED)
        found.append(
            Measurement(
                "IS" if is_inception else f"classifier's score ({net.name})",
                score["inception_score_mean"],
                1,
                spread=score["inception_score_std"],
                places=2,
            )
        )
    return found


def few_images(images: int) -> list[str]:
    """What to know of a Fréchet distance of so few images; nothing where there are enough."""
    if images >= ENOUGH:
        return []
    return [
        f"{images} images, fewer than {ENOUGH}: compare the Fréchet distance only with figures of as many "
        "images"
    ]
