"""Tokenizers and generators against real images: repeatable, cached, honest about what was measured."""

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors import safe_open

from regvq.conditions import ClassLabel
from regvq.data import FolderData
from regvq.data.images import save_png
from regvq.data.layouts import ClassFoldersData
from regvq.data.scenes import ScenesData
from regvq.errors import RegvqError
from regvq.evaluation import (
    Evaluation,
    Measurement,
    choose_features,
    evaluate_reconstructions,
    evaluate_samples,
)
from regvq.evaluation.references import describe_reference, reference_features
from regvq.generators import AutoregressiveGenerator, DiscreteDiffusionGenerator, TokenSource
from regvq.losses import LPIPS, PerceptualLoss
from regvq.metrics import FrechetDistance
from regvq.model_folder import fingerprint
from regvq.nets import DINOv2Features, IdentityBackbone, OfflineFeatures
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import ImageTokenizer
from regvq.types import SamplingOptions

DATA = ScenesData(size=16, train_length=8, val_length=20)
GENERATORS = {"autoregressive": AutoregressiveGenerator, "diffusion": DiscreteDiffusionGenerator}


@pytest.fixture(scope="module")
def tokenizer() -> ImageTokenizer:
    torch.manual_seed(0)
    built = ImageTokenizer(IdentityBackbone(4), VectorQuantizer(16, 4))
    built(torch.stack([sample["image"] for sample in DATA.val()]))  # the codebook starts from data
    return built.eval()


def exact(evaluation: Evaluation) -> dict[str, float]:
    return {one.name: one.value for one in evaluation.measurements if one.exact}


def test_two_runs_give_the_same_and_the_second_reads_the_reference(
    tokenizer: ImageTokenizer, tmp_path: Path
) -> None:
    first = evaluate_reconstructions(tokenizer, DATA, OfflineFeatures(), tmp_path)
    (cached,) = tmp_path.iterdir()
    before = cached.stat().st_mtime_ns
    second = evaluate_reconstructions(tokenizer, DATA, OfflineFeatures(), tmp_path, batch_size=7)
    assert cached.stat().st_mtime_ns == before
    assert exact(first) == pytest.approx(exact(second), rel=1e-5)
    again = evaluate_reconstructions(tokenizer, DATA, OfflineFeatures(), tmp_path)
    assert exact(first) == exact(again)


def test_the_distance_is_that_of_the_streaming_metric(tokenizer: ImageTokenizer, tmp_path: Path) -> None:
    net = OfflineFeatures()
    found = evaluate_reconstructions(tokenizer, DATA, net, tmp_path)
    images = torch.stack([sample["image"] for sample in DATA.val()])
    metric = FrechetDistance(net)
    metric.update(images, original=True)
    metric.update(tokenizer.reconstruct(images), original=False)
    assert found.value(f"Fréchet distance ({net.name})") == pytest.approx(float(metric.compute()), rel=1e-3)


def test_the_perceptual_distance_is_the_mean_over_images_and_names_its_net(
    tokenizer: ImageTokenizer, tmp_path: Path
) -> None:
    # Stands in for LPIPS, whose weights are the user's: the same calls on features that are here.
    net = OfflineFeatures(seed=1)
    loss = PerceptualLoss(net)
    found = evaluate_reconstructions(
        tokenizer, DATA, OfflineFeatures(), tmp_path, batch_size=7, lpips=cast(LPIPS, loss)
    )
    images = torch.stack([sample["image"] for sample in DATA.val()])
    expected = loss(net(images), net(tokenizer.reconstruct(images).clamp(-1, 1)))
    assert found.value(f"LPIPS ({net.name})") == pytest.approx(float(expected), rel=1e-5)
    told = f"{net.name}, weights {net.weights_hash()}"
    assert found.as_json()["subject"]["lpips"] == told
    assert f"LPIPS: {told}" in found.table()
    assert f"LPIPS: {told}" in found.markdown()


def test_a_damaged_reference_is_computed_anew(tokenizer: ImageTokenizer, tmp_path: Path) -> None:
    first = evaluate_reconstructions(tokenizer, DATA, OfflineFeatures(), tmp_path)
    (cached,) = tmp_path.iterdir()
    whole = cached.read_bytes()
    cached.write_bytes(whole[:100])
    assert exact(evaluate_reconstructions(tokenizer, DATA, OfflineFeatures(), tmp_path)) == exact(first)
    assert cached.read_bytes() == whole


