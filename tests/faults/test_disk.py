"""A disk that fills up and a folder that may not be written, at every place that saves something."""

import ast
import functools
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

import regvq
from regvq.cli import main
from regvq.errors import RegvqError
from regvq.exchange import save_vq_model
from regvq.nets import VQGANBackbone
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import ImageTokenizer
from regvq.training import fit
from regvq.training.callbacks import KeepConfig
from tests.faults.conftest import Faults
from tests.support.limits import LIMITS, full_disk, read_only
from tests.training.conftest import OPTIONS, tiny_data, tiny_training

SOURCE = Path(regvq.__file__).parent
Run = Callable[..., tuple[int, str, str]]

SCENES = [
    *("--config", "data/scenes", "--data.dataset.init_args.size=16"),
    *("--data.dataset.init_args.train_length=10", "--data.dataset.init_args.val_length=3"),
]
COMMANDS: dict[str, Callable[[Path, Path], list[object]]] = {
    "encode, npz": lambda place, out: [
        "encode",
        place / "tokenizer",
        place / "photos",
        "--output",
        out / "t.npz",
    ],
    "encode, safetensors": lambda place, out: [
        *("encode", place / "tokenizer", place / "photos", "--output", out / "t.safetensors")
    ],
    "encode, data set": lambda place, out: [
        "encode",
        place / "tokenizer",
        *SCENES,
        "--output",
        out / "cache",
    ],
    "decode": lambda place, out: [
        *("decode", place / "tokenizer", place / "tokens.npz", "--output", out / "decoded")
    ],
    "reconstruct": lambda place, out: [
        *("reconstruct", place / "tokenizer", place / "photos", "--output", out / "pictures")
    ],
    "codebook": lambda place, out: [
        *("codebook", place / "tokenizer", place / "photos", "--output", out / "codebook")
    ],
    "sample, one picture": lambda place, out: [
        *("sample", place / "tokenizer", place / "generator", "--count", 2, "--output", out / "s.png")
    ],
    "sample, a folder": lambda place, out: [
        *("sample", place / "tokenizer", place / "generator", "--count", 2, "--output", out / "samples")
    ],
    "evaluate": lambda place, out: [
        *("evaluate", "tokenizer", place / "tokenizer", *SCENES, "--features", "offline"),
        *("--cache", out / "features", "--output", out / "evaluation"),
    ],
    "edit": lambda place, out: [
        *("edit", place / "tokenizer", place / "generator", place / "photos" / "a.png"),
        *("--mask", place / "photos" / "a.png", "--output", out / "edited.png"),
    ],
    "export, transformers": lambda place, out: [
        *("export", place / "generator", "--format", "transformers", "--output", out / "exported")
    ],
    "export, diffusers": lambda place, out: [
        *("export", place / "vqgan", "--format", "diffusers", "--output", out / "exported")
    ],
    "export, onnx": lambda place, out: [
        *("export", place / "tokenizer", "--format", "onnx", "--output", out / "exported")
    ],
    "import": lambda place, out: ["import", place / "vq-model", "--output", out / "imported"],
    "fit-tokenizer, begin": lambda place, out: [
        *("fit-tokenizer", "--config", "backbone/tiny", "--config", "objective/l1"),
        *("--config", "tokenizer/vq", *SCENES, "--config", "trainer/cpu"),
        *("--trainer.max_steps=1", "--data.batch_size=2", "--output", out / "run"),
    ],
    "fit-generator, begin": lambda place, out: [
        *("fit-generator", "--model.tokenizer", place / "tokenizer", "--config", "condition/none"),
        *("--config", "generator/autoregressive-tiny", *SCENES, "--config", "trainer/generator-cpu"),
        *("--trainer.max_steps=1", "--data.batch_size=2", "--output", out / "run"),
    ],
    "revive, begin": lambda place, out: [
        *("revive", place / "vqgan", "--config", "objective/l1", *SCENES, "--config", "trainer/cpu"),
        *("--trainer.max_steps=1", "--data.batch_size=2", "--output", out / "run"),
    ],
}
"""Commands that write below ``out`` what they make from what lies in ``place``."""


