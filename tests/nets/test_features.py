"""Frozen feature nets: what they give, that they stay frozen, and where their weights come from."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from regvq.errors import RegvqError
from regvq.nets import (
    FeatureNet,
    LastLayer,
    OfflineFeatures,
    SqueezeNetFeatures,
    VGG16Features,
    VGG19Features,
)


def trunk(model) -> nn.Sequential:
    """The convolutions of one of torchvision's models with random weights, without its classifier."""
    with torch.device("meta"):
        net = model(weights=None).features
    net = net.to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 400
        nn.init.normal_(parameter, 0.0, (2 / fan_in) ** 0.5, generator=generator)
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return net


def state(net: nn.Sequential) -> dict[str, torch.Tensor]:
    return {f"features.{key}": value for key, value in net.state_dict().items()}


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "squeezenet.safetensors"
    save_file(state(trunk(models.squeezenet1_0)), path)
    return path


def images(side: int = 32) -> torch.Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(7)) * 2 - 1


@pytest.mark.parametrize(
    ("model", "ours", "taps"),
    [
        (models.vgg19, VGG19Features, ["relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"]),
        (models.vgg16, VGG16Features, ["relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"]),
    ],
)
def test_vgg_gives_the_named_layers(model, ours, taps, tmp_path):
    net = trunk(model)
    save_file(state(net), tmp_path / "vgg.safetensors")
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    value, block, layer, expected = ((images() + 1) / 2 - mean) / std, 1, 0, {}
    with torch.no_grad():
        for step in net:
            value = step(value)
            if isinstance(step, nn.ReLU):
                layer += 1
                expected[f"relu{block}_{layer}"] = value
            elif isinstance(step, nn.MaxPool2d):
                block, layer = block + 1, 0
    found = ours(tmp_path / "vgg.safetensors")(images())
    assert len(found) == len(taps)
    for one, name in zip(found, taps, strict=True):
        torch.testing.assert_close(one, expected[name], rtol=1e-4, atol=1e-4)
        assert (one >= 0).all()


def test_squeezenet_gives_its_layers(squeezenet):
    net = SqueezeNetFeatures(squeezenet)
    layers = net(images(64))
    assert [layer.shape[1] for layer in layers] == [96, 128, 256, 384, 512]
    assert [layer.shape[2] for layer in layers] == [29, 14, 7, 7, 3]
    assert all((layer >= 0).all() for layer in layers)  # tapped before anything is changed in place
    assert net(images(21))[-1].shape == (2, 512, 1, 1)
    with pytest.raises(RegvqError, match=r"SqueezeNet 1\.0 needs images of at least 21 pixels"):
        net(images(20))


@pytest.fixture(params=["offline", "squeezenet"])
def net(request, squeezenet) -> FeatureNet:
    return OfflineFeatures() if request.param == "offline" else SqueezeNetFeatures(squeezenet)


def test_a_feature_net_is_frozen(net):
    assert not net.train().training
    assert not any(module.training for module in nn.Sequential(net).train()[0].modules())
    assert list(net.parameters()) == []
    assert nn.Sequential(net).state_dict() == {}
    before = {name: value.clone() for name, value in net.named_buffers()}
    inputs = images().requires_grad_()
    sum(layer.sum() for layer in net(inputs)).backward()
    assert inputs.grad.abs().sum() > 0
    assert all(torch.equal(value, before[name]) for name, value in net.named_buffers())


def test_pooled_is_the_mean_of_every_channel(net):
    layers = net(images())
    pooled = net.pooled(images())
    assert pooled.shape == (2, sum(layer.shape[1] for layer in layers))
    first = layers[0].shape[1]
    torch.testing.assert_close(pooled[1, 3], layers[0][1, 3].mean())
    torch.testing.assert_close(pooled[0, first + 2], layers[1][0, 2].mean())
    assert pooled.dtype == torch.float32
    assert not pooled.requires_grad


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 1, 16, 16)])
def test_images_of_another_shape_are_named(shape):
    with pytest.raises(RegvqError, match=r"takes images \[B, 3, H, W\], not"):
        OfflineFeatures()(torch.zeros(shape))


# --- the offline net ---------------------------------------------------------------------------------


