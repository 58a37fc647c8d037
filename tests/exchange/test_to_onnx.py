"""Tokenizers as ONNX graphs: read by onnxruntime alone, the same codes and images."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from regvq.cli import main
from regvq.errors import RegvqError
from regvq.exchange import save_onnx, to_onnx
from regvq.nets import AttentiveVQGANBackbone, IdentityBackbone, VQGANBackbone
from regvq.quantizers import (
    CosineHead,
    EMAVectorQuantizer,
    GumbelQuantizer,
    RegularizedVectorQuantizer,
    VectorQuantizer,
)
from regvq.quantizers.peers import PeerFSQ, PeerVQ
from regvq.tokenizers import ImageTokenizer
from tests.exchange.test_to_diffusers import SMALL, trained
from tests.support.isolation import run_without_regvq

STOCK = """
import sys
import numpy as np
import onnxruntime
from safetensors.numpy import load_file, save_file

assert "torch" not in sys.modules
for folder in sys.argv[1:]:
    encoder, decoder = (
        onnxruntime.InferenceSession(f"{folder}/onnx/{part}.onnx", providers=["CPUExecutionProvider"])
        for part in ("encoder", "decoder")
    )
    results = {}
    for name, images in load_file(f"{folder}/ours.safetensors").items():
        (codes,) = encoder.run(["codes"], {"images": images})
        (decoded,) = decoder.run(["images"], {"codes": codes})
        results |= {f"codes-{name}": codes, f"images-{name}": decoded}
    save_file(results, f"{folder}/stock.safetensors")