@pytest.fixture
def place(tokenizer: Path, generator: Path, photos: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder that any user may read, with a tokenizer, a generator, pictures and tokens."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    for source in (tokenizer, generator, photos):
        shutil.copytree(source, folder / source.name)
    backbone = VQGANBackbone((8, 8, 8), layers=1, latent_channels=4, norm_groups=4)
    vqgan = ImageTokenizer(backbone, VectorQuantizer(16, 4, init="normal")).eval()
    vqgan.save_pretrained(folder / "vqgan")
    save_vq_model(vqgan, folder / "vq-model")
    assert main([str(part) for part in COMMANDS["encode, npz"](folder, folder)]) == 0
    (folder / "t.npz").rename(folder / "tokens.npz")
    yield folder
    shutil.rmtree(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but logs, which are written as a training goes."""
    files = (path for path in folder.rglob("*") if path.is_file() and "logs" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("limit", LIMITS)
def test_commands(limit: str, place: Path, regvq: Run, faults: Faults) -> None:
    lost = []
    for name, command in COMMANDS.items():
        out = place / "out"
        out.mkdir()
        (out / "before.txt").write_text("what stood there")
        with LIMITS[limit](out):
            status, _, said = regvq(*command(place, out))
        sentence = said.strip().splitlines()[-1] if said.strip() else ""
        if status != 2 or not sentence.startswith("regvq: ") or "Traceback" in said:
            lost.append(f"{name}: {status} {said[-500:]}")
        elif contents(out) != {"before.txt": b"what stood there"}:
            lost.append(f"{name} left {sorted(contents(out))}")
        shutil.rmtree(out)
    faults.record("disk", f"commands, {limit}", len(COMMANDS), lost)


@pytest.mark.parametrize("limit", LIMITS)
def test_what_stood_there_still_stands(limit: str, place: Path, regvq: Run, faults: Faults) -> None:
    """Files of the same name, written once more with other content."""
    twice = ("encode, npz", "reconstruct", "sample, one picture")
    lost, out = [], place / "out"
    out.mkdir()
    for name in twice:
        assert regvq(*COMMANDS[name](place, out))[0] == 0
        before = contents(out)
        other = ["--seed", 7] if name.startswith("sample") else ["--size", 24]
        with LIMITS[limit](out):
            status, _, said = regvq(*COMMANDS[name](place, out), *other)
        if status != 2 or "regvq: cannot write" not in said:
            lost.append(f"{name}: {status} {said[-500:]}")
        elif contents(out) != before:
            lost.append(f"{name} changed what stood there")
    faults.record("disk", f"files that stand there, {limit}", len(twice), lost)


class Limited(Callback):
    """Puts a limit in place at the beginning of a step, and notes what was saved by then."""

    def __init__(self, folder: Path, limit: AbstractContextManager[None], step: int) -> None:
        self.folder, self.limit, self.step = folder, limit, step
        self.before: dict[str, bytes] = {}

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.step:
            self.before = contents(self.folder) if self.folder.exists() else {}
            self.limit.__enter__()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.limit.__exit__(None, None, None)


def test_trainings(place: Path, faults: Faults) -> None:
    """Each of the files that a validation saves is the first that does not fit, at once and later."""
    whole = place / "whole"
    fit(tiny_training(), tiny_data(), whole, **OPTIONS)
    files = {
        name: (whole / name).stat().st_size
        for name in ("tokenizer/model.safetensors", "checkpoints/best.ckpt")
    }
    # With rights taken away nothing is written any more, whatever comes first.
    limits = {name: functools.partial(full_disk, largest=size - 1) for name, size in files.items()}
    lost, tried = [], 0
    for step, (name, limit) in itertools.product((1, 3), {**limits, "read-only folder": read_only}.items()):
        run = place / f"run-{tried}"  # as long as the other's name, which stands in checkpoints
        run.mkdir()
        tried += 1
        limited = Limited(run, limit(run), step)
        try:
            fit(tiny_training(), tiny_data(), run, callbacks=[limited], **OPTIONS)
            lost.append(f"{name} at step {step}: no error")
        except RegvqError as error:
            if "cannot write" not in str(error) or "\n" in str(error):
                lost.append(f"{name} at step {step}: {error}")
        kept = contents(run)
        if any(kept.get(file) != content for file, content in limited.before.items() if "ckpt" in file):
            lost.append(f"{name} at step {step}: a checkpoint changed")
        if [file for file in kept if Path(file).name.startswith(".")]:
            lost.append(f"{name} at step {step}: leftovers in {sorted(kept)}")
        if step == 3:
            resumed = fit(tiny_training(), tiny_data(), run, resume=True, **OPTIONS)
            if resumed.fingerprint() != regvq.load_tokenizer(whole / "tokenizer").fingerprint():
                lost.append(f"{name}: resumed to another result")
    faults.record("disk", "trainings, every file of a validation, and rights taken away", tried, lost)


def test_the_configuration_of_a_run(tmp_path: Path) -> None:
    keep = KeepConfig(tmp_path / "config.yaml", "a: " + "b" * 100)
    trainer = Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
    with (
        full_disk(tmp_path),
        pytest.raises(RegvqError, match=r"cannot write .*config\.yaml: File too large"),
    ):
        keep.on_train_start(trainer, tiny_training())
    assert not list(tmp_path.iterdir())


ELSEWHERE = {
    ("files.py", "fdopen"): "the one writer",
    ("hub.py", "write_bytes"): "a temporary folder that is uploaded",
    ("nets/features/inception.py", "torch.save"): "a temporary folder",
    ("data/shards/addresses.py", "open"): "a copy that is renamed when it is whole",
    ("evaluation/comparison/cell.py", "open"): "what trainings print, appended",
    ("cli/dispatch.py", "os.open"): "the null device",
}
"""What writes otherwise, and why it may."""


WRITE = {"write_text", "save_file", "savefig", "imsave", "tofile", "savez", "savez_compressed"}
"""Functions that write a file whatever they are given."""

WHOLE_NAMES = ("torch.save", "os.open")
"""Others, whose last names are also those of functions that do not."""

INTO_MEMORY = {
    ("training/checkpoint_io.py", "torch.save"),
    ("tokenizers/token_file.py", "savez_compressed"),
}
"""And from there by ``regvq.files``."""


def writers(tree: ast.AST) -> Iterator[str]:
    """Calls that write a file by themselves."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        modes = [
            one.value
            for one in (*node.args, *(word.value for word in node.keywords if word.arg == "mode"))
            if isinstance(one, ast.Constant) and isinstance(one.value, str) and len(one.value) < 4
        ]
        writes = name in ("open", "fdopen") and any(set(mode) & set("wax+") for mode in modes)
        if writes or name in WRITE or (name in ("save", "open") and ast.unparse(function) in WHOLE_NAMES):
            yield ast.unparse(function) if name in ("save", "open") and not writes else name
        elif name == "write_bytes" and isinstance(function, ast.Attribute):
            yield name


def test_every_file_is_written_by_one_function() -> None:
    """So that what holds for ``regvq.files`` holds wherever something is saved."""
    found = {
        (str(path.relative_to(SOURCE)), call)
        for path in SOURCE.rglob("*.py")
        for call in writers(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found - INTO_MEMORY == ELSEWHERE.keys()


def test_torch_is_not_asked_to_write(tmp_path: Path) -> None:
    with full_disk(tmp_path), pytest.raises(RuntimeError):
        torch.save(torch.zeros(100), tmp_path / "torch.pt")  # the limit is a real one
