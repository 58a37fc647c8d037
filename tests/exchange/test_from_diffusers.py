"""VQModel folders that diffusers wrote: the same codes and images, misfits by name."""

import json
from pathlib import Path

import pytest
import torch
from diffusers.models.autoencoders.vq_model import VQModel
from safetensors.torch import load_file, save_file

from regvq.errors import RegvqError
from regvq.exchange import load_vq_model, save_vq_model

WEIGHTS = "diffusion_pytorch_model.safetensors"

SHAPES = {
    "one resolution": {"block_out_channels": (8,), "num_vq_embeddings": 20, "latent_channels": 3},
    "three, two layers, attention": {
        "down_block_types": ("DownEncoderBlock2D", "DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        "up_block_types": ("AttnUpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"),
        "block_out_channels": (8, 16, 16),
        "layers_per_block": 2,
        "latent_channels": 6,
        "vq_embed_dim": 4,
        "num_vq_embeddings": 33,
    },
    "no attention at all": {
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "block_out_channels": (8, 16),
        "mid_block_add_attention": False,
        "num_vq_embeddings": 16,
    },
}


def stock(folder: Path, **options: object) -> VQModel:
    """A VQModel with random weights and codes where its latents are, in a folder."""
    model = VQModel(norm_num_groups=4, **options).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        latents = model.encode(torch.rand(4, 3, 32, 32) * 2 - 1).latents.movedim(1, -1).flatten(0, 2)
        model.quantize.embedding.weight.copy_(latents[torch.randperm(len(latents))[: model.quantize.n_e]])
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_same_codes_and_images_and_back_again(shape: dict, tmp_path: Path) -> None:
    model = stock(tmp_path / "theirs", **shape)
    tokenizer = load_vq_model(tmp_path / "theirs")
    assert not tokenizer.training
    images = torch.rand(2, 3, 32, 16) * 2 - 1
    with torch.no_grad():
        latents = model.encode(images).latents
        codes = model.quantize(latents)[2][2].view(2, *latents.shape[2:])
        expected = model(images).sample
    ours = tokenizer.encode(images)
    # Rounding may decide between two codes that are equally near.
    assert (ours == codes).float().mean() > 0.99
    assert len(codes.unique()) > 5
    torch.testing.assert_close(tokenizer.decode(codes), expected.clamp(-1, 1), atol=1e-4, rtol=0)
    save_vq_model(tokenizer, tmp_path / "again")
    again, before = load_file(tmp_path / "again" / WEIGHTS), load_file(tmp_path / "theirs" / WEIGHTS)
    assert again.keys() == before.keys()
    assert all(torch.equal(again[name], before[name]) for name in before)


def test_the_attentions_old_names_are_known(tmp_path: Path) -> None:
    model = stock(tmp_path / "old", **SHAPES["one resolution"])
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    weights = load_file(tmp_path / "old" / WEIGHTS)
    for new, name in old.items():
        weights = {key.replace(f".{new}.", f".{name}."): value for key, value in weights.items()}
    assert any("proj_attn" in key for key in weights)
    save_file(weights, tmp_path / "old" / WEIGHTS)
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    expected = model(images).sample.clamp(-1, 1)
    torch.testing.assert_close(
        load_vq_model(tmp_path / "old").reconstruct(images), expected, atol=1e-4, rtol=0
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"_class_name": "AutoencoderKL"}, "AutoencoderKL, not a VQModel"),
        ({"norm_type": "spatial"}, "norm_type 'spatial'"),
        ({"in_channels": 1}, "in_channels 1"),
        ({"act_fn": "relu"}, "act_fn 'relu'"),
        ({"down_block_types": ["DownBlock2D"]}, "down_block_types.*cannot be imported"),
        ({"up_block_types": ["AttnUpDecoderBlock2D"]}, "up_block_types.*cannot be imported"),
        ({"num_vq_embeddings": 21}, r"\[20, 3\], but \[21, 3\]"),
        ({"block_out_channels": "8"}, "damaged|cannot be"),
    ],
)
def test_other_models_are_refused(changes: dict, reason: str, tmp_path: Path) -> None:
    stock(tmp_path, **SHAPES["one resolution"])
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(RegvqError, match=reason):
        load_vq_model(tmp_path)


def test_missing_and_damaged_files_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(RegvqError, match="give the folder of a diffusers VQModel"):
        load_vq_model(tmp_path)
    stock(tmp_path, **SHAPES["one resolution"])
    weights = load_file(tmp_path / WEIGHTS)
    save_file(weights | {"encoder.more": torch.zeros(1)}, tmp_path / WEIGHTS)
    with pytest.raises(RegvqError, match=r"holds encoder\.more"):
        load_vq_model(tmp_path)
    save_file({name: weights[name] for name in list(weights)[1:]}, tmp_path / WEIGHTS)
    with pytest.raises(RegvqError, match=r"lacks weights of this model \(.*, 1 in all\)"):
        load_vq_model(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"no tensors")
    with pytest.raises(RegvqError, match="damaged or no weights file"):
        load_vq_model(tmp_path)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(RegvqError, match="there is no weights file"):
        load_vq_model(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RegvqError, match="cannot be read"):
        load_vq_model(tmp_path)


def test_the_commands_work_on_what_was_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    from regvq.cli import main

    stock(tmp_path / "theirs", **SHAPES["no attention at all"])
    Image.effect_noise((32, 24), 90).convert("RGB").save(tmp_path / "noise.png")
    tokenizer, photo = str(tmp_path / "ours"), str(tmp_path / "noise.png")
    assert main(["import", str(tmp_path / "theirs"), "--output", tokenizer]) == 0
    assert main(["codebook", tokenizer, photo, "--output", str(tmp_path / "codebook")]) == 0
    assert main(["reconstruct", tokenizer, photo, "--output", str(tmp_path / "pairs")]) == 0
    assert "16 (" in capsys.readouterr().out
    scenes = ["--config", "data/scenes", "--data.dataset.init_args.size=16", "--data.workers=0"]
    scenes += ["--data.dataset.init_args.train_length=8", "--data.dataset.init_args.val_length=6"]
    measured = ["--features=offline", "--cache", str(tmp_path / "cache"), "--output", str(tmp_path / "out")]
    assert main(["evaluate", "tokenizer", tokenizer, *scenes, *measured]) == 0
    configs = ("condition/class-label", "generator/autoregressive-tiny", "trainer/generator-cpu")
    stage_2 = [part for name in configs for part in ("--config", name)]
    small = ["--trainer.max_steps=1", "--trainer.val_check_interval=1", "--data.batch_size=2"]
    run = str(tmp_path / "run")
    assert (
        main(["fit-generator", "--model.tokenizer", tokenizer, *stage_2, *scenes, *small, "--output", run])
        == 0
    )
    sample = ["sample", tokenizer, f"{run}/generator", "--count=1", "--output", str(tmp_path / "new.png")]
    assert main(sample) == 0
    assert main(["import", str(tmp_path / "none"), "--output", str(tmp_path / "x")]) == 2
    assert main(["import", str(tmp_path / "theirs"), "--config", "c.yaml", "--output", "x"]) == 2