"""

TOKENIZERS = {
    "cosine": lambda: trained(
        VQGANBackbone(**SMALL, shortcut=True), RegularizedVectorQuantizer(32, 5, head=CosineHead(20.0))
    ),
    "euclidean": lambda: trained(
        AttentiveVQGANBackbone(**SMALL, attention_levels=(1,)), EMAVectorQuantizer(32, 4)
    ),
    # No network: the quantizer's part of the graph alone.
    "linear": lambda: trained(IdentityBackbone(2), GumbelQuantizer(32, 3)),
    "fsq": lambda: trained(IdentityBackbone(2), PeerFSQ(3, (5, 5, 3))),
    "library": lambda: trained(IdentityBackbone(2), PeerVQ(32, 3)),
}


@pytest.fixture(scope="module", autouse=True)
def _no_debugging_lines() -> Iterator[None]:
    """Tracing writes thousands of them; to keep them for a report takes longer than to trace."""
    logging.disable(logging.DEBUG)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> dict[str, tuple[ImageTokenizer, Path]]:
    """Every tokenizer, and the folder that it was exported into."""
    torch.manual_seed(0)
    folders = {}
    for name, make in TOKENIZERS.items():
        folder = tmp_path_factory.mktemp(name)
        tokenizer = make()
        save_onnx(tokenizer, folder / "onnx")
        folders[name] = (tokenizer, folder)
    return folders


def test_onnxruntime_alone_gives_the_same_codes_and_images(exported) -> None:
    # Contrasts from faint to full, so that the images take more than one corner of the codebook.
    contrast = torch.linspace(0.1, 1, 3).view(3, 1, 1, 1)
    images = {
        "three": (torch.rand(3, 3, 32, 24) * 2 - 1) * contrast,
        "one": torch.rand(1, 3, 8, 40) * 2 - 1,
    }
    for _, folder in exported.values():
        save_file(images, folder / "ours.safetensors")
    run_without_regvq(STOCK, *(folder for _, folder in exported.values()))
    for name, (tokenizer, folder) in exported.items():
        stock = load_file(folder / "stock.safetensors")
        for batch, given in images.items():
            codes, decoded = stock[f"codes-{batch}"], stock[f"images-{batch}"]
            assert codes.dtype == torch.int64
            expected = tokenizer.encode(given)
            # Where they differ, the two codes are as good as one another.
            differ = (codes != expected).nonzero(as_tuple=True)
            logits = tokenizer.quantizer.token_logits(tokenizer.latents(given)).movedim(1, -1)[differ]
            ours, theirs = (logits.gather(1, one[differ][:, None]) for one in (expected, codes))
            head = getattr(tokenizer.quantizer, "head", None)
            scale = head.log_scale.exp() if isinstance(head, CosineHead) else 1
            torch.testing.assert_close(ours / scale, theirs / scale, atol=1e-5, rtol=0)
            assert len(differ[0]) <= 0.01 * codes.numel(), name
            torch.testing.assert_close(decoded, tokenizer.decode(codes), atol=1e-4, rtol=0)
        assert len(stock["codes-three"].unique()) > 5, name  # equality says something


def test_the_folder_says_what_one_must_know_and_nothing_of_this_machine(exported) -> None:
    tokenizer, folder = exported["euclidean"]
    files = {path.name: path.read_bytes() for path in (folder / "onnx").iterdir()}
    assert sorted(files) == ["config.json", "decoder.onnx", "encoder.onnx"]
    config = json.loads(files["config.json"])
    assert {name: config[name] for name in ("codes", "downsampling", "image_range", "tokenizer")} == {
        "codes": 32,
        "downsampling": 2,
        "image_range": [-1, 1],
        "tokenizer": tokenizer.fingerprint(),
    }
    for name, content in files.items():
        assert str(Path(to_onnx.__file__).parent).encode() not in content, name


def test_the_command_exports(tmp_path: Path, capsys) -> None:
    trained(IdentityBackbone(4), VectorQuantizer(8, 3)).save_pretrained(tmp_path / "tokenizer")
    arguments = ["export", str(tmp_path / "tokenizer"), "--format", "onnx", "--output"]
    assert main([*arguments, str(tmp_path / "tokenizer")]) == 2
    assert main([*arguments, str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert f'InferenceSession("{tmp_path / "out" / "encoder.onnx"}")' in printed.out
    assert "torch.onnx" not in printed.out + printed.err


class Chosen(VectorQuantizer):
    """Nearest codes, but by a way that depends on the values."""

    def logits(self, tokens: Tensor) -> Tensor:
        scores = super().logits(tokens)
        return scores if tokens.max() < 100 else scores.neg()


class OtherCodes(VectorQuantizer):
    """Takes another way while it is traced, and a wrong one."""

    def logits(self, tokens: Tensor) -> Tensor:
        scores = super().logits(tokens)
        return scores.neg() if torch.compiler.is_exporting() else scores


class OtherImages(IdentityBackbone):
    """The same for the decoder."""

    def decode(self, latents: Tensor) -> Tensor:
        images = super().decode(latents)
        return images / 2 if torch.compiler.is_exporting() else images


@pytest.mark.parametrize(
    ("backbone", "quantizer", "message"),
    [
        (IdentityBackbone, Chosen, "Chosen with IdentityBackbone.*images cannot be traced to codes"),
        (IdentityBackbone, OtherCodes, "OtherCodes.*onnxruntime finds other codes"),
        (OtherImages, VectorQuantizer, "OtherImages.*onnxruntime's images differ"),
    ],
)
def test_what_is_no_graph_or_another_one_is_refused_by_name(
    backbone: type[nn.Module], quantizer: type[nn.Module], message: str, tmp_path: Path
) -> None:
    tokenizer = ImageTokenizer(backbone(2), quantizer(16, 3, init="normal")).eval()
    with pytest.raises(RegvqError, match=message):
        save_onnx(tokenizer, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_onnx, "PACKAGES", ("onnx", "a_package_that_is_not_there"))
    tokenizer = ImageTokenizer(IdentityBackbone(2), VectorQuantizer(8, 4))
    with pytest.raises(RegvqError, match=r"a_package_that_is_not_there.*regvq\[onnx\]"):
        save_onnx(tokenizer, tmp_path / "out")
