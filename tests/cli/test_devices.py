"""A GPU that is not there: one sentence from every command, and nothing written."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from regvq.errors import RegvqError
from regvq.training.generator_cli import generator_cli
from regvq.training.tokenizer_cli import tokenizer_cli
from tests.cli.conftest import Run, picture

MISSING = "cuda:99" if torch.cuda.is_available() else "cuda"
SCENES = ("--config", "data/scenes", "--data.dataset.init_args.size=16")
COMMANDS = {
    "reconstruct": "reconstruct TOKENIZER PHOTOS --output OUT",
    "encode": "encode TOKENIZER PHOTOS --output OUT.npz",
    "encode a data set": "encode TOKENIZER SCENES --output OUT",
    "decode": "decode TOKENIZER TOKENS --output OUT",
    "codebook": "codebook TOKENIZER PHOTOS --output OUT",
    "sample": "sample TOKENIZER GENERATOR --output OUT",
    "edit": "edit TOKENIZER GENERATOR IMAGE --mask MASK --output OUT.png",
    "serve": "serve TOKENIZER GENERATOR --port 0",
    "evaluate tokenizer": "evaluate tokenizer TOKENIZER SCENES --output OUT",
    "evaluate generator": "evaluate generator TOKENIZER GENERATOR SCENES --output OUT",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_gpu_that_is_not_there(
    name: str, tokenizer: Path, generator: Path, photos: Path, tmp_path: Path, regvq: Run
) -> None:
    picture(16, 16).save(tmp_path / "image.png")
    Image.new("L", (16, 16), 255).save(tmp_path / "mask.png")
    if name == "decode":
        assert regvq("encode", tokenizer, photos, "--output", tmp_path / "tokens.npz")[0] == 0
    places = {
        "TOKENIZER": (tokenizer,),
        "GENERATOR": (generator,),
        "PHOTOS": (photos,),
        "SCENES": SCENES,
        "TOKENS": (tmp_path / "tokens.npz",),
        "IMAGE": (tmp_path / "image.png",),
        "MASK": (tmp_path / "mask.png",),
        "OUT": (tmp_path / "out",),
        "OUT.npz": (tmp_path / "out.npz",),
        "OUT.png": (tmp_path / "out.png",),
    }
    words = [part for word in COMMANDS[name].split() for part in places.get(word, (word,))]
    status, out, said = regvq(*words, "--device", MISSING)
    assert (status, out) == (2, "")
    assert said.splitlines()[-1].startswith(f"regvq: device {MISSING!r} cannot be used: ")
    assert not list(tmp_path.glob("out*"))


def test_every_command_with_a_device_is_tried() -> None:
    from regvq.cli.dispatch import build_parser

    known = {name for name, parser in build_parser()[1].items() if "--device" in parser.format_help()}
    assert known | {"evaluate"} == {words.split()[0] for words in COMMANDS.values()}


@pytest.mark.parametrize("accelerator", ["gpu", "cuda"])
def test_a_training_on_a_gpu_that_is_not_there(
    accelerator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a machine that has one, the process does not see it.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    common = [*SCENES, f"--trainer.accelerator={accelerator}", "--output", str(tmp_path / "run")]
    sentence = f"trainer.accelerator is {accelerator}, and torch finds no GPU on this machine: give "
    with pytest.raises(RegvqError, match=sentence):
        tokenizer_cli(
            ["--config", "backbone/tiny", "--config", "tokenizer/regvq", "--config", "trainer/gpu", *common]
        )
    with pytest.raises(RegvqError, match=sentence):
        generator_cli(
            [
                *("--config", "generator/autoregressive-tiny", "--config", "condition/none"),
                *("--config", "trainer/generator-gpu", "--model.tokenizer", "nothing", *common),
            ]
        )
    assert not (tmp_path / "run").exists()
