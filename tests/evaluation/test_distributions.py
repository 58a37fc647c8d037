"""Distances between sets of images: hand-computed, and against torch-fidelity's own numbers."""

import hashlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch_fidelity
from torch_fidelity import feature_extractor_inceptionv3 as library
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from regvq.errors import RegvqError
from regvq.evaluation.distributions import (
    ENOUGH,
    FeatureCollector,
    FeatureSet,
    bias_of_pairs,
    bias_of_samples,
    distribution_measurements,
    features_of,
    few_images,
    frechet,
)
from regvq.nets import InceptionFeatures, OfflineFeatures
from regvq.nets.features import inception as published


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Weights of the right shapes, drawn instead of trained: the library has none without a download."""
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "load_state_dict_from_url", lambda *args, **kwargs: {})
        patch.setattr(library.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        net = library.FeatureExtractorInceptionV3("inception", ["2048"])
    torch.save(net.state_dict(), path)
    return path


class Pixels(torch.utils.data.Dataset[torch.Tensor]):
    """8-bit images as torch-fidelity reads them."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.images[index]


def values(found: list, names: list[str]) -> list[float]:
    by_name = {one.name: one.value for one in found}
    return [by_name[name] for name in names]


def test_all_figures_are_those_of_torch_fidelity(inception: Path) -> None:
    one = torch.randint(0, 256, (12, 3, 24, 24), dtype=torch.uint8)
    other = torch.randint(0, 200, (10, 3, 24, 24), dtype=torch.uint8)
    theirs = torch_fidelity.calculate_metrics(
        input1=Pixels(one),
        input2=Pixels(other),
        fid=True,
        kid=True,
        isc=True,
        prc=True,
        kid_subset_size=10,
        num_workers=0,
        batch_size=12,
        prc_neighborhood=3,
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=str(inception),
        cuda=False,
        cache=False,
        verbose=False,
    )
    net = InceptionFeatures(inception)
    sets = [features_of(net, [part.float() / 127.5 - 1]).result() for part in (one, other)]
    mine = [one.value for one in distribution_measurements(net, *sets)]
    names = ["frechet_inception_distance", "kernel_inception_distance_mean", "precision", "recall"]
    expected = [theirs[name] for name in [*names, "inception_score_mean"]]
    # The library takes a matrix root of singular covariances, exact to about a thousandth of their trace.
    scale = float(sets[0].gaussian[1].trace() + sets[1].gaussian[1].trace())
    assert mine[0] == pytest.approx(expected[0], abs=1e-3 * scale)
    assert mine[1:] == pytest.approx(expected[1:], rel=1e-4, abs=1e-6)


def test_the_frechet_distance_is_the_library_s_on_fixed_features() -> None:
    rows = torch.randn(200, 12, generator=torch.Generator().manual_seed(1))
    other = torch.randn(150, 12, generator=torch.Generator().manual_seed(2)) * 1.5 + 0.3
    theirs = fid_statistics_to_metric(
        *(fid_features_to_statistics(part) for part in (rows, other)), verbose=False
    )
    assert frechet(FeatureSet(rows), FeatureSet(other)) == pytest.approx(
        theirs["frechet_inception_distance"], rel=1e-6
    )


def test_the_kernel_distance_by_hand() -> None:
    rows = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    other = torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, -1.0]])

    def kernel(a: torch.Tensor, b: torch.Tensor) -> float:
        return float((a @ b / 2 + 1) ** 3)

    inside = [
        sum(kernel(s[i], s[j]) for i in range(3) for j in range(3) if i != j) / 6 for s in (rows, other)
    ]
    across = sum(kernel(a, b) for a in rows for b in other) / 9
    expected = sum(inside) - 2 * across
    net = OfflineFeatures()
    found = distribution_measurements(net, FeatureSet(rows), FeatureSet(other))
    # Subsets of all images: every one of the hundred is the same.
    (value,) = values(found, [f"kernel distance ({net.name})"])
    assert value == pytest.approx(expected, rel=1e-6)


def test_precision_and_recall_of_what_is_apart_and_of_what_is_the_same() -> None:
    rows = torch.randn(40, 3)
    for other, expected in ((rows, [1.0, 1.0]), (rows + 100, [0.0, 0.0])):
        found = distribution_measurements(OfflineFeatures(), FeatureSet(rows), FeatureSet(other))
        assert values(found, ["precision", "recall"]) == expected


def test_precision_and_recall_by_hand() -> None:
    # Balls reach to the third nearest of the own set, here the farthest: 3, 2, 2 and 3 around the first,
    # 28.5, 18.5, 18.5 and 28.5 around the other. One of the other set is in a ball of the first, all of
    # the first are in a ball of the other.
    line = torch.tensor([[1.0, 0.0]])
    real, other = (torch.tensor([x]).T * line for x in ([0.0, 1.0, 2.0, 3.0], [1.5, 10.0, 20.0, 30.0]))
    names = ["precision", "recall"]
    found = distribution_measurements(OfflineFeatures(), FeatureSet(other), FeatureSet(real))
    assert values(found, names) == [0.25, 1.0]
    found = distribution_measurements(OfflineFeatures(), FeatureSet(real), FeatureSet(other))
    assert values(found, names) == [1.0, 0.25]