def test_offline_is_the_same_everywhere_and_draws_nothing():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    net = OfflineFeatures()
    assert torch.equal(torch.get_rng_state(), before)
    ramp = torch.linspace(-1, 1, 3 * 16 * 16).view(1, 3, 16, 16).sin()
    # Written down once: figures that this net was used for must not change under the reader.
    expected = torch.tensor([0.077957, 0.006870, -0.607623, 0.003762, 0.083129, 0.287145])
    torch.testing.assert_close(net.pooled(ramp)[0, [0, 5, 24, 30, 70, 115]], expected, rtol=1e-4, atol=1e-5)


def test_offline_dimensions_stay_small_enough_for_a_frechet_distance():
    assert OfflineFeatures().pooled(images()).shape == (2, 121)


@pytest.mark.parametrize("side", [1, 4, 15, 16, 33])
def test_offline_takes_images_of_any_size(side):
    layers = OfflineFeatures()(images(side))
    assert [layer.shape[1] for layer in layers] == [27, 43, 51]
    sides = [layer.shape[2] for layer in layers]
    assert sides == [-(-side // 2), -(-side // 4), -(-side // 8)]
    assert all(layer.isfinite().all() for layer in layers)


def test_offline_filters_ignore_brightness_but_the_colours_see_it():
    net, dark = OfflineFeatures(), images() * 0.5 - 0.4
    for one, other in zip(net(dark), net(dark + 0.3), strict=True):
        torch.testing.assert_close(one[:, :-3], other[:, :-3], rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(one[:, -3:] + 0.3, other[:, -3:])


def test_offline_tells_worse_from_bad():
    net = OfflineFeatures()
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 3, 32, 32, generator=generator)
    distances = [
        sum((a - b).square().mean() for a, b in zip(net(images()), net(images() + s * noise), strict=True))
        for s in (0.05, 0.2, 0.8)
    ]
    assert distances[0] < distances[1] < distances[2]


# --- weights -----------------------------------------------------------------------------------------


def test_weights_from_a_torch_file_and_from_the_cache(squeezenet, tmp_path, monkeypatch):
    expected = SqueezeNetFeatures(squeezenet)(images())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    cached = tmp_path / "checkpoints" / "squeezenet1_0-b66bff10.pth"
    with pytest.raises(RegvqError, match=f"no weights of SqueezeNet 1.0 at {cached} .*nothing is down"):
        SqueezeNetFeatures()
    cached.parent.mkdir()
    torch.save(state(trunk(models.squeezenet1_0)), cached)
    for net in (SqueezeNetFeatures(), SqueezeNetFeatures(cached)):
        for one, other in zip(net(images()), expected, strict=True):
            torch.testing.assert_close(one, other)


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path(BOMB_TARGET),))


BOMB_TARGET = "exploded"


@pytest.mark.parametrize("kind", ["truncated", "foreign", "pickle", "list", "missing", "shape"])
def test_bad_weights_are_named(kind, squeezenet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ("w.safetensors" if kind in ("truncated", "foreign") else "w.pth")
    good = state(trunk(models.squeezenet1_0))
    if kind == "truncated":
        path.write_bytes(squeezenet.read_bytes()[:1000])
    elif kind == "foreign":
        path.write_text("not weights")
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"features.0.weight": Bomb()}, protocol=2))
    elif kind == "list":
        torch.save([torch.zeros(1)], path)
    elif kind == "missing":
        del good["features.3.squeeze.weight"]
        torch.save(good, path)
    else:
        good["features.0.weight"] = torch.zeros(96, 3, 3, 3)
        torch.save(good, path)
    says = {
        "missing": r"not the weights of SqueezeNet 1\.0: features\.3\.squeeze\.weight is missing",
        "shape": r"not the weights of SqueezeNet 1\.0: size mismatch",
    }
    with pytest.raises(RegvqError, match=says.get(kind, r"w\.(pth|safetensors) (cannot be read|holds no)")):
        SqueezeNetFeatures(path)
    assert not (tmp_path / BOMB_TARGET).exists()


def test_the_last_layer_alone(squeezenet):
    net = SqueezeNetFeatures(squeezenet)
    last = LastLayer(net)
    assert last.name == "SqueezeNet 1.0, last layer"
    (layer,) = last(images())
    assert torch.equal(layer, net(images())[-1])
    assert torch.equal(last.pooled(images()), net.pooled(images())[:, -512:])
