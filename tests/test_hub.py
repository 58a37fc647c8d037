"""Models by their name on the Hub: from its cache, and there with a card. Nothing here is online."""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard, constants
from matplotlib.colors import to_rgb
from PIL import Image

import regvq
from regvq import hub
from regvq.conditions import NoCondition
from regvq.errors import RegvqError
from regvq.exchange import load_vq_model
from regvq.generators import AutoregressiveGenerator, DiscreteDiffusionGenerator, TokenSource
from regvq.model_card import CardFacts, usage_text
from regvq.nets import IdentityBackbone, VQGANBackbone
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import ImageTokenizer
from regvq.usage_chart import COLOUR, usage_chart

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SIZE = {"dim": 8, "layers": 1, "heads": 2, "hidden": 8}
FACTS = CardFacts(
    licence="cc-by-4.0",
    data="Ten photographs of birds, taken by the authors.",
    budget="300 steps of 16 crops on two CPU cores.",
    figures={"PSNR (dB), validation": 25.31249, "FID": "not measured"},
    counts=[60, 0, 30, 0, 10, 0, 0, 0, 0, 0],
    notes="Colours of *wet* feathers come out dull.",
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hub"


def cached(cache: Path, repo_id: str, folder: Path) -> None:
    """Puts a folder where the Hub's client would have."""
    place = cache / f"models--{repo_id.replace('/', '--')}"
    shutil.copytree(folder, place / "snapshots" / COMMIT)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT)


def tokenizer() -> ImageTokenizer:
    return ImageTokenizer(IdentityBackbone(2), VectorQuantizer(10, 4)).eval()


def generator(kind: type = AutoregressiveGenerator) -> Any:
    return kind(NoCondition(), TokenSource(10, (2, 3), "0123456789abcdef"), **SIZE).eval()


class Uploaded:
    """Keeps what an upload would send."""

    def __init__(self) -> None:
        self.repo: tuple[Any, ...] = ()
        self.files: dict[str, bytes] = {}

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        self.repo = (repo_id, private, exist_ok)

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> None:
        assert repo_id == self.repo[0]
        self.files = {path.name: path.read_bytes() for path in Path(folder_path).iterdir()}


@pytest.mark.parametrize("kind", [AutoregressiveGenerator, DiscreteDiffusionGenerator])
def test_models_come_out_of_the_cache(kind: type, cache: Path, tmp_path: Path) -> None:
    ours, drawer = tokenizer(), generator(kind)
    ours.save_pretrained(tmp_path / "t")
    drawer.save_pretrained(tmp_path / "g")
    cached(cache, "owner/birds", tmp_path / "t")
    cached(cache, "owner/bird-maker", tmp_path / "g")
    assert regvq.load_tokenizer("owner/birds").fingerprint() == ours.fingerprint()
    loaded = kind.from_pretrained("owner/bird-maker", revision=COMMIT)
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), drawer.parameters(), strict=True))
    with pytest.raises(RegvqError, match="holds a ImageTokenizer"):
        kind.from_pretrained("owner/birds")


def test_a_folder_is_preferred_to_the_hub(cache: Path, tmp_path: Path) -> None:
    first, second = tokenizer(), tokenizer()
    first.save_pretrained("owner/birds")
    second.save_pretrained(tmp_path / "t")
    cached(cache, "owner/birds", tmp_path / "t")
    assert first.fingerprint() != second.fingerprint()
    assert regvq.load_tokenizer("owner/birds").fingerprint() == first.fingerprint()
    # Where there is such an owner's folder, a wrong name in it is a typing error.
    assert not hub.is_id("owner/bird")
    with pytest.raises(RegvqError, match="is missing: give a folder"):
        regvq.load_tokenizer("owner/bird")


@pytest.mark.parametrize("name", ["/owner/name", "a/b/c", "name", "./name", "../name", "owner/", "o w/n"])
def test_paths_are_no_ids(name: str) -> None:
    assert not hub.is_id(name)
    assert hub.local_folder(name) == Path(name)


