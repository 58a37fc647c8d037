"""docs/datasets.md: its trees are those that the code reads, and its commands run on miniatures."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from regvq import configs
from regvq.data import hugging_face, layouts
from regvq.generators import AutoregressiveGenerator, DiscreteDiffusionGenerator
from regvq.nets import IdentityBackbone
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import ImageTokenizer
from regvq.training.cli_arguments import resolve
from regvq.training.generator_cli import generator_cli
from regvq.training.run import quiet
from regvq.training.tokenizer_cli import TokenizerCLI, tokenizer_cli
from tests.data.shards.test_webdataset_data import write
from tests.data.test_hugging_face import save
from tests.support import pages
from tests.support.miniatures import MINIATURES

PAGE = (Path(__file__).parents[1] / "docs" / "datasets.md").read_text(encoding="utf-8")
KINDS = [kind for kind in vars(layouts).values() if isinstance(kind, type) and hasattr(kind, "tree")]
GENERATORS = {"autoregressive": AutoregressiveGenerator, "diffusion": DiscreteDiffusionGenerator}
WRITTEN = {
    "ade20k": "ade20k",
    "camvid": "camvid",
    "celeba-hq": "celeba-mask-hq",
    "class-folders": "class-folders",
    "coco": "coco-captions",
    "cub200": "cub-200",
    "imagenet": "imagenet",
}
"""Which miniature stands for the data of a command."""
ONE_STEP = [
    "--data.workers=0",
    "--trainer.accelerator=cpu",
    "--trainer.precision=32",
    "--trainer.max_steps=1",
    "--trainer.val_check_interval=1",
]
# The paper's widths and batches, in little; everything else is as the page has it.
SMALL = [
    "--model.generator.init_args.dim=16",
    "--model.generator.init_args.layers=1",
    "--model.generator.init_args.heads=2",
    "--model.generator.init_args.hidden=32",
    "--model.samples=false",
    "--data.batch_size=1",
    *ONE_STEP,
]


def commands(name: str) -> list[list[str]]:
    """The page's commands of one kind as words."""
    shell = [block for block in pages.blocks(PAGE) if block.language == "sh"]
    return [words[2:] for block in shell for words in pages.commands(block) if words[1] == name]


def test_every_tree_is_the_one_that_is_read() -> None:
    trees = re.findall(r"```text\n(.*?)\n```", PAGE, flags=re.DOTALL)
    published = [kind.tree for kind in KINDS if kind is not layouts.LayoutData]
    assert sorted(trees) == sorted([*published, hugging_face.TREE])


def test_every_configuration_of_data_is_in_the_table() -> None:
    shipped = {name for name in configs.names() if name.startswith("data/")} - {"data/tokens"}
    assert set(re.findall(r"^\| `(data/[\w-]+)`", PAGE, flags=re.MULTILINE)) == shipped


@pytest.mark.parametrize("kind", GENERATORS)
@pytest.mark.parametrize(
    "words", commands("fit-generator"), ids=lambda words: words[words.index("--config") + 1]
)
def test_the_paper_s_tasks_train_with_either_generator(
    words: list[str], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = words[words.index("--config") + 1].removeprefix("data/")
    MINIATURES[WRITTEN[data]].write(tmp_path / "datasets")
    tokenizer = ImageTokenizer(IdentityBackbone(64), VectorQuantizer(16, 4))
    tokenizer.save_pretrained(tmp_path / words[words.index("--model.tokenizer") + 1])
    words = [re.sub(r"generator/\w+-256", f"generator/{kind}-256", word) for word in words]
    generator = generator_cli([*words, *SMALL])
    assert type(generator) is GENERATORS[kind]
    assert generator.source.grid == (4, 4)


def save_rows(folder: Path) -> None:
    save(folder / "datasets" / "saved", 12)


def write_shards(folder: Path) -> None:
    for number in range(3):
        write(folder / "shards", f"train-{number:03d}", samples=4)
    write(folder / "shards", "val-000", samples=2)


@pytest.mark.parametrize(
    ("name", "prepare"), [("data/hugging-face", save_rows), ("data/webdataset", write_shards)]
)
def test_data_of_one_s_own_trains(
    name: str, prepare: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = next(words for words in commands("fit-tokenizer") if name in words)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))  # counts of shards are kept there
    prepare(tmp_path)
    tokenizer = tokenizer_cli([*words, *ONE_STEP, "--data.batch_size=2"])
    assert tokenizer.downsampling == 4


@pytest.mark.parametrize("name", WRITTEN)
def test_a_tokenizer_trains_on_every_published_data_set(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (words,) = (words for words in commands("fit-tokenizer") if f"data/{name}" in words)
    monkeypatch.chdir(tmp_path)
    root = words[words.index("--data.dataset.init_args.root") + 1]
    MINIATURES[WRITTEN[name]].write(tmp_path / root.removesuffix("/coco"))
    # The paper's widths and sizes in little; the weights of its feature net are the user's.
    words = [re.sub(r"backbone/\S+", "backbone/tiny", word) for word in words]
    words = [re.sub(r"objective/\S+", "objective/l1", word) for word in words]
    own = ["--data.dataset.init_args.size=16", "--data.batch_size=2"]
    tokenizer = tokenizer_cli([*words, *ONE_STEP, *own])
    assert tokenizer.downsampling == 4


def test_the_paper_s_tokenizer_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = next(words for words in commands("fit-tokenizer") if "data/ade20k" in words)
    monkeypatch.chdir(tmp_path)
    words = [word.replace("objective/paper", "objective/l1") for word in words]
    with quiet():
        cli = TokenizerCLI(resolve([*words, "--trainer.accelerator=cpu"]))
    assert cli.datamodule.dataset.size == 256
    assert 256 // cli.model.model.downsampling == 16