@pytest.mark.filterwarnings("ignore:cannot read:UserWarning")
def test_a_cached_reference_says_what_it_is_and_what_could_not_be_read(tmp_path: Path) -> None:
    for number, sample in enumerate(DATA.val()):
        save_png(sample["image"], tmp_path / "data" / f"{number:02d}.png")
    net, data = OfflineFeatures(), FolderData(str(tmp_path / "data"), 16, val_share=0.5).val()
    broken = data.records[3].image
    broken.write_bytes(broken.read_bytes()[:60])
    reference = describe_reference({"class_path": "Folder"}, data, "val", len(data), net)
    told: list[set[str]] = [set(), set()]
    first, again = (
        reference_features(tmp_path / "cache", reference, net, data, range(len(data)), 4, 0, names)
        for names in told
    )
    assert torch.equal(first.rows, again.rows)
    assert told == [{str(broken)}] * 2
    (cached,) = (tmp_path / "cache").iterdir()
    with safe_open(cached, "pt") as file:
        facts = json.loads(file.metadata()["reference"])
    assert (facts["data"], facts["count"], facts["size"]) == ({"class_path": "Folder"}, len(data), [16, 16])
    assert facts["resize"].startswith("bicubic, antialiased")
    assert (facts["features"], facts["weights"]) == (net.name, net.weights_hash())


@pytest.mark.filterwarnings("ignore:cannot read:UserWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_images_that_could_not_be_read_stand_in_the_notes(
    workers: int, tokenizer: ImageTokenizer, tmp_path: Path
) -> None:
    for number, sample in enumerate(DATA.val()):
        for split in ("train", "val"):
            (tmp_path / "data" / split / "one").mkdir(parents=True, exist_ok=True)
            save_png(sample["image"], tmp_path / "data" / split / "one" / f"{number:02d}.png")
    damaged = tmp_path / "data" / "val" / "one" / "07.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    data = ClassFoldersData(str(tmp_path / "data"), 16)
    found = evaluate_reconstructions(
        tokenizer, data, OfflineFeatures(), tmp_path, batch_size=4, workers=workers
    )
    expected = f"1 of the images could not be read, first {damaged}: the next one stood in for each"
    assert expected in found.notes


def test_other_images_count_or_net_are_another_reference(tokenizer: ImageTokenizer, tmp_path: Path) -> None:
    for data, count in ((DATA, None), (DATA, 12), (ScenesData(16, 8, 21), None)):
        evaluate_reconstructions(tokenizer, data, OfflineFeatures(), tmp_path, count=count)
    assert len(list(tmp_path.iterdir())) == 3


