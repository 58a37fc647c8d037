"""The README's snippets and commands, run one after the other as a newcomer would."""

import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# The README trains for real; here the same commands stop after two steps on small crops.
TWO_STEPS = ["--trainer.max_steps=2", "--trainer.val_check_interval=2", "--data.batch_size=4"]
SMALL_CROPS = [
    "--data.dataset.init_args.size=32",
    "--data.dataset.init_args.val_share=0.25",
    "--data.workers=0",
]


def short(words: list[str]) -> list[str]:
    """Arguments that make a command of the README small."""
    return {
        "fit-tokenizer": [*TWO_STEPS, *SMALL_CROPS],
        "fit-generator": TWO_STEPS,
        "encode": SMALL_CROPS if "--config" in words else [],
    }.get(words[1], [])


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[list[str]]:
    """Every line of every shell block as words, continued lines joined, comments dropped."""
    text = "\n".join(blocks("sh")).replace("\\\n", " ")
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with somebody's photographs in it."""
    (tmp_path / "my-photos").mkdir()
    rng = np.random.default_rng(0)
    for index in range(12):
        small = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        small.resize((60, 48)).save(tmp_path / "my-photos" / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_make_targets_exist() -> None:
    targets = [words[1] for words in commands() if words[0] == "make"]
    assert targets == ["demo", "test"]
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_commands_then_snippets(workplace: Path) -> None:
    from regvq.cli import main

    run = [words for words in commands() if words[0] == "regvq"]
    assert {words[1] for words in run} >= {
        *("fit-tokenizer", "codebook", "reconstruct", "encode", "decode", "fit-generator", "sample"),
    }
    for words in run:
        assert main([*words[1:], *short(words)]) == 0, shlex.join(words)
    assert len(list((workplace / "runs/mine/decoded").rglob("*.png"))) == 12
    for snippet in blocks("python"):
        exec(compile(snippet, "README.md", "exec"), {})


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert targets
    for target in targets:
        assert (ROOT / target).is_file(), target
