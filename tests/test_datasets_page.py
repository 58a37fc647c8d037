"""docs/datasets.md: its trees are those that the code reads, and its commands run on miniatures."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from regvq import configs
from regvq.data import hugging_face, layouts
from regvq.data.annotated import SPLITS
from regvq.data.photos import PHOTOGRAPHS
from regvq.data.shards import tar_samples
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
from tests.support.miniatures import MINIATURES, picture, tiny_imagenet

PAGE = (Path(__file__).parents[1] / "docs" / "datasets.md").read_text(encoding="utf-8")
KINDS = [kind for kind in vars(layouts).values() if isinstance(kind, type) and hasattr(kind, "tree")]
SHIPPED = {name for name in configs.names() if name.startswith("data/")} - {"data/tokens"}
GENERATORS = {"autoregressive": AutoregressiveGenerator, "diffusion": DiscreteDiffusionGenerator}


def nothing(folder: Path) -> None:
    """What is drawn, or comes with a package."""


def miniature(name: str, root: str = "datasets") -> Callable[[Path], object]:
    return lambda folder: MINIATURES[name].write(folder / root)


def photographs_of_one_s_own(folder: Path) -> None:
    for number in range(6):
        picture(folder / "my-photos" / f"{number}.jpg")


def sorted_tiny_imagenet(folder: Path) -> None:
    """What the page does with its archive, in the working directory."""
    tiny_imagenet(folder)
    (sorting,) = (block.text for block in pages.blocks(PAGE) if block.language == "python")
    exec(compile(sorting, "docs/datasets.md", "exec"))


def rows(folder: Path) -> None:
    save(folder / "datasets" / "saved", 12)


def shards(folder: Path) -> None:
    for number in range(3):
        write(folder / "shards", f"train-{number:03d}", samples=4)
    write(folder / "shards", "val-000", samples=2)


PREPARED: dict[str, Callable[[Path], object]] = {
    "photos": nothing,
    "scenes": nothing,
    "folder": photographs_of_one_s_own,
    "ade20k": miniature("ade20k"),
    "celeba-hq": miniature("celeba-mask-hq"),
    "cub200": miniature("cub-200"),
    "coco": miniature("coco-captions"),
    "coco-panoptic": miniature("coco-panoptic"),
    "coco-stuff": miniature("coco-stuff"),
    "imagenet": miniature("imagenet"),
    "camvid": miniature("camvid"),
    "classes": miniature("class-folders", "my-classes"),
    "tiny-imagenet": sorted_tiny_imagenet,
    "saved": rows,
    "shards": shards,
}
"""What a command of the page takes for granted, by the run that it writes."""
ONE_STEP = [
    "--data.workers=0",
    "--trainer.accelerator=cpu",
    "--trainer.precision=32",
    "--trainer.max_steps=1",
    "--trainer.val_check_interval=1",
    "--trainer.limit_val_batches=1",
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


def run_of(words: list[str]) -> str:
    """The name of the run that a command writes."""
    return Path(words[words.index("--output") + 1]).parts[1]


def test_every_tree_is_the_one_that_is_read() -> None:
    trees = re.findall(r"```text\n(.*?)\n```", PAGE, flags=re.DOTALL)
    published = [kind.tree for kind in KINDS if kind is not layouts.LayoutData]
    assert sorted(trees) == sorted([*published, hugging_face.TREE, tar_samples.TREE])


def test_every_configuration_of_data_is_in_the_table() -> None:
    assert set(re.findall(r"^\| `(data/[\w-]+)`", PAGE, flags=re.MULTILINE)) == SHIPPED


def test_every_configuration_of_data_has_a_command() -> None:
    named = {word for words in commands("fit-tokenizer") for word in words if word.startswith("data/")}
    assert named == SHIPPED


def test_every_photograph_is_told_with_its_terms() -> None:
    rows = re.findall(r"^\| `(sk\w+)/(\S+)` \| .+ \| .+ \|$", PAGE, flags=re.MULTILINE)
    assert tuple(rows) == PHOTOGRAPHS


@pytest.mark.parametrize("kind", GENERATORS)
@pytest.mark.parametrize(
    "words", commands("fit-generator"), ids=lambda words: words[words.index("--config") + 1]
)
def test_the_paper_s_tasks_train_with_either_generator(
    words: list[str], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = words[words.index("--config") + 1].removeprefix("data/")
    PREPARED[data](tmp_path)
    tokenizer = ImageTokenizer(IdentityBackbone(64), VectorQuantizer(16, 4))
    tokenizer.save_pretrained(tmp_path / words[words.index("--model.tokenizer") + 1])
    words = [re.sub(r"generator/\w+-256", f"generator/{kind}-256", word) for word in words]
    generator = generator_cli([*words, *SMALL])
    assert type(generator) is GENERATORS[kind]
    assert generator.source.grid == (4, 4)


def test_tiny_imagenet_is_read_when_it_was_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sorted_tiny_imagenet(tmp_path)
    data = layouts.ClassFoldersData("tiny-imagenet-200", 64)
    assert data.class_names == ("n01443537", "n02124075")
    found = {
        split: [(record.image.name, record.class_label) for record in data.records(split)]
        for split in SPLITS
    }
    assert found == {
        "train": [(f"{wnid}_{n}.JPEG", k) for k, wnid in enumerate(data.class_names) for n in range(2)],
        "val": [("val_1.JPEG", 0), ("val_0.JPEG", 1), ("val_2.JPEG", 1)],
    }


@pytest.mark.parametrize("words", commands("fit-tokenizer"), ids=run_of)
def test_a_tokenizer_trains_on_every_data_set(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))  # counts of shards are kept there
    PREPARED[run_of(words)](tmp_path)
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