def test_what_is_not_in_the_cache_is_a_sentence_offline(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(RegvqError, match=r"there is no folder owner/none.*unset HF_HUB_OFFLINE"):
        regvq.load_tokenizer("owner/none")
    with pytest.raises(RegvqError, match="the Hub has no such names"):
        regvq.load_tokenizer("owner--or/none")
    tokenizer().save_pretrained(tmp_path / "t")
    (tmp_path / "t" / "model.safetensors").unlink()
    cached(cache, "owner/half", tmp_path / "t")
    with pytest.raises(RegvqError, match="does not hold it whole"):
        regvq.load_tokenizer("owner/half")


def test_the_network_is_asked_last_and_its_failure_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    # Nothing listens there: the attempt fails as without a network.
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(RegvqError, match=r"cannot be had from the Hub \(.*refused"):
        regvq.load_tokenizer("owner/none")


def test_the_commands_take_a_name_and_tell_a_typing_error(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from regvq.cli import main

    backbone = VQGANBackbone((8,), layers=1, latent_channels=3, norm_groups=4)
    built = ImageTokenizer(backbone, VectorQuantizer(10, 4)).eval()
    built.save_pretrained(tmp_path / "t")
    cached(cache, "owner/birds", tmp_path / "t")
    assert main(["export", "owner/birds", "--format", "diffusers", "--output", "vq"]) == 0
    cached(cache, "owner/vq", tmp_path / "vq")
    assert main(["import", "owner/vq", "--output", "again"]) == 0
    images = torch.rand(1, 3, 8, 8) * 2 - 1
    assert torch.equal(load_vq_model("owner/vq").encode(images), built.encode(images))
    capsys.readouterr()
    Path("runs").mkdir()
    assert main(["reconstruct", "runs/tokeniser", "x.png", "--output", "out"]) == 2
    assert "there is no tokenizer folder runs/tokeniser" in capsys.readouterr().err


def test_a_tokenizer_is_uploaded_whole_with_its_card(tmp_path: Path) -> None:
    ours, there = tokenizer(), Uploaded()
    ours.push_to_hub("owner/birds", FACTS, private=True, api=there)
    assert there.repo == ("owner/birds", True, True)
    assert set(there.files) == {"README.md", "config.json", "model.safetensors", "usage.png"}
    assert there.files["usage.png"] == usage_chart(FACTS.counts)
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes(there.files[name])
    assert ImageTokenizer.from_pretrained(tmp_path).fingerprint() == ours.fingerprint()
    card = ModelCard(there.files["README.md"].decode())
    assert card.data.license == "cc-by-4.0"
    assert card.data.library_name == "regvq"
    assert {"regvq", "image-tokenizer"} <= set(card.data.tags)
    for text in (
        'regvq.load_tokenizer("owner/birds")',
        "Ten photographs of birds",
        "300 steps of 16 crops",
        "| PSNR (dB), validation | 25.31 |",
        "| FID | not measured |",
        "| quantizer | VectorQuantizer |",
        "| codes | 10 of 4 channels |",
        ours.fingerprint(),
        "3 of 10 codes occur in 100 validation tokens",
        "](usage.png)",
        "Intended use",
        "It is no evidence of anything",
        "Colours of *wet* feathers",
        "cc-by-4.0, for the weights",
    ):
        assert text in card.text, text


@pytest.mark.parametrize("kind", [AutoregressiveGenerator, DiscreteDiffusionGenerator])
def test_a_generator_has_a_card_of_its_own(kind: type) -> None:
    there = Uploaded()
    facts = CardFacts(licence="other", data="unknown", budget="unknown")
    generator(kind).push_to_hub("owner/bird-maker", facts, api=there)
    card = ModelCard(there.files["README.md"].decode())
    assert "image-generation" in card.data.tags
    for text in (
        kind.__name__,
        "NoCondition",
        "0123456789abcdef",
        "2 x 3 of 10 codes",
        "Not for deception",
    ):
        assert text in card.text, text
    assert set(there.files) == {"README.md", "config.json", "model.safetensors"}
    assert "Codebook usage" not in card.text
    assert "nothing was reported" in card.text


def test_a_refused_upload_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RegvqError, match="cannot upload to owner/birds"):
        tokenizer().push_to_hub("owner/birds", FACTS)  # offline
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(RegvqError, match="cannot upload to not a name"):
        tokenizer().push_to_hub("not a name", FACTS)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(RegvqError, match=r"cannot upload to owner/birds \(.*refused"):
        tokenizer().push_to_hub("owner/birds", FACTS)


@pytest.mark.parametrize("name", ["licence", "data", "budget"])
def test_a_card_says_what_must_be_said(name: str) -> None:
    with pytest.raises(RegvqError, match=f"a model card needs {name}"):
        CardFacts(**({"licence": "mit", "data": "birds", "budget": "an hour"} | {name: " "}))


def test_the_histogram_by_hand() -> None:
    lines = usage_text([1, 0, 3, 0] + [0] * 16).splitlines()
    assert lines[0].startswith("2 of 20 codes occur in 4 ")
    assert lines[3] == "  0- 10 % of the codes  100.0%  " + 40 * "#"
    assert lines[4] == " 10- 20 % of the codes    0.0%"
    halves = usage_text([2] * 10).splitlines()[3:13]
    assert [line.split("codes")[1] for line in halves] == [f"   10.0%  {4 * '#'}"] * 10


def bars(counts: list[int]) -> np.ndarray:
    """How many pixels high the bar is in every column of the picture."""
    picture = np.asarray(Image.open(io.BytesIO(usage_chart(counts))).convert("RGB")).astype(int)
    return (abs(picture - 255 * np.array(to_rgb(COLOUR))).max(-1) < 3).sum(0)


def test_the_picture_shows_idle_codes_as_a_gap_and_the_rest_by_their_rank() -> None:
    even, half = bars([8] * 10), bars([0, 8] * 5)
    assert (half > 0).sum() == pytest.approx((even > 0).sum() / 2, rel=0.05)
    falling = bars([1, 2, 4, 8, 16])
    heights = falling[falling > 0]
    assert heights[0] > 2 * heights[-1]
    assert (np.diff(heights) <= 2).all(), "most used first; the dashed line crosses the bars"
    assert not bars([0, 0, 0]).any()
