"""regvq evaluate: a table, JSON and Markdown, and one sentence for each mistake."""

import json
from pathlib import Path

import pytest
import torch

import regvq as package
from regvq.conditions import ClassLabel
from regvq.data.scenes import Scenes
from regvq.generators import AutoregressiveGenerator, TokenSource
from tests.cli.conftest import Run

SCENES = [
    "--config=data/scenes",
    "--data.dataset.init_args.size=16",
    "--data.dataset.init_args.val_length=12",
    "--features=offline",
]


def test_a_tokenizer_and_a_generator(
    tokenizer: Path, tmp_path: Path, regvq: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # whatever weights the machine has
    output = ["--cache", tmp_path / "cache", "--output", tmp_path / "out"]
    status, shown, _ = regvq("evaluate", "tokenizer", tokenizer, *SCENES, *output)
    assert status == 0
    assert "Fréchet distance (" in shown
    assert "12 images against 12 val images of ScenesData, 16 x 16 px" in shown
    first = (tmp_path / "out" / "evaluation.json").read_text()
    assert regvq("evaluate", "tokenizer", tokenizer, *SCENES, *output)[0] == 0
    figures = [
        [one for one in json.loads(text)["figures"] if one.get("exact", True)]
        for text in (first, (tmp_path / "out" / "evaluation.json").read_text())
    ]
    assert figures[0] == figures[1]
    # What is missing, and what so few images cause, stands in all that is told and written.
    notes = json.loads(first)["notes"]
    assert [note for note in notes if note.startswith("LPIPS is left out: no weights of VGG-16")]
    assert [note for note in notes if "fewer than 2048" in note]
    assert [note for note in notes if "is bias that so few images cause" in note]
    assert all(f"Note: {note}" in shown for note in notes)

    condition = ClassLabel()
    condition.prepare(Scenes("train", 16, 8), (4, 4))
    source = TokenSource(32, (4, 4), package.load_tokenizer(tokenizer).fingerprint())
    torch.manual_seed(0)
    built = AutoregressiveGenerator(condition, source, dim=16, layers=1, heads=2, hidden=32)
    built.save_pretrained(tmp_path / "generator")
    command = ["evaluate", "generator", tokenizer, tmp_path / "generator", "--top-p=0.9", "--count=6"]
    status, shown, _ = regvq(*command, *SCENES, *output)
    assert status == 0
    assert "6 images against 12 val images" in shown
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert written["subject"]["condition"] == "ClassLabel"
    assert written["subject"]["options"]["top_p"] == 0.9


def test_one_sentence_for_each_mistake(tokenizer: Path, tmp_path: Path, regvq: Run) -> None:
    output = ["--cache", tmp_path / "cache", "--output", tmp_path / "out"]
    for arguments, sentence in (
        ((tokenizer, *output), "name the data to measure on with --config"),
        ((tmp_path / "no", *SCENES, *output), "there is no tokenizer folder"),
        ((tokenizer, *SCENES, *output, "--features=vgg"), "there are no features vgg: choose one of"),
        ((tokenizer, *SCENES, *output, "--count=1"), "at least 2 images, not 1"),
    ):
        status, _, said = regvq("evaluate", "tokenizer", *arguments)
        assert status == 2
        assert sentence in said
        assert said.count("\n") == 1
    assert regvq("evaluate", "nothing")[0] == 2
    assert not (tmp_path / "out").exists()
