"""Files that mean harm: nothing is executed, written elsewhere, or unpacked without end."""

import gzip
import io
import json
import pickle
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from regvq import load_generator, load_tokenizer
from regvq.cli.images import png_names
from regvq.data.images import load_image
from regvq.data.label_files import read_numbers
from regvq.data.shards import WebDatasetData
from regvq.data.shards.shard_store import ShardStore
from regvq.data.shards.tar_samples import TarSamples
from regvq.errors import RegvqError
from regvq.exchange.from_taming import load_taming
from regvq.exchange.weights import read_weights
from regvq.nets.features.weights import load_weights
from regvq.tokenizers.token_file import load_tokens
from regvq.training.checkpoint_io import AtomicCheckpointIO
from tests.faults.conftest import Faults


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.proof,)


def refused(read: Callable[[], object]) -> str:
    """What is said; empty where nothing is, a trace where it is not one sentence of ours."""
    try:
        read()
    except RegvqError as error:
        return str(error) if "\n" not in str(error) else ""
    return ""


# Tar shards


def member(name: str, content: bytes = b"x", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


MEMBERS = {
    "a path upwards": member("../../outside.jpg"),
    "an absolute path": member("/outside.jpg"),
    "a symbolic link": member("1.jpg", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a hard link": member("1.jpg", b"", type=tarfile.LNKTYPE, linkname="../../secret.txt"),
    "a device": member("1.jpg", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "a pipe": member("1.jpg", b"", type=tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("kind", MEMBERS)
def test_tar_shards(kind: str, tmp_path: Path, faults: Faults) -> None:
    """Nothing is extracted, so a path leads nowhere; what is no plain file is left out."""
    (tmp_path / "secret.txt").write_text("secret")
    shards = tmp_path / "deep" / "er"
    shards.mkdir(parents=True)
    with tarfile.open(shards / "s.tar", "w") as tar:
        for info, content in (MEMBERS[kind], member("2.jpg", b"good")):
            tar.addfile(info, io.BytesIO(content))
    before = sorted(tmp_path.rglob("*"))
    samples = TarSamples(shards / "s.tar", "the shard")
    read = [samples.read(row, field) for row in range(len(samples)) for field in samples.fields(row)]
    lost = []
    if sorted(tmp_path.rglob("*")) != before:
        lost.append("a file was made")
    if read[-1] != b"good" or not set(read) <= {b"x", b"good"}:
        lost.append(f"{read} was read")
    faults.record("hostile", f"a tar shard with {kind}", 1, lost)


def test_a_tar_shard_that_promises_more_than_it_holds(tmp_path: Path, faults: Faults) -> None:
    info, _ = member("1.jpg")
    info.size = 2**40
    (tmp_path / "s.tar").write_bytes(info.tobuf() + bytes(2048))
    said = refused(lambda: TarSamples(tmp_path / "s.tar", "the shard"))
    faults.record("hostile", "a tar shard that promises a terabyte", 1, [] if said else ["it was read"])


def test_a_shard_that_unpacks_without_end(tmp_path: Path, faults: Faults) -> None:
    with gzip.open(tmp_path / "s.tar.gz", "wb") as file:
        for _ in range(8):
            file.write(bytes(2**20))
    store = ShardStore([str(tmp_path / "s.tar.gz")], tmp_path / "cache", None)
    said = refused(lambda: store.open(0))
    lost = [] if "unpacks to more than 100 times its size" in said else [f"it says: {said}"]
    lost += [f"{path} is left" for path in (tmp_path / "cache").glob("*") if path.stat().st_size]
    faults.record("hostile", "a compressed shard that unpacks a thousandfold", 1, lost)


def test_names_that_lead_out_of_the_output_folder(faults: Faults) -> None:
    names = ["../a.png", "/etc/a.png", "a/../../b.png", "a\0b.png", ".."]
    lost = [name for name in names if not refused(lambda name=name: png_names([name]))]
    faults.record("hostile", "token files whose images are called ../…", len(names), lost)


# Bombs


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file with any chunks, of grey pixels."""
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in (header, *chunks, (b"IEND", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def gif_of(side: int) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", side, side, 0, 0, 0) + b";"


BOMBS: dict[str, bytes] = {
    "a PNG of 3.6 billion pixels": png(60_000, 60_000, (b"IDAT", zlib.compress(bytes(2**20)))),
    "a PNG just above the limit": png(10_000, 9_000, (b"IDAT", zlib.compress(bytes(1000)))),
    "a PNG with a text that unpacks": png(
        2, 2, (b"zTXt", b"a\0\0" + zlib.compress(bytes(2**23))), (b"IDAT", zlib.compress(bytes(6)))
    ),
    "a GIF of 4 billion pixels": gif_of(65_535),
    "a PPM of 10 billion pixels": b"P6 100000 100000 255\n",
    "a BMP of 2 billion pixels": b"BM"
    + struct.pack("<IIIIiiHHIIiiII", 60, 0, 54, 40, 46_000, 46_000, 1, 24, 0, 0, 0, 0, 0, 0),
}


def test_image_bombs(faults: Faults) -> None:
    lost = [
        name for name, content in BOMBS.items() if not refused(lambda content=content: load_image(content))
    ]
    maps = [name for name in BOMBS if "PNG of" in name or "PNG just" in name]
    lost += [
        f"{name} as a label map"
        for name in maps
        if not refused(lambda name=name: read_numbers(BOMBS[name]))
    ]
    faults.record("hostile", "image bombs", len(BOMBS) + len(maps), lost)


def test_zip_bombs(tmp_path: Path, faults: Faults) -> None:
    lost = []
    with zipfile.ZipFile(tmp_path / "last.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**20))
    if "damaged or not a checkpoint" not in refused(
        lambda: AtomicCheckpointIO().load_checkpoint(tmp_path / "last.ckpt")
    ):
        lost.append("a checkpoint")
    # Two files that share their bytes would unpack to any size: the directory's own words are believed.
    with zipfile.ZipFile(tmp_path / "tokens.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(65):
            info = zipfile.ZipInfo(f"{number}.npy")
            with archive.open(info, "w") as file:
                file.write(bytes(64))
            archive.filelist[-1].file_size = 2**26
    if "unpacks to" not in refused(lambda: load_tokens(tmp_path / "tokens.npz")):
        lost.append("a token file")
    faults.record("hostile", "zip bombs", 2, lost)


# Pickles


def test_pickles_posing_as_weights(tokenizer: Path, tmp_path: Path, faults: Faults) -> None:
    proof = tmp_path / "proof"
    contents: dict[str, Callable[[Path], object]] = {
        "a bare pickle": lambda path: path.write_bytes(pickle.dumps(Trap(proof), protocol=2)),
        "a pickle that torch.save wrote": lambda path: torch.save({"state_dict": Trap(proof)}, path),
        "a checkpoint with a pickle in it": lambda path: torch.save(
            {
                "state_dict": {"a": torch.zeros(2)},
                "pytorch-lightning_version": "2.6.6",
                "optimizer_states": [Trap(proof)],
                "lr_schedulers": [],
                "loops": {},
            },
            path,
        ),
        "numpy's pickled objects": lambda path: np.savez(path, codes=np.array([Trap(proof)], dtype=object)),
    }
    (tmp_path / "taming.yaml").write_text("model: {target: x.VQModel, params: {}}")
    readers: dict[str, Callable[[Path], object]] = {
        "model.safetensors": lambda path: load_tokenizer(path.parent),
        "last.ckpt": lambda path: AtomicCheckpointIO().load_checkpoint(path),
        "taming.ckpt": lambda path: load_taming(path, tmp_path / "taming.yaml"),
        "weights.pth": lambda path: load_weights(path, "", "a feature net"),
        "weights.safetensors": read_weights,
        "tokens.npz": load_tokens,
        "tokens.safetensors": load_tokens,
    }
    lost, tried = [], 0
    for what, write in contents.items():
        for name, read in readers.items():
            folder = tmp_path / f"{tried}"
            shutil.copytree(tokenizer, folder)
            tried += 1
            write(folder / "written.npz")
            (folder / "written.npz").replace(folder / name)
            if not refused(lambda read=read, path=folder / name: read(path)) or proof.exists():
                lost.append(f"{what} as {name}")
            proof.unlink(missing_ok=True)
    faults.record("hostile", "pickles posing as weights or tokens", tried, lost)


# Models of strangers


def cached(cache: Path, repo_id: str, folder: Path) -> None:
    """Puts a folder where the Hub's client would have."""
    place = cache / f"models--{repo_id.replace('/', '--')}"
    shutil.copytree(folder, place / "snapshots" / ("0" * 40))
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0" * 40)


def foreign(proof: Path) -> dict[str, Any]:
    """Descriptions of objects that no model may hold."""
    shell = f"touch {proof}"
    return {
        "os.system": {"class_path": "os.system", "init_args": {"command": shell}},
        "subprocess.Popen": {"class_path": "subprocess.Popen", "init_args": {"args": shell, "shell": True}},
        "builtins.eval": {"class_path": "builtins.eval", "init_args": {"source": "1"}},
        "torch.hub.load": {"class_path": "torch.hub.load", "init_args": {"repo_or_dir": "a/b"}},
        "a module beside ours": {"class_path": "regvq_extra.Quantizer", "init_args": {}},
        "what our modules import": {"class_path": "regvq.files.os.system", "init_args": {"command": shell}},
        "our command line": {"class_path": "regvq.cli.main", "init_args": {"argv": ["demo"]}},
        "our main module": {"class_path": "regvq.__main__.main", "init_args": {"argv": ["demo"]}},
        "a data set out of a command": {
            "class_path": "regvq.data.shards.WebDatasetData",
            "init_args": {"train": f"pipe:{shell}", "val": f"pipe:{shell}"},
        },
    }


@pytest.mark.parametrize("place", ["the model", "a part of it"])
def test_classes_that_a_model_of_the_hub_may_not_name(
    place: str, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: Faults
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    proof, lost = tmp_path / "proof", []
    described = foreign(proof)
    config = json.loads((tokenizer / "config.json").read_text())
    for number, (name, description) in enumerate(described.items()):
        changed = json.loads(json.dumps(config))
        if place == "the model":
            changed["model"] = description
        else:
            changed["model"]["init_args"]["quantizer"]["init_args"]["prior"] = description
        folder = tmp_path / f"stranger-{number}"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(changed))
        save_file({"weight": torch.zeros(1)}, folder / "model.safetensors")
        cached(tmp_path / "hub", f"stranger/model-{number}", folder)
        for load in (load_tokenizer, load_generator):
            if not refused(lambda load=load, number=number: load(f"stranger/model-{number}")):
                lost.append(f"{name} as {place}")
        if proof.exists():
            lost.append(f"{name} was run")
    faults.record(
        "hostile", f"classes outside the package as {place}, from the Hub", 2 * len(described), lost
    )


def test_yaml_that_builds_objects(tmp_path: Path, faults: Faults) -> None:
    """The configuration beside a foreign checkpoint is read as plain values."""
    proof = tmp_path / "proof"
    torch.save({"state_dict": {"a": torch.zeros(2)}}, tmp_path / "model.ckpt")
    (tmp_path / "config.yaml").write_text(f"model: !!python/object/apply:os.system ['touch {proof}']\n")
    said = refused(lambda: load_taming(tmp_path / "model.ckpt", tmp_path / "config.yaml"))
    lost = [] if said and not proof.exists() else [f"it says: {said}"]
    faults.record("hostile", "YAML with Python's object tags", 1, lost)


def test_a_shard_pattern_is_a_command_only_where_the_user_says_so(tmp_path: Path) -> None:
    """What comes out of a shard, its names included, is never an address."""
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        info, content = member("pipe:touch proof.jpg", b"no picture")
        tar.addfile(info, io.BytesIO(content))
    data = WebDatasetData(str(tmp_path / "s.tar"), str(tmp_path / "s.tar"), 16, cache=str(tmp_path / "c"))
    with pytest.warns(UserWarning, match="skipped"), pytest.raises(RegvqError, match="none of the 1 val"):
        data.val()[0]
    assert not list(tmp_path.rglob("proof*"))
