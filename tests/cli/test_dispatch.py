"""From arguments to a command, and from what goes wrong to a sentence and an exit status."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import regvq as package
from regvq.cli import dispatch
from regvq.errors import RegvqError

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def decode_does(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException | None], None]:
    """Replaces what ``regvq decode`` does: it raises the exception, or nothing."""

    def install(error: BaseException | None) -> None:
        def run(_: object) -> None:
            if error is not None:
                raise error

        monkeypatch.setattr(dispatch._module("decode"), "run", run)

    return install


def _arguments() -> list[str]:
    return ["decode", "tokenizer", "tokens.npz", "--output", "out"]


def test_version(regvq: Run) -> None:
    assert regvq("--version") == (0, f"regvq {package.__version__}\n", "")


def test_help_lists_every_command(regvq: Run) -> None:
    status, text, _ = regvq("--help")
    assert status == 0
    assert all(f"    {name}" in text for name in dispatch.COMMANDS)


@pytest.mark.parametrize("name", dispatch.COMMANDS)
def test_every_command_explains_itself_with_an_example(name: str, regvq: Run) -> None:
    status, text, _ = regvq(name, "--help")
    assert status == 0
    assert f"Example:\n  regvq {name} " in text


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from regvq.cli import main; status = main(['--help']); "
        "heavy = {'torch', 'numpy', 'lightning', 'matplotlib', 'PIL'} & set(sys.modules); "
        "sys.exit(status or ' '.join(heavy) or 0)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.startswith("usage: regvq")


def test_as_a_module_with_a_missing_tokenizer(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "regvq", "reconstruct", "nowhere", ".", "--output", "out"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert finished.returncode == 2
    assert finished.stderr == "regvq: there is no tokenizer folder nowhere\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "required: COMMAND"),
        (["paint"], "invalid choice: 'paint'"),
        (["decode", "tokenizer"], "required: TOKENS, --output"),
        ([*_arguments(), "--out", "x"], "unrecognized arguments: --out x"),
        (["encode", "t", "i.png", "--output", "o.npz", "--size", "0"], "--size: must be at least 1, not 0"),
        (["encode", "t", "i.png", "--output", "o.npz", "--size", "big"], "--size: invalid"),
    ],
)
def test_wrong_arguments(arguments: list[str], sentence: str, regvq: Run) -> None:
    status, _, errors = regvq(*arguments)
    assert status == 2
    assert sentence in errors


def test_a_command_that_ends_well(decode_does: Callable[[BaseException | None], None], regvq: Run) -> None:
    decode_does(None)
    assert regvq(*_arguments()) == (0, "", "")


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (RegvqError("the sky is green: paint it blue"), 2, "regvq: the sky is green: paint it blue\n"),
        (KeyboardInterrupt("go on with --resume"), 130, "regvq: go on with --resume\n"),
        (KeyboardInterrupt(), 130, "regvq: interrupted; what was saved before is whole\n"),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/file"),
            2,
            "regvq: runs/file: No space left on device\n",
        ),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES)), 2, "regvq: Permission denied\n"),
        (OSError("something odd"), 2, "regvq: something odd\n"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(
    error: BaseException,
    status: int,
    sentence: str,
    decode_does: Callable[[BaseException | None], None],
    regvq: Run,
) -> None:
    decode_does(error)
    assert regvq(*_arguments()) == (status, "", sentence)


def test_a_defect_keeps_its_traceback(
    decode_does: Callable[[BaseException | None], None], regvq: Run
) -> None:
    decode_does(ZeroDivisionError("ours"))
    with pytest.raises(ZeroDivisionError, match="ours"):
        regvq(*_arguments())


def test_a_command_may_take_what_it_does_not_know(regvq: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(dispatch._module("fit-tokenizer"), "run", lambda args: seen.append(args.rest))
    rest = ["--config", "a.yaml", "--config", "b.yaml", "--trainer.max_steps=3", "--resume"]
    assert regvq("fit-tokenizer", *rest)[0] == 0
    assert regvq("fit-tokenizer")[0] == 0
    assert seen == [rest, []]
