"""Checkpoints that are cut or have flipped bits: refused with a sentence, and the one before is used."""

import random
import shutil
from pathlib import Path

import pytest
import torch

from regvq import load_generator, load_tokenizer
from regvq.errors import RegvqError
from regvq.generators import AutoregressiveGenerator
from regvq.tokenizers import ImageTokenizer
from regvq.training import fit
from regvq.training.checkpoint_io import AtomicCheckpointIO
from regvq.training.resuming import start_of
from regvq.training.run_folder import RunFolder
from tests.faults.conftest import Faults
from tests.faults.test_kills import different
from tests.training.conftest import OPTIONS, tiny_data, tiny_training


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four steps."""
    run = tmp_path_factory.mktemp("checkpoints") / "run"
    torch.manual_seed(0)
    fit(tiny_training(), tiny_data(), run, **OPTIONS)
    return run


def cuts(content: bytes) -> list[bytes]:
    """Cut at ten positions."""
    return [content[: len(content) * share // 10] for share in range(10)]


def flips(content: bytes, count: int) -> list[bytes]:
    """One bit is another one, at places all over the file."""
    chance, changed = random.Random(0), []
    for _ in range(count):
        copy = bytearray(content)
        copy[chance.randrange(len(copy))] ^= 1 << chance.randrange(8)
        changed.append(bytes(copy))
    return changed


@pytest.mark.parametrize("damage", ["cut", "flipped bit"])
def test_the_one_before_is_used(damage: str, finished: Path, tmp_path: Path, faults: Faults) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(finished, run.path)
    content = run.last.read_bytes()
    damaged = cuts(content) if damage == "cut" else flips(content, faults.count(30, 1000))
    wanted = AtomicCheckpointIO().load_checkpoint(run.last)
    lost, harmless = [], 0
    for changed in damaged:
        run.last.write_bytes(changed)
        try:
            read = AtomicCheckpointIO().load_checkpoint(run.last)
        except RegvqError as error:
            if "\n" in str(error) or str(run.last) not in str(error):
                lost.append(f"no sentence: {error}")
            with pytest.warns(UserWarning, match=r"last\.ckpt is .*going on from .*previous\.ckpt"):
                start = start_of(run)
            if start != run.previous:
                lost.append("the one before was not used")
        else:
            # Space between the parts of the archive, dates, …: nothing of it is read.
            harmless += 1
            if different(read, wanted):
                lost.append("other weights were read")
    assert harmless == 0 if damage == "cut" else harmless < len(damaged) / 2
    found = f"{len(damaged) - harmless} refused, {harmless} where nothing is read"
    faults.record("checkpoints", f"last.ckpt with a {damage}", len(damaged), lost, found)


@pytest.mark.filterwarnings("always::UserWarning:regvq")
def test_a_run_goes_on_from_the_one_before_to_the_same_end(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], faults: Faults
) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(finished, run.path)
    run.last.write_bytes(run.last.read_bytes()[:-1000])
    before = run.previous.read_bytes()
    options = {**OPTIONS, "max_steps": 6}
    resumed = fit(tiny_training(), tiny_data(), run.path, resume=True, **options)
    assert f"{run.last} is damaged" in (said := capsys.readouterr().err)
    assert f"going on from {run.previous}\n" in said
    whole = fit(tiny_training(), tiny_data(), tmp_path / "whole", **options)
    assert resumed.fingerprint() == whole.fingerprint()
    assert run.previous.read_bytes() != before
    for path in (run.last, run.previous):
        AtomicCheckpointIO().load_checkpoint(path)
    shutil.copy(finished / "checkpoints" / "best.ckpt", run.last)
    again = fit(tiny_training(), tiny_data(), run.path, resume=True, **options)
    assert again.fingerprint() == whole.fingerprint()
    faults.record("checkpoints", "training on from previous.ckpt and best.ckpt, to the same weights", 2, [])


@pytest.mark.filterwarnings("always::UserWarning:regvq")
def test_a_damaged_one_never_takes_the_place_of_the_one_before(finished: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(finished, run.path)
    run.last.write_bytes(b"damaged")
    before = run.previous.read_bytes()
    # Writes one checkpoint; another would move it on.
    fit(tiny_training(), tiny_data(), run.path, resume=True, **OPTIONS)
    assert AtomicCheckpointIO().load_checkpoint(run.last)["global_step"] == OPTIONS["max_steps"]
    assert run.previous.read_bytes() == before


def test_where_both_are_damaged_both_are_named(finished: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(finished, run.path)
    for path in (run.last, run.previous):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RegvqError, match=r"last\.ckpt is damaged.*and so is .*previous\.ckpt"):
        start_of(run)


def test_a_kill_between_two_renames_leaves_the_one_before(finished: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(finished, run.path)
    run.last.unlink()
    run.require(resume=True)
    with pytest.warns(UserWarning, match=r"there is no checkpoint .*last\.ckpt: going on from"):
        assert start_of(run) == run.previous


@pytest.mark.parametrize("kind", ["tokenizer", "generator"])
def test_model_folders(kind: str, request: pytest.FixtureRequest, faults: Faults) -> None:
    folder: Path = request.getfixturevalue(kind)
    load = load_tokenizer if kind == "tokenizer" else load_generator
    wanted: ImageTokenizer | AutoregressiveGenerator = load(folder)
    lost, tried, refused = [], 0, 0
    for name in ("model.safetensors", "config.json"):
        content = (folder / name).read_bytes()
        for changed in cuts(content) + flips(content, faults.count(20, 500)):
            tried += 1
            (folder / name).write_bytes(changed)
            try:
                if different(load(folder).state_dict(), wanted.state_dict()):
                    lost.append(f"{name}: other weights were read")
            except RegvqError as error:
                refused += 1
                if "\n" in str(error):
                    lost.append(f"no sentence: {error}")
        (folder / name).write_bytes(content)
    assert refused > 0.7 * tried
    faults.record(
        "checkpoints", f"a {kind}'s folder, cut or with a flipped bit", tried, lost, f"{refused} refused"
    )
