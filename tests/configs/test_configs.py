"""Every configuration in the package is parsed and builds what it names."""

from pathlib import Path

import pytest

from regvq import configs
from regvq.errors import RegvqError
from regvq.nets import IdentityBackbone
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import ImageTokenizer
from regvq.training import GeneratorTraining, TokenizerTraining
from regvq.training.cli import TrainingCLI
from regvq.training.cli_arguments import resolve
from regvq.training.generator_cli import GeneratorCLI
from regvq.training.run import quiet
from regvq.training.tokenizer_cli import TokenizerCLI

STAGE_ONE = {
    "backbone": "backbone/tiny",
    "tokenizer": "tokenizer/regvq",
    "data": "data/photos",
    "trainer": "trainer/cpu",
}
STAGE_TWO = {
    "condition": "condition/none",
    "generator": "generator/autoregressive-tiny",
    "data": "data/scenes",
    "trainer": "trainer/generator-cpu",
}
"""What stands beside a configuration of either stage."""

NEEDS = {
    "data/folder": ["--data.dataset.init_args.root=FOLDER"],
    "data/tokens": ["--data.dataset.init_args.folder=FOLDER"],
    "trainer/gpu": ["--trainer.accelerator=cpu"],
    "trainer/generator-gpu": ["--trainer.accelerator=cpu"],
    # Hundreds of millions of weights take long to draw; one block shows that the arguments are right.
    "generator/autoregressive-256": ["--model.generator.init_args.layers=1"],
    "generator/diffusion-256": ["--model.generator.init_args.layers=1"],
}
"""What a configuration leaves to the user, and what this machine may lack."""


def of_stage_two(name: str) -> bool:
    return name.startswith(("generator/", "condition/", "trainer/generator"))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    ImageTokenizer(IdentityBackbone(8), VectorQuantizer(16, 4)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", [name for name in configs.names() if not name.startswith("comparison/")])
def test_it_builds_with_the_other_kinds_beside_it(
    name: str, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Pretrained weights are the user's: an objective that needs them is parsed, and says what is missing.
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    beside = STAGE_TWO if of_stage_two(name) else STAGE_ONE
    kind = name.split("/")[0]
    stacked = [*(value for key, value in beside.items() if key != kind), name]
    needs = [argument.replace("FOLDER", str(tmp_path)) for argument in NEEDS.get(name, [])]
    arguments = [part for file in stacked for part in ("--config", file)]
    make: type[TrainingCLI] = TokenizerCLI
    if of_stage_two(name):
        make = GeneratorCLI
        needs.append(f"--model.tokenizer={tokenizer}")
    with quiet():
        try:
            cli = make(resolve([*arguments, "--output", str(tmp_path / "run"), *needs]))
        except RegvqError as error:
            assert kind == "objective" and "weights" in str(error)  # noqa: PT017, PT018
            return
    assert isinstance(cli.model, GeneratorTraining if of_stage_two(name) else TokenizerTraining)
    assert cli.effective_config()


def test_names_with_and_without_suffix_and_own_files_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = configs.find("tokenizer/regvq")
    assert shipped == configs.find("tokenizer/regvq.yaml")
    monkeypatch.chdir(tmp_path)
    own = Path("tokenizer") / "regvq.yaml"
    own.parent.mkdir()
    own.write_text("model: {}")
    assert configs.find("tokenizer/regvq.yaml") == own
    assert configs.find("tokenizer/regvq") == shipped


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(RegvqError, match="tokenizer/ema-vq, tokenizer/fsq, tokenizer/gumbel"):
        configs.find("tokenizer/unknown")
