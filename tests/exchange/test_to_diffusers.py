"""Tokenizers as stock VQModels: read by diffusers alone, the same codes and images."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from regvq.errors import RegvqError
from regvq.exchange import save_vq_model
from regvq.nets import AttentiveVQGANBackbone, IdentityBackbone, VQGANBackbone
from regvq.quantizers import (
    CosineHead,
    EMAVectorQuantizer,
    GumbelQuantizer,
    LinearHead,
    RegularizedVectorQuantizer,
    VectorQuantizer,
)
from regvq.quantizers.peers import PeerFSQ
from regvq.tokenizers import ImageTokenizer
from tests.support.isolation import run_without_regvq

SMALL = {"channels": (8, 16), "layers": 1, "latent_channels": 6, "norm_groups": 4}

STOCK = """
import json, sys
import torch
from diffusers import VQModel
from safetensors.torch import load_file, save_file

for folder in sys.argv[1:]:
    model, info = VQModel.from_pretrained(f"{folder}/vq", output_loading_info=True, local_files_only=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    images = load_file(f"{folder}/ours.safetensors")["images"]
    with torch.no_grad():
        latents = model.encode(images).latents
        codes = model.quantize(latents)[2][2].view(len(images), *latents.shape[2:])
        shape = (*codes.shape, latents.shape[1])
        looked_up = model.decode(codes.flatten(), force_not_quantize=True, shape=shape).sample
        results = {"codes": codes, "images": model(images).sample, "decoded": looked_up, "latents": latents}
    save_file({name: value.contiguous() for name, value in results.items()}, f"{folder}/stock.safetensors")
"""


def trained(backbone, quantizer) -> ImageTokenizer:
    """A tokenizer whose weights are not where they started."""
    tokenizer = ImageTokenizer(backbone, quantizer)
    with torch.no_grad():
        for parameter in tokenizer.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    tokenizer(torch.rand(4, 3, 16, 16) * 2 - 1)  # a codebook that starts from data does so
    return tokenizer.eval()


TOKENIZERS = {
    "cosine": lambda: trained(
        VQGANBackbone(**SMALL), RegularizedVectorQuantizer(32, 5, head=CosineHead(scale=20.0))
    ),
    "euclidean": lambda: trained(
        VQGANBackbone(**SMALL, attention=False), RegularizedVectorQuantizer(32, 6)
    ),
    "gradient": lambda: trained(VQGANBackbone(**SMALL), VectorQuantizer(40, 8, init="normal")),
    "gumbel-cosine": lambda: trained(VQGANBackbone(**SMALL), GumbelQuantizer(32, 6, head=CosineHead())),
    "attentive": lambda: trained(
        AttentiveVQGANBackbone(**SMALL, attention_levels=(1,)), EMAVectorQuantizer(32, 4)
    ),
}


def test_diffusers_alone_gives_the_same_codes_and_images(tmp_path: Path) -> None:
    tokenizers = {name: make() for name, make in TOKENIZERS.items()}
    images = torch.rand(2, 3, 32, 24) * 2 - 1
    for name, tokenizer in tokenizers.items():
        save_vq_model(tokenizer, tmp_path / name / "vq")
        save_file({"images": images}, tmp_path / name / "ours.safetensors")
    run_without_regvq(STOCK, *(tmp_path / name for name in tokenizers))
    for name, tokenizer in tokenizers.items():
        stock = load_file(tmp_path / name / "stock.safetensors")
        codes = tokenizer.encode(images)
        # Where they differ, the two codes are as good as one another.
        differ = (stock["codes"] != codes).nonzero(as_tuple=True)
        logits = tokenizer.quantizer.token_logits(tokenizer.latents(images)).movedim(1, -1)[differ]
        ours, theirs = (logits.gather(1, one[differ][:, None]) for one in (codes, stock["codes"]))
        scale = (
            tokenizer.quantizer.head.log_scale.exp()
            if hasattr(tokenizer.quantizer.head, "log_scale")
            else 1
        )
        torch.testing.assert_close(ours / scale, theirs / scale, atol=1e-5, rtol=0)
        assert len(differ[0]) <= 0.01 * codes.numel(), name
        assert len(codes.unique()) > 5, name  # equality says something
        decoded = tokenizer.decode(stock["codes"])
        for kind in ("images", "decoded"):
            torch.testing.assert_close(stock[kind].clamp(-1, 1), decoded, atol=1e-4, rtol=0)


def test_the_other_process_cannot_import_this_package() -> None:
    assert run_without_regvq("try:\n    import regvq\nexcept ImportError as error:\n    print(error)") == (
        "this process must do without regvq\n"
    )


@pytest.mark.parametrize(
    ("backbone", "quantizer", "named"),
    [
        (lambda: VQGANBackbone(**SMALL), lambda: RegularizedVectorQuantizer.paper(8, 4), "LinearHead"),
        (lambda: VQGANBackbone(**SMALL), lambda: GumbelQuantizer(8, 4), "GumbelQuantizer"),
        (
            lambda: VQGANBackbone(**SMALL),
            lambda: RegularizedVectorQuantizer(8, 4, head=LinearHead()),
            "LinearHead",
        ),
        (lambda: VQGANBackbone(**SMALL), lambda: PeerFSQ(2, (5, 5)), "PeerFSQ"),
        (lambda: VQGANBackbone(**SMALL, shortcut=True), lambda: VectorQuantizer(8, 4), "shortcut"),
        (lambda: IdentityBackbone(2), lambda: VectorQuantizer(8, 4), "IdentityBackbone"),
    ],
)
def test_what_diffusers_has_no_words_for_is_refused(backbone, quantizer, named, tmp_path: Path) -> None:
    with pytest.raises(RegvqError, match=named):
        save_vq_model(ImageTokenizer(backbone(), quantizer()), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_code_without_direction_is_refused(tmp_path: Path) -> None:
    tokenizer = TOKENIZERS["cosine"]()
    tokenizer.quantizer.embeddings.weight[3] = 0
    with pytest.raises(RegvqError, match="length zero"):
        save_vq_model(tokenizer, tmp_path / "out")


def test_the_command_exports_and_keeps_what_is_there(tmp_path: Path, capsys) -> None:
    from regvq.cli import main

    TOKENIZERS["cosine"]().save_pretrained(tmp_path / "tokenizer")
    arguments = ["export", str(tmp_path / "tokenizer"), "--format", "diffusers", "--output"]
    before = (tmp_path / "tokenizer" / "config.json").read_text()
    assert main([*arguments, str(tmp_path / "tokenizer")]) == 2
    assert (tmp_path / "tokenizer" / "config.json").read_text() == before
    assert main([*arguments, str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "config.json",
        "diffusion_pytorch_model.safetensors",
    ]
    assert "VQModel" in capsys.readouterr().out
    assert main(["export", str(tmp_path / "none"), "--format", "diffusers", "--output", "x"]) == 2
