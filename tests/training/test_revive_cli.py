"""A collapsed tokenizer gets its codes back, keeps its networks, and its run can go on."""

import json
from pathlib import Path

import pytest
import torch
import yaml

import regvq
from regvq.cli import main
from regvq.errors import RegvqError
from regvq.nets import IdentityBackbone, VQGANBackbone
from regvq.quantizers import (
    CosineHead,
    GumbelQuantizer,
    Quantizer,
    RegularizedVectorQuantizer,
    VectorQuantizer,
)
from regvq.quantizers.peers import PeerFSQ
from regvq.tokenizers import ImageTokenizer
from regvq.training.revive_cli import revived

SMALL = """
data:
  dataset: {init_args: {size: 16, train_length: 64, val_length: 32}}
  batch_size: 8
  workers: 0
trainer: {max_steps: 40, val_check_interval: 20}
"""


@pytest.fixture
def collapsed(tmp_path: Path) -> Path:
    """Thirty of its 32 codes lie where no latent ever is."""
    backbone = VQGANBackbone((8, 8, 8), layers=1, latent_channels=6, norm_groups=4, shortcut=True)
    tokenizer = ImageTokenizer(backbone, VectorQuantizer(32, 6))
    with torch.no_grad():
        tokenizer.quantizer.embeddings.weight.fill_(1e3)
        tokenizer.quantizer.embeddings.weight[:2] = torch.tensor([[-0.5], [0.5]])
    tokenizer.save_pretrained(tmp_path / "collapsed")
    return tmp_path / "collapsed"


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """All but the tokenizer."""
    (tmp_path / "small.yaml").write_text(SMALL)
    files = ["data/photos", "objective/l1", "trainer/cpu", str(tmp_path / "small.yaml")]
    configs = [part for file in files for part in ("--config", file)]
    return [*configs, "--output", str(tmp_path / "run")]


def test_usage_and_reconstruction_rise(
    collapsed: Path, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model.quantizer.init_args.mask_ratio=0.2", "--learning-rate=1e-3"]
    assert main(["revive", str(collapsed), *arguments, *options]) == 0
    figures = json.loads((tmp_path / "run" / "revival.json").read_text())
    assert figures["before"]["usage"] <= 2 / 32
    assert figures["after"]["usage"] > 0.6
    assert figures["after"]["perplexity"] > 4 * figures["before"]["perplexity"]
    assert figures["after"]["psnr"] > figures["before"]["psnr"] + 1
    printed = capsys.readouterr().out
    assert f"{figures['after']['usage']:.1%}" in printed
    assert f"{figures['before']['psnr']:.2f}" in printed
    model = regvq.load_tokenizer(tmp_path / "run" / "tokenizer")
    assert isinstance(model.quantizer, RegularizedVectorQuantizer)
    assert (model.codebook_size, model.quantizer.dim) == (32, 6)
    assert model.quantizer.init_args["mask_ratio"] == 0.2
    assert model.quantizer.init_args["sampling_temperature"] == 1
    assert model.quantizer.embeddings.decay == 0.9
    # The run is one of fit-tokenizer's.
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert {"backbone", "quantizer"} <= config["model"].keys()
    assert config["model"]["learning_rate"] == 1e-3
    more = ["fit-tokenizer", "--output", str(tmp_path / "run"), "--resume", "--trainer.max_steps=42"]
    assert main(more) == 0
    assert int(regvq.load_tokenizer(tmp_path / "run" / "tokenizer").quantizer.steps.value) == 42


def test_the_networks_are_the_old_ones(collapsed: Path) -> None:
    old = ImageTokenizer.from_pretrained(collapsed)
    with torch.no_grad():
        old.quant_conv.weight.add_(1)
        old.post_quant_conv.bias.add_(1)
    new = revived(old, RegularizedVectorQuantizer)
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    assert torch.equal(new.latents(images), old.latents(images))
    latents = torch.randn(1, 6, 4, 4)
    assert torch.equal(new.decode_latents(latents), old.decode_latents(latents))


@pytest.mark.parametrize(
    ("quantizer", "named"),
    [
        (lambda: GumbelQuantizer(8, 4), "LinearHead"),
        (lambda: PeerFSQ(2, (5, 5)), "PeerFSQ"),
    ],
)
def test_codes_that_do_not_live_among_the_latents_are_refused(quantizer, named: str) -> None:
    made: Quantizer = quantizer()
    with pytest.raises(RegvqError, match=f"with {named} cannot be revived"):
        revived(ImageTokenizer(IdentityBackbone(2), made), RegularizedVectorQuantizer)


def test_a_cosine_head_gets_its_like(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backbone = VQGANBackbone((8, 8, 8), layers=1, latent_channels=6, norm_groups=4, shortcut=True)
    tokenizer = ImageTokenizer(backbone, RegularizedVectorQuantizer(32, 6, head=CosineHead()))
    with torch.no_grad():
        tokenizer.quantizer.embeddings.weight.fill_(1.0)
    tokenizer.save_pretrained(tmp_path / "cosine")
    assert main(["revive", str(tmp_path / "cosine"), *arguments]) == 2
    option = "--model.quantizer.init_args.head=regvq.quantizers.CosineHead"
    assert option in capsys.readouterr().err
    assert main(["revive", str(tmp_path / "cosine"), *arguments, option, "--learning-rate=1e-3"]) == 0
    figures = json.loads((tmp_path / "run" / "revival.json").read_text())
    assert figures["before"]["usage"] == 1 / 32
    assert figures["after"]["usage"] > 0.5
    assert figures["after"]["psnr"] > figures["before"]["psnr"] + 1
    model = regvq.load_tokenizer(tmp_path / "run" / "tokenizer")
    assert isinstance(model.quantizer, RegularizedVectorQuantizer)
    assert isinstance(model.quantizer.head, CosineHead)


def test_mistakes_are_sentences(
    collapsed: Path, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["revive", str(tmp_path / "none"), *arguments]) == 2
    assert "there is no tokenizer folder" in capsys.readouterr().err
    assert main(["revive", str(collapsed), *arguments, "--resume"]) == 2
    assert "regvq fit-tokenizer --output DIR --resume" in capsys.readouterr().err
    assert main(["revive", str(collapsed), "--output", str(tmp_path / "run")]) == 2
    assert "the configuration lacks" in capsys.readouterr().err
    assert main(["revive", str(collapsed), *arguments, "--model.quantizer.init_args.mask_ratio=2"]) == 2
    assert "mask_ratio" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
