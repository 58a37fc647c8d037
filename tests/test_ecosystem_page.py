"""docs/ecosystem.md: its commands and snippets run, on models small enough for it."""

import re
import shlex
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from regvq.cli import main
from regvq.conditions import ClassLabel
from regvq.exchange import save_vq_model
from regvq.generators import AutoregressiveGenerator, TokenSource
from regvq.nets import VQGANBackbone
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import ImageTokenizer
from tests.exchange.test_from_taming import CONFIG
from tests.support.taming import TamingVQGAN

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "ecosystem.md").read_text(encoding="utf-8")
SHORT = [
    *("--trainer.max_steps=1", "--trainer.val_check_interval=1", "--data.batch_size=2", "--data.workers=0"),
    *("--data.dataset.init_args.size=16", "--data.dataset.init_args.val_share=0.25"),
]


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the page starts from."""
    monkeypatch.chdir(tmp_path)
    backbone = VQGANBackbone((8, 8, 8), layers=1, latent_channels=4, norm_groups=4)
    tokenizer = ImageTokenizer(backbone, VectorQuantizer(16, 4, init="normal")).eval()
    tokenizer.save_pretrained("runs/mine/tokenizer")
    save_vq_model(tokenizer, "vq-model")
    source = TokenSource(16, (4, 4), tokenizer.fingerprint())
    sizes = {"dim": 8, "layers": 1, "heads": 2, "hidden": 8}
    AutoregressiveGenerator(ClassLabel(["a", "b"]), source, **sizes).save_pretrained(
        "runs/mine/ar/generator"
    )
    for folder in ("vqgan", "my-photos"):
        Path(folder).mkdir()
    for place in ("vqgan/last.ckpt", "last.ckpt"):
        torch.save({"state_dict": TamingVQGAN().state_dict()}, place)
    Path("vqgan/model.yaml").write_text(yaml.safe_dump(CONFIG))
    for index in range(8):
        Image.effect_noise((24, 20), 60 + index).convert("RGB").save(f"my-photos/{index}.png")
    return tmp_path


def test_commands_then_snippets(workplace: Path) -> None:
    text = "\n".join(blocks("sh")).replace("\\\n", " ")
    commands = [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]
    assert [words[1] for words in commands] == [*["export"] * 3, *["import"] * 2, "revive"]
    for words in commands:
        assert main([*words[1:], *(SHORT if words[1] == "revive" else [])]) == 0, shlex.join(words)
    # Uploading is tested where the Hub's client is stood in for.
    snippets = [snippet for snippet in blocks("python") if "push_to_hub" not in snippet]
    assert len(snippets) == 4
    names: dict[str, object] = {}
    for snippet in snippets:
        exec(compile(snippet, "docs/ecosystem.md", "exec"), names)
    assert names["decoded"].shape == (2, 3, 64, 64)
    codes = names["codes"]
    assert codes.shape == (1, 4, 4)
    assert 0 <= codes.min() <= codes.max() < 16
    assert (workplace / "weights.ckpt").is_file()


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", PAGE)
    assert targets
    for target in targets:
        assert (ROOT / "docs" / target).is_file(), target
