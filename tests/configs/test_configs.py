"""Every configuration in the package is parsed and builds what it names."""

from pathlib import Path

import pytest

from regvq import configs
from regvq.errors import RegvqError
from regvq.training import TokenizerTraining
from regvq.training.cli_arguments import resolve
from regvq.training.run import quiet
from regvq.training.tokenizer_cli import TokenizerCLI

COMPLEMENT = {
    "backbone": "backbone/tiny",
    "tokenizer": "tokenizer/vq",
    "data": "data/photos",
    "trainer": "trainer/cpu",
}
NEEDS = {
    "data/folder": ["--data.dataset.init_args.root=FOLDER"],
    "trainer/gpu": ["--trainer.accelerator=cpu"],
}
"""What a configuration leaves to the user, and what this machine may lack."""


@pytest.mark.parametrize("name", configs.names())
def test_it_builds_with_the_other_kinds_beside_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Pretrained weights are the user's: an objective that needs them is parsed, and says what is missing.
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    kind = name.split("/")[0]
    stacked = [*(value for key, value in COMPLEMENT.items() if key != kind), name]
    needs = [argument.replace("FOLDER", str(tmp_path)) for argument in NEEDS.get(name, [])]
    arguments = [part for file in stacked for part in ("--config", file)]
    with quiet():
        try:
            cli = TokenizerCLI(resolve([*arguments, "--output", str(tmp_path / "run"), *needs]))
        except RegvqError as error:
            assert kind == "objective" and "weights" in str(error)  # noqa: PT017, PT018
            return
    assert isinstance(cli.model, TokenizerTraining)
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
    with pytest.raises(RegvqError, match="tokenizer/ema-vq, tokenizer/gumbel"):
        configs.find("tokenizer/unknown")
