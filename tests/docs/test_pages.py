"""Every page: its snippets and commands run as a newcomer would run them, and its links lead somewhere."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from regvq.conditions import ClassLabel
from regvq.data import save_png
from regvq.errors import RegvqError
from regvq.exchange import save_vq_model
from regvq.generators import AutoregressiveGenerator, TokenSource
from regvq.nets import IdentityBackbone, VQGANBackbone
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import ImageTokenizer
from tests.exchange.test_from_taming import CONFIG
from tests.support.miniatures import tiny_imagenet
from tests.support.pages import (
    ROOT,
    blocks,
    check,
    check_configuration,
    commands,
    links,
    regvq_arguments,
    run,
)
from tests.support.pictures import photographs
from tests.support.taming import TamingVQGAN

FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"))
)
PARSED = {
    "CONTRIBUTING.md": "tests/test_contributing.py follows its recipes",
    "docs/choose-a-quantizer.md": "a comparison takes hours; its snippet runs",
    "docs/cli.md": "what the commands print of themselves",
    "docs/datasets.md": "tests/test_datasets_page.py runs it on miniatures",
    "docs/evaluation.md": "its commands run on other pages; a comparison takes hours",
    "docs/performance.md": "measurements",
    "docs/recipe.md": "measurements",
    "docs/results.md": "measurements",
    "docs/scaling.md": "clusters",
}
"""Pages whose commands are parsed but not run, and why. Python snippets always run."""
YAML_ELSEWHERE = {
    "CONTRIBUTING.md": "tests/test_contributing.py follows its recipes",
    "docs/evaluation.md": "tests/evaluation/comparison/test_comparison.py reads its comparison",
}
"""Pages whose YAML is no training's configuration."""
ENDLESS = ("demo", "compare", "serve")
"""Commands that take long or do not end: they are parsed."""
UPLOADS = "push_to_hub"
"""Uploading is tested where the Hub's client is stood in for."""


def tokenizer_of_16_px() -> None:
    tokenizer = ImageTokenizer(IdentityBackbone(16), VectorQuantizer(16, 4, init="normal")).eval()
    tokenizer.save_pretrained("runs/mine/tokenizer")


def for_other_libraries() -> None:
    backbone = VQGANBackbone((8, 8, 8), layers=1, latent_channels=4, norm_groups=4)
    tokenizer = ImageTokenizer(backbone, VectorQuantizer(16, 4, init="normal")).eval()
    tokenizer.save_pretrained("runs/mine/tokenizer")
    save_vq_model(tokenizer, "vq-model")
    source = TokenSource(16, (4, 4), tokenizer.fingerprint())
    generator = AutoregressiveGenerator(ClassLabel(["a", "b"]), source, dim=8, layers=1, heads=2, hidden=8)
    generator.save_pretrained("runs/mine/ar/generator")
    Path("vqgan").mkdir()
    for place in ("vqgan/last.ckpt", "last.ckpt"):
        torch.save({"state_dict": TamingVQGAN().state_dict()}, place)
    Path("vqgan/model.yaml").write_text(yaml.safe_dump(CONFIG))


def with_generated_images() -> None:
    for number, place in enumerate(("runs/mine/samples.png", "downloads/photo.png")):
        save_png(photographs(64, 2)[number], Path(place))


def with_tiny_imagenet() -> None:
    tiny_imagenet(Path())


STARTS_WITH: dict[str, Callable[[], None]] = {
    "docs/collapsed-codebook.md": tokenizer_of_16_px,
    "docs/datasets.md": with_tiny_imagenet,
    "docs/ecosystem.md": for_other_libraries,
    "docs/responsible-use.md": with_generated_images,
    "docs/tokenizer-to-generator.md": tokenizer_of_16_px,
}
"""What a page takes for granted beside a folder of photographs."""
LEAVES = {
    "README.md": ("runs/mine/decoded/cats/0.png", "runs/mine/samples.png"),
    "docs/collapsed-codebook.md": ("runs/revived/revival.json", "runs/mine/codebook/patches.png"),
    "docs/ecosystem.md": ("runs/mine/onnx/encoder.onnx", "weights.ckpt", "runs/revived/revival.json"),
    "docs/own-images.md": ("runs/mine/evaluation/evaluation.json",),
    "docs/responsible-use.md": ("marked.png",),
    "docs/start.md": ("runs/start/restored.png",),
    "docs/tokenizer-to-generator.md": ("runs/mine/edited.png", "runs/mine/llama/config.json"),
}
"""What is there when a page has been followed."""


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with somebody's photographs in it, some of cats and some of dogs."""
    rng = np.random.default_rng(0)
    for index in range(16):
        folder = tmp_path / "my-photos" / ("dogs" if index % 2 else "cats")
        folder.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        small.resize((80, 64)).save(folder / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # features of real images are kept there
    return tmp_path


def text_of(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES)
def test_what_a_page_shows_runs(file: str, workplace: Path) -> None:
    STARTS_WITH.get(file, lambda: None)()
    names: dict[str, object] = {}
    for block in blocks(text_of(file)):
        if block.language == "python" and file != "CONTRIBUTING.md":
            code = compile(block.text, file, "exec")
            if UPLOADS not in block.text:
                exec(code, names)
        if block.language == "yaml" and file not in YAML_ELSEWHERE:
            check_configuration(block.text)
        for words in commands(block) if block.language == "sh" else []:
            arguments = regvq_arguments(words)
            if arguments is None or file in PARSED or arguments[0] in ENDLESS:
                check(words)
            else:
                run(arguments)
    for path in LEAVES.get(file, ()):
        assert (workplace / path).is_file(), path


def test_commands_are_found_however_they_are_written() -> None:
    page = """
# Page

```sh
regvq encode a \\
  b   # a comment
make demo
```

1. In a list:

   ```python
   regvq = "no command"
   ```

    TWO=1 \\
    torchrun --standalone -m regvq sample c

Text with `regvq edit` in it.

    some_text = 1
"""
    found = blocks(page)
    assert [block.language for block in found] == ["sh", "python", "sh", "text"]
    assert found[1].text == 'regvq = "no command"\n'
    words = [words for block in found if block.language == "sh" for words in commands(block)]
    assert [regvq_arguments(one) for one in words] == [["encode", "a", "b"], None, ["sample", "c"]]


@pytest.mark.parametrize(
    "line",
    [
        "regvq encode tokenizer --no-such-option",
        "regvq evaluate tokenizer a --config data/unknown --output b",
        "torchrun -m regvq fit-tokenizer … --model.unknown 1",
        "make unknown",
        "pip install 'regvq[unknown]'",
        "python benchmarks/unknown.py",
        "unknown",
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str) -> None:
    with pytest.raises((AssertionError, RegvqError, SystemExit, subprocess.CalledProcessError)):
        check(line.replace("'", "").split())


def test_a_configuration_that_does_not_exist_is_found(workplace: Path) -> None:
    check_configuration("trainer: {max_steps: 3}\n")
    with pytest.raises(AssertionError):
        check_configuration("trainer: {most_steps: 3}\n")


@pytest.mark.parametrize("file", FILES)
def test_links_lead_somewhere(file: str) -> None:
    for target in links(text_of(file)):
        assert (ROOT / file).parent.joinpath(target).is_file(), target