def test_the_score_of_certain_and_even_predictions_is_their_number() -> None:
    logits = 50 * torch.eye(4).repeat_interleave(25, 0)
    rows = torch.randn(100, 3)
    found = distribution_measurements(OfflineFeatures(), FeatureSet(rows, logits), FeatureSet(rows))
    # Ten splits after a shuffle: each holds ten of the four classes, in uneven numbers.
    (value,) = values(found, [f"classifier's score ({OfflineFeatures().name})"])
    assert 3 < value <= 4


def test_only_inception_s_features_have_the_names_of_the_field(
    inception: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = torch.randn(10, 3)
    sets = FeatureSet(rows), FeatureSet(rows + 1)
    offline = [one.name for one in distribution_measurements(OfflineFeatures(), *sets)]
    assert not any("FID" in name or "KID" in name for name in offline)
    assert offline[0].startswith("Fréchet distance (")
    logits = torch.randn(10, 5)
    judged = FeatureSet(rows, logits), sets[1]

    def names() -> list[str]:
        found = distribution_measurements(InceptionFeatures(inception), *judged, kind="r")
        return [one.name for one in found if one.name not in ("precision", "recall")]

    # The fixture's weights are drawn, and no published ones.
    theirs = "(Inception with the weights weights.pth)"
    assert names() == [
        f"{what} {theirs}" for what in ("Fréchet distance", "kernel distance", "classifier's score")
    ]
    monkeypatch.setattr(published, "_ORIGINAL", hashlib.sha256(inception.read_bytes()).hexdigest()[:8])
    assert names() == ["rFID", "rKID", "IS"]


def test_a_file_in_torch_s_cache_is_known_by_its_content_not_by_its_name(
    inception: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub" / "checkpoints" / published.CACHED_NAME
    cached.parent.mkdir(parents=True)
    cached.symlink_to(inception)
    net = InceptionFeatures()
    assert not net.original
    assert net.name == f"Inception with the weights {published.CACHED_NAME}"


def test_the_bias_that_is_told_is_about_the_one_there_is() -> None:
    generator = torch.Generator().manual_seed(0)
    # Two sets of one distribution: all of their distance is bias.
    rows = torch.randn(2, 600, 40, generator=generator)
    measured = frechet(FeatureSet(rows[0]), FeatureSet(rows[1]))
    assert bias_of_samples(600, FeatureSet(rows[0])) == pytest.approx(measured, rel=0.2)
    fewer = frechet(FeatureSet(rows[1, :150]), FeatureSet(rows[0]))
    assert bias_of_samples(150, FeatureSet(rows[0])) == pytest.approx(fewer, rel=0.25)
    assert bias_of_samples(150, FeatureSet(rows[0, :3])) is None


def test_the_bias_of_reconstructions_is_about_the_one_there_is() -> None:
    generator = torch.Generator().manual_seed(0)
    # Noise, a shift and less contrast: the distance of infinitely many is known in closed form.
    originals = torch.randn(400, 60, generator=generator)
    images = 0.9 * originals + 0.3 * torch.randn(400, 60, generator=generator) + 0.05
    exact = 60 * (0.05**2 + ((0.9**2 + 0.3**2) ** 0.5 - 1) ** 2)
    measured = frechet(FeatureSet(images), FeatureSet(originals))
    assert measured > 1.3 * exact
    told = bias_of_pairs(FeatureSet(images), FeatureSet(originals))
    assert told == pytest.approx(measured - exact, rel=0.2)
    assert bias_of_pairs(FeatureSet(images[:3]), FeatureSet(originals[:3])) is None


def test_few_images_are_a_note_with_their_number() -> None:
    (note,) = few_images(ENOUGH - 1)
    assert "2047 images, fewer than 2048" in note
    assert few_images(ENOUGH) == []


def test_one_image_has_no_distribution() -> None:
    collector = FeatureCollector(OfflineFeatures())
    collector.add(torch.zeros(1, 3, 16, 16))
    with pytest.raises(RegvqError, match="at least 2 images, not 1"):
        collector.result()


def test_the_gaussian_is_numpy_s() -> None:
    rows = torch.randn(30, 4)
    mean, covariance = FeatureSet(rows).gaussian
    np.testing.assert_allclose(mean, rows.double().numpy().mean(0), atol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(rows.double().numpy(), rowvar=False), atol=1e-12)
    assert not math.isnan(float(covariance.sum()))


@pytest.mark.parametrize("damage", ["cut", "other", "missing"])
def test_weights_that_are_not_inception_s_are_a_sentence(
    inception: Path, damage: str, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pth"
    if damage == "cut":
        path.write_bytes(inception.read_bytes()[:1000])
    elif damage == "other":
        torch.save({"layer.weight": torch.zeros(2)}, path)
    with pytest.raises(RegvqError, match="Inception"):
        InceptionFeatures(path)


def test_a_pickle_that_poses_as_weights_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"fc.weight": Trap()}, tmp_path / "weights.pth")
    with pytest.raises(RegvqError, match="cannot be read as weights"):
        InceptionFeatures(tmp_path / "weights.pth")
    assert not (tmp_path / "sprung").exists()
