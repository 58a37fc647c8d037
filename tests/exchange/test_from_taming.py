"""VQGAN checkpoints under taming-transformers' names: the same codes and images, misfits by name."""

import copy
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

from regvq.errors import RegvqError
from regvq.exchange import load_taming
from tests.support.taming import TamingVQGAN

CONFIG = {
    "model": {
        "base_learning_rate": 4.5e-6,
        "target": "taming.models.vqgan.VQModel",
        "params": {
            "embed_dim": 6,
            "n_embed": 24,
            "ddconfig": {
                "double_z": False,
                "z_channels": 6,
                "resolution": 32,
                "in_channels": 3,
                "out_ch": 3,
                "ch": 32,
                "ch_mult": [1, 2, 2],
                "num_res_blocks": 1,
                "attn_resolutions": [8],
                "dropout": 0.0,
            },
            "lossconfig": {"target": "taming.modules.losses.DummyLoss"},
        },
    }
}


def spread(model: TamingVQGAN) -> TamingVQGAN:
    """Embeddings where the latents are, so that more than one code is used."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        for embeddings in (getattr(model.quantize, name, None) for name in ("embedding", "embed")):
            if embeddings is not None:
                embeddings.weight.mul_(0.5)
    return model


def written(folder: Path, weights: object, config: dict = CONFIG) -> tuple[Path, Path]:
    """A checkpoint and its configuration."""
    torch.save(weights, folder / "last.ckpt")
    (folder / "model.yaml").write_text(yaml.safe_dump(config))
    return folder / "last.ckpt", folder / "model.yaml"


def changed(**changes: object) -> dict:
    """The configuration with other values, where each of them stands."""
    config = copy.deepcopy(CONFIG)
    for name, value in changes.items():
        for place in (config["model"], config["model"]["params"], config["model"]["params"]["ddconfig"]):
            if name in place:
                place[name] = value
    return config


@pytest.mark.parametrize("gumbel", [False, True])
def test_the_same_codes_and_images(gumbel: bool, tmp_path: Path) -> None:
    model = spread(TamingVQGAN(gumbel=gumbel))
    # A training's checkpoint holds more than the tokenizer.
    state = model.state_dict() | {"loss.discriminator.main.0.weight": torch.zeros(2)}
    config = changed(target="taming.models.vqgan.GumbelVQ") if gumbel else CONFIG
    paths = written(tmp_path, {"epoch": 3, "state_dict": state}, config)
    images = torch.rand(2, 3, 32, 48) * 2 - 1
    codes, expected = model(images)
    tokenizer = load_taming(*paths)
    assert not tokenizer.training
    assert len(codes.unique()) > 2
    assert torch.equal(tokenizer.encode(images), codes)
    with torch.no_grad():
        ours = tokenizer.decode_latents(tokenizer.quantizer.decode(codes))
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)


def test_without_attention_but_in_the_middle_and_from_safetensors(tmp_path: Path) -> None:
    model = spread(TamingVQGAN(widths=(32, 32), blocks=2, attends=(), latent=4, dim=3, codes=9))
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    _, config = written(
        tmp_path,
        {},
        changed(
            attn_resolutions=[], ch_mult=[1, 1], num_res_blocks=2, z_channels=4, embed_dim=3, n_embed=9
        ),
    )
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    codes, expected = model(images)
    tokenizer = load_taming(tmp_path / "model.safetensors", config)
    assert torch.equal(tokenizer.encode(images), codes)
    torch.testing.assert_close(tokenizer.decode(codes), expected.clamp(-1, 1), atol=1e-4, rtol=0)


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    state = TamingVQGAN().state_dict()
    paths = written(tmp_path, state | {"encoder.extra.weight": torch.zeros(2)})
    with pytest.raises(RegvqError, match=r"holds encoder\.extra\.weight, which no part"):
        load_taming(*paths)
    short = {name: value for name, value in state.items() if name != "decoder.conv_in.bias"}
    with pytest.raises(RegvqError, match=r"lacks weights .*backbone\.decoder\.conv_in\.bias, 1 in all"):
        load_taming(*written(tmp_path, short))
    with pytest.raises(RegvqError, match=r"quantize\.embedding\.weight is \[24, 6\], but \[25, 6\]"):
        load_taming(*written(tmp_path, state, changed(n_embed=25)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"target": "ldm.models.autoencoder.AutoencoderKL"}, "AutoencoderKL, which cannot be imported"),
        ({"double_z": True}, "has double_z True"),
        ({"in_channels": 1}, "has in_channels 1"),
        ({"ch_mult": 2}, "lacks or misstates"),
        ({"ddconfig": None}, "is not the configuration of a VQGAN"),
    ],
)
def test_other_models_are_refused(changes: dict, reason: str, tmp_path: Path) -> None:
    with pytest.raises(RegvqError, match=reason):
        load_taming(*written(tmp_path, TamingVQGAN().state_dict(), changed(**changes)))


class Trap:
    """Unpickling it would leave a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_what_is_no_tensor_is_not_unpickled(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    paths = written(tmp_path, {"state_dict": TamingVQGAN().state_dict(), "callbacks": Trap(sprung)})
    with pytest.raises(RegvqError, match=r"holds objects other than tensors .*no foreign code is run"):
        load_taming(*paths)
    assert not sprung.exists()


def test_damaged_files_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from regvq.cli import main

    checkpoint, config = written(tmp_path, TamingVQGAN().state_dict())
    output = tmp_path / "out"
    whole = checkpoint.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no checkpoint"):
        checkpoint.write_bytes(content)
        arguments = ["import", str(checkpoint), "--config", str(config), "--output", str(output)]
        assert main(arguments) == 2
        assert f"regvq: {checkpoint} " in capsys.readouterr().err
    torch.save([torch.zeros(2)], checkpoint)
    with pytest.raises(RegvqError, match="holds no state_dict"):
        load_taming(checkpoint, config)
    config.write_text("model: [")
    with pytest.raises(RegvqError, match="is not the configuration of a VQGAN"):
        load_taming(checkpoint, config)
    assert not output.exists()


def test_the_command_imports_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import regvq
    from regvq.cli import main

    model = spread(TamingVQGAN())
    checkpoint, config = written(tmp_path, model.state_dict())
    output = tmp_path / "out"
    arguments = ["import", str(checkpoint), "--output", str(output)]
    assert main(arguments) == 2
    assert "name its model's YAML as --config" in capsys.readouterr().err
    assert main([*arguments, "--config", str(config)]) == 0
    assert "24 codes of 6 channels, 4 pixels" in capsys.readouterr().out
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    assert torch.equal(regvq.load_tokenizer(output).encode(images), model(images)[0])
    assert main([*arguments, "--config", str(config)]) == 2
    assert "not empty" in capsys.readouterr().err
