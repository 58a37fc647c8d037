"""The training command: configuration files in, a run's folder out, one sentence for a mistake."""

import re
from pathlib import Path

import pytest
import yaml

from regvq import load_tokenizer
from regvq.errors import RegvqError
from regvq.quantizers import EMAVectorQuantizer
from regvq.training.cli_arguments import located
from regvq.training.tokenizer_cli import tokenizer_cli, train_tokenizer

SHIPPED = ["backbone/tiny", "tokenizer/ema-vq", "data/photos", "trainer/cpu"]
SMALL = """
model:
  backbone: {class_path: regvq.nets.IdentityBackbone, init_args: {downsampling: 4}}
  quantizer: {init_args: {codebook_size: 16, dim: 8}}
data:
  dataset: {init_args: {size: 16, train_length: 16, val_length: 8}}
  batch_size: 4
trainer: {max_steps: 3, val_check_interval: 2}
"""


@pytest.fixture
def small(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return str(path)


def base(small: str) -> list[str]:
    return [part for name in [*SHIPPED, small] for part in ("--config", name)]


def test_a_run_is_trained_and_resumed_from_its_own_configuration(small: str, tmp_path: Path) -> None:
    output = tmp_path / "run"
    first = train_tokenizer([*SHIPPED, small], output, ["--model.ema_decay=0.5"])
    assert isinstance(first.quantizer, EMAVectorQuantizer)
    assert first.fingerprint() == load_tokenizer(str(output / "tokenizer")).fingerprint()
    config = yaml.safe_load((output / "config.yaml").read_text())
    assert config["model"]["ema_decay"] == 0.5
    assert config["trainer"]["max_steps"] == 3
    assert not {"output", "resume", "config"} & set(config)
    again = tokenizer_cli([f"--output={output}", "--resume", "--trainer.max_steps", "5"])
    assert int(again.quantizer.steps.value) == 5


def test_a_refused_resume_leaves_the_configuration_alone(small: str, tmp_path: Path) -> None:
    output = tmp_path / "run"
    train_tokenizer([*SHIPPED, small], output)
    before = (output / "config.yaml").read_bytes()
    with pytest.raises(RegvqError, match="another configuration"):
        tokenizer_cli([f"--output={output}", "--resume", "--model.quantizer.init_args.codebook_size=32"])
    assert (output / "config.yaml").read_bytes() == before
    tokenizer_cli([f"--output={output}", "--resume", "--trainer.max_steps=4"])


def test_a_start_that_failed_does_not_take_the_folder(small: str, tmp_path: Path) -> None:
    output = tmp_path / "run"
    with pytest.raises(RegvqError, match="do not fill one batch"):
        train_tokenizer([*SHIPPED, small], output, ["--data.batch_size=64"])
    train_tokenizer([*SHIPPED, small], output)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model: {quantizer: {init_args: {mask_ratoi: 0.2}}}",
            r"mine\.yaml: model\.quantizer.*'mask_ratoi'",
        ),
        ("model: {learning_rate: fast}", r"mine\.yaml: model\.learning_rate: .* float\. Got value: fast"),
        ("modell: {learning_rate: 1}", r"mine\.yaml: .*'modell"),
        ("trainer: {max_step: 1}", r"mine\.yaml: .*'max_step'"),
        ("model: {quantizer: {class_path: regvq.quantizers.Nope}}", r"mine\.yaml: .*'Nope'"),
        (
            "model: {quantizer: {init_args: {codebook_size: 0}}}",
            "codebook_size and dim must be whole numbers",
        ),
        (
            "model: {schedule: {class_path: regvq.training.CosineRate, init_args: {end: 2}}}",
            r"mine\.yaml: end must be in",
        ),
        (
            "model: {quantizer: {class_path: regvq.quantizers.GumbelQuantizer, init_args: {temperature: "
            "{class_path: regvq.schedules.Linear, init_args: {start: 1, end: 0, steps: 0}}}}}",
            "^a ramp needs steps >= 1 and delay >= 0, not 0 and 0$",
        ),
        ("model: {betas: [2, 3]}", r"mine\.yaml: betas must be in"),
        ("model: {weight_decay: -1}", r"mine\.yaml: weight_decay must not be negative"),
        (
            "model: {backbone: {class_path: regvq.nets.VQGANBackbone, init_args: {norm_groups: 0}}}",
            "at least 1",
        ),
        ("trainer: {val_check_interval: 0}", r"trainer\.val_check_interval must be positive"),
        ("trainer: {precision: bf16-true}", "small updates are lost: give bf16-mixed"),
        ("trainer: {gradient_clip_val: -1}", r"trainer\.gradient_clip_val must be positive"),
        ("model: [", r"mine\.yaml, line 1 is not valid YAML"),
        ("just text", r"mine\.yaml is not a configuration"),
    ],
)
def test_a_mistake_in_a_file_is_one_sentence(small: str, tmp_path: Path, text: str, message: str) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(text)
    with pytest.raises(RegvqError, match=message) as caught:
        tokenizer_cli([*base(small), "--config", str(mine), "--output", str(tmp_path / "run")])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "tokenizer/nothing"], "no configuration tokenizer/nothing: .*tokenizer/regvq"),
        (["--nonsense", "3"], "unrecognized arguments: --nonsense 3"),
        (["--trainer.max_steps", "many"], r"--trainer\.max_steps: .*many"),
        (["--trainer.strategy=fsdp"], "strategy fsdp splits the model up .*: give sharded, .*, or ddp"),
        (["--trainer.strategy=deepspeed_stage_2"], "strategy deepspeed_stage_2 splits the model"),
        (
            ["--trainer.strategy.class_path=lightning.pytorch.strategies.ModelParallelStrategy"],
            r"strategy lightning\.\S+\.ModelParallelStrategy splits the model",
        ),
        (["--trainer.accelerator", "abacus"], "cannot be set up as asked"),
        (["--resume"], "to resume from: start without --resume"),
    ],
)
def test_a_mistake_on_the_command_line(
    small: str, tmp_path: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(RegvqError, match=message):
        tokenizer_cli([*base(small), "--output", str(tmp_path / "run"), *arguments])


@pytest.fixture
def torchrun(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """What a process sees that is the first of two that torchrun has started."""
    for name, value in {
        "WORLD_SIZE": "2",
        "RANK": "0",
        "LOCAL_RANK": "0",
        "TORCHELASTIC_RUN_ID": "x",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.usefixtures("torchrun")
def test_a_trainer_for_fewer_processes_than_torchrun_started(small: str, tmp_path: Path) -> None:
    sentence = "torchrun has started 2 processes, the trainer is set up for 1: give --trainer.devices"
    with pytest.raises(RegvqError, match=sentence):
        tokenizer_cli([*base(small), "--output", str(tmp_path / "run")])


@pytest.mark.filterwarnings("always:processes that torchrun starts again")
def test_restarts_that_may_meet_the_dead_are_told(
    torchrun: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torchrun.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    said = []
    for one_store in ("True", "False"):
        torchrun.setenv("TORCHELASTIC_USE_AGENT_STORE", one_store)
        with pytest.raises(RegvqError):
            tokenizer_cli(["--config", "tokenizer/nothing"])
        said.append(capsys.readouterr().err)
    sentence = "put TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in front of torchrun"
    assert [sentence in text for text in said] == [True, False]


def test_a_wrong_value_is_placed_where_it_stands(small: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("data: {batch_size: many}")
    with pytest.raises(RegvqError, match=rf"^{re.escape(str(mine))}: .*many"):
        tokenizer_cli([*base(small), "--config", str(mine), "--data.batch_size=4"])
    mine.write_text("data: {batch_size: 4}")
    with pytest.raises(RegvqError, match=r"^--data\.batch_size=few: "):
        tokenizer_cli([*base(small), "--config", str(mine), "--data.batch_size=few"])


def test_what_is_missing_is_said_with_what_would_give_it() -> None:
    with pytest.raises(RegvqError, match=r"lacks model\.quantizer, data\.dataset: .*tokenizer/regvq"):
        tokenizer_cli(["--config", "backbone/tiny"])


def test_a_taken_folder_is_refused_before_anything_is_built(small: str, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious.txt").write_text("mine")
    with pytest.raises(RegvqError, match="is not empty"):
        tokenizer_cli([*base(small), "--output", str(tmp_path / "run")])


def test_the_configuration_can_be_printed_and_read_again(
    small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        tokenizer_cli([*base(small), "--print_config"])
    assert stop.value.code == 0
    printed = tmp_path / "printed.yaml"
    printed.write_text(capsys.readouterr().out)
    tokenizer_cli(["--config", str(printed), "--output", str(tmp_path / "run"), "--trainer.max_steps", "1"])
    assert (tmp_path / "run" / "tokenizer" / "config.json").is_file()


def test_a_place_is_where_the_key_is_given_and_not_where_its_word_stands(tmp_path: Path) -> None:
    comment, key = tmp_path / "comment.yaml", tmp_path / "key.yaml"
    comment.write_text("# a mask_ratio: of a half\nmodel: {}\n")
    key.write_text("model: {quantizer: {init_args: {mask_ratio: 2}}}\n")
    files = ["--config", str(key), "--config", str(comment)]
    sentence = "mask_ratio must be in [0, 1], not 2"
    assert located(sentence, files) == f"{key}: {sentence}"
    argument = "--model.quantizer.init_args.mask_ratio=3"
    assert located(sentence, [*files, argument]) == f"{argument}: {sentence}"
    assert located("a ramp needs steps", files) == "a ramp needs steps"