def test_any_other_file_is_another_reference(tmp_path: Path) -> None:
    for number, sample in enumerate(DATA.val()):
        save_png(sample["image"], tmp_path / f"{number:02d}.png")

    def key() -> str:
        data = FolderData(str(tmp_path), 16, val_share=0.9).val()
        return describe_reference("Folder", data, "val", len(data), OfflineFeatures()).key

    files = [record.image for record in FolderData(str(tmp_path), 16, val_share=0.9).val().records]
    before, probed = key(), {number * (len(files) - 1) // 7 for number in range(8)}
    (unseen, *_) = set(range(len(files))) - probed
    save_png(torch.zeros(3, 24, 16), files[unseen])
    assert key() != before
    assert key() == key()


@pytest.mark.parametrize("kind", GENERATORS)
def test_samples_are_judged_under_the_validation_s_conditions(
    kind: str, tokenizer: ImageTokenizer, tmp_path: Path
) -> None:
    condition = ClassLabel()
    condition.prepare(DATA.train(0), (4, 4))
    source = TokenSource(16, (4, 4), tokenizer.fingerprint())
    torch.manual_seed(0)
    generator = GENERATORS[kind](condition, source, dim=16, layers=1, heads=2, hidden=32).eval()
    options = SamplingOptions(seed=3, steps=4) if kind == "diffusion" else SamplingOptions(seed=3)
    seen: list[int] = []
    found = [
        evaluate_samples(
            generator,
            tokenizer,
            DATA,
            OfflineFeatures(),
            tmp_path,
            count=12,
            options=options,
            batch_size=size,
            report=seen.append,
        )
        for size in (5, 5, 12)
    ]
    assert exact(found[0]) == exact(found[1])
    assert found[0].reference.count == 20
    assert found[0].images == 12
    assert found[0].value("bits per token") > 1
    assert found[0].measurements[0].bias > 0
    assert max(seen) == 12
    assert found[0].subject["options"]["seed"] == 3
    assert found[0].subject["fingerprint"] == fingerprint(generator)
    other = evaluate_samples(
        generator,
        tokenizer,
        DATA,
        OfflineFeatures(),
        tmp_path,
        count=12,
        options=replace(options, seed=4),
    )
    assert exact(other) != exact(found[0])


def test_what_is_written_names_net_weights_and_images(tokenizer: ImageTokenizer, tmp_path: Path) -> None:
    net = OfflineFeatures()
    found = evaluate_reconstructions(tokenizer, DATA, net, tmp_path / "cache")
    paths = found.save(tmp_path / "out")
    content = json.loads(paths[0].read_text())
    assert content["reference"]["features"] == net.name
    assert content["reference"]["weights"] == net.weights_hash()
    assert content["reference"]["count"] == 20
    assert content["reference"]["resize"] == "none"
    assert content["reference"]["data"]["class_path"] == "regvq.data.scenes.ScenesData"
    assert [one["name"] for one in content["figures"]] == [
        f"Fréchet distance ({net.name})",
        f"kernel distance ({net.name})",
        "precision",
        "recall",
        "PSNR",
        "SSIM",
        "codebook usage",
        "perplexity",
        "bits per token",
        "encoding",
        "decoding",
    ]
    speeds = [one for one in content["figures"] if one["name"] in ("encoding", "decoding")]
    assert all(one["value"] > 0 and not one["exact"] for one in speeds)
    distance = next(one for one in content["figures"] if one["name"].startswith("Fréchet"))
    assert 0 <= distance["bias"] < distance["value"]
    told = f"about {distance['bias']:.3g} of the {distance['name']} is bias that so few images cause"
    for text in (found.table(), paths[1].read_text(), *content["notes"][-1:]):
        assert told in text
    for text in (found.table(), paths[1].read_text()):
        assert "fewer than 2048" in text
        assert net.weights_hash() in text
    rows = found.table().split("\n\n")[0].splitlines()
    assert len({row.index(one.text()) for row, one in zip(rows, found.measurements, strict=True)}) == 1


def test_the_hash_changes_with_any_weight() -> None:
    net = OfflineFeatures()
    before = net.weights_hash()
    assert before == OfflineFeatures().weights_hash()
    next(net.buffers()).view(-1)[0] += 1e-3
    assert net.weights_hash() != before


def test_large_and_small_numbers_are_read_easily() -> None:
    assert Measurement("distance", 627937.4415, spread=3.0).text() == "6.279e+05 ± 3.0000"
    assert Measurement("PSNR", 27.123, 1, "dB", places=2).text() == "27.12 dB"


def test_without_weights_other_features_are_taken_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    net, instead = choose_features(None)
    assert isinstance(net, OfflineFeatures)
    assert instead is not None
    assert "no weights of Inception" in instead
    assert f"no FID, but a distance on the features {net.name}" in instead


@pytest.mark.parametrize("choice", ["inception", "squeezenet", "dinov2"])
def test_a_net_that_was_asked_for_is_not_replaced(
    choice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(RegvqError, match="nothing is downloaded"):
        choose_features(choice)


def test_a_path_is_known_by_its_weights(tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from torchvision.models import squeezenet1_0
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    save_file(squeezenet1_0().state_dict(), tmp_path / "squeeze.safetensors")
    net, instead = choose_features(str(tmp_path / "squeeze.safetensors"))
    assert (net.name, instead) == ("SqueezeNet 1.0, last layer at 227 px", None)
    assert net.pooled(torch.zeros(1, 3, 32, 32)).shape == (1, 512)
    small = Dinov2Config(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, mlp_ratio=1, image_size=28, patch_size=14
    )
    Dinov2Model(small).save_pretrained(tmp_path / "dino")
    net, _ = choose_features(str(tmp_path / "dino"))
    assert net.name == "DINOv2 (dino) at 224 px"
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    assert net.pooled(image).shape == (2, 8)
    alone = DINOv2Features(tmp_path / "dino")
    theirs = Dinov2Model(small)
    theirs.load_state_dict(alone.net.state_dict())
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normal = ((image[:, :, :28, :28] + 1) / 2 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    with torch.no_grad():
        expected = theirs.eval()(pixel_values=normal).pooler_output
    torch.testing.assert_close(alone.pooled(image[:, :, :28, :28]), expected, atol=1e-5, rtol=1e-5)
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(RegvqError, match="neither the weights of inception nor of squeezenet"):
        choose_features(str(tmp_path / "other.safetensors"))
    with pytest.raises(RegvqError, match="there are no features nothing: choose one of inception, dinov2"):
        choose_features("nothing")


def test_a_single_image_is_refused(tokenizer: ImageTokenizer, tmp_path: Path) -> None:
    with pytest.raises(RegvqError, match="at least 2 images, not 1"):
        evaluate_reconstructions(tokenizer, DATA, OfflineFeatures(), tmp_path, count=1)
