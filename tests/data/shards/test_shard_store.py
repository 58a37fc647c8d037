"""Where shards come from, what is copied, and what is counted once."""

import gzip
import multiprocessing
from pathlib import Path

import fsspec
import pytest

from regvq.data.shards import shard_store
from regvq.data.shards.addresses import expand
from regvq.data.shards.shard_store import ShardStore
from regvq.data.shards.tar_samples import TREE, TarSamples
from regvq.errors import RegvqError
from tests.data.shards.test_tar_samples import archive


def shard(folder: Path, name: str = "s.tar", samples: int = 2, size: int = 100) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return archive(folder / name, {f"{number}.jpg": b"x" * size for number in range(samples)})


def copies(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.tar"))


def test_patterns(tmp_path: Path) -> None:
    for number in range(3):
        shard(tmp_path, f"{number:02d}.tar")
    names = [str(tmp_path / f"{number:02d}.tar") for number in range(3)]
    assert expand(f"{tmp_path}/{{00..02}}.tar") == expand(f"{tmp_path}/*.tar") == names
    assert expand(f"{names[2]}::{names[0]}") == [names[2], names[0]]
    assert expand("pipe:cat {a,b}.tar") == ["pipe:cat a.tar", "pipe:cat b.tar"]
    assert expand("s3://bucket/{0..1}.tar") == ["s3://bucket/0.tar", "s3://bucket/1.tar"]
    with pytest.raises(RegvqError, match="no file is called") as caught:
        expand(f"{tmp_path}/*.tgz")
    assert TREE in str(caught.value)


def test_a_shard_of_this_machine_is_not_copied(tmp_path: Path) -> None:
    path, cache = shard(tmp_path / "data"), tmp_path / "cache"
    for address in (str(path), f"file://{path}"):
        store = ShardStore([address], cache, None)
        assert store.inventory()[0] == [2]
        assert store.open(0).path == path
    assert copies(cache) == []


def test_counted_once_until_a_shard_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(shard(tmp_path, f"{number}.tar", number + 1)) for number in range(3)]
    store = ShardStore(paths, tmp_path / "cache", None)
    assert store.inventory()[0] == [1, 2, 3]
    mark = store.inventory()[1]
    read: list[str] = []
    real = shard_store.TarSamples

    def watched(path: Path, name: str) -> TarSamples:
        read.append(name)
        return real(path, name)

    monkeypatch.setattr(shard_store, "TarSamples", watched)
    again = ShardStore(paths, tmp_path / "cache", None)
    assert again.inventory() == ([1, 2, 3], mark)
    assert read == []
    shard(tmp_path, "1.tar", 7)
    changed = ShardStore(paths, tmp_path / "cache", None)
    assert changed.inventory()[0] == [1, 7, 3]
    assert changed.inventory()[1] != mark
    assert read == [paths[1]]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": []}', '{"a": 2}'])
def test_damaged_counts_are_counted_again(tmp_path: Path, content: str) -> None:
    store = ShardStore([str(shard(tmp_path))], tmp_path / "cache", None)
    store.inventory()
    (counts,) = (tmp_path / "cache").glob("counts-*.json")
    counts.write_text(content)
    assert store.inventory()[0] == [2]


def addresses(folder: Path) -> dict[str, str]:
    """The same shard at addresses of several kinds."""
    path = shard(folder)
    for compressed in (Path(f"{path}.gz"), path.with_suffix(".tgz")):
        compressed.write_bytes(gzip.compress(path.read_bytes()))
    fsspec.filesystem("memory").pipe_file("/bucket/s.tar", path.read_bytes())
    return {
        "fsspec": "memory://bucket/s.tar",
        "pipe": f"pipe:cat '{path}'",
        "compressed": f"{path}.gz",
        "tgz": str(path.with_suffix(".tgz")),
        "pipe of a compressed one": f"pipe:gunzip < '{path}.gz'",
    }


@pytest.mark.parametrize("kind", ["fsspec", "pipe", "compressed", "tgz", "pipe of a compressed one"])
def test_a_shard_elsewhere_is_copied_once(tmp_path: Path, kind: str) -> None:
    cache, address = tmp_path / "cache", addresses(tmp_path / "there")[kind]
    store = ShardStore([address], cache, None)
    assert store.inventory()[0] == [2]
    assert store.open(0).read(1, "jpg") == b"x" * 100
    before = [path.stat().st_ino for path in copies(cache)]
    assert len(before) == 1
    assert len(ShardStore([address], cache, None).open(0)) == 2
    assert [path.stat().st_ino for path in copies(cache)] == before


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("pipe:echo no archive", "no tar archive"),
        ("pipe:cat '{path}'; exit 3", "cannot fetch pipe:"),
        ("pipe:head -c 700 '{path}'", "cut short|damaged"),
        ("memory://bucket/none.tar", "cannot fetch memory://bucket/none.tar"),
        ("nonsense://bucket/none.tar", "cannot fetch nonsense"),
        ("{path}.missing", "cannot read the shard"),
    ],
)
def test_what_cannot_be_fetched_is_named_and_leaves_nothing(
    tmp_path: Path, address: str, message: str
) -> None:
    cache = tmp_path / "cache"
    store = ShardStore([address.format(path=shard(tmp_path / "there"))], cache, None)
    with pytest.raises(RegvqError, match=message) as caught:
        store.inventory()
    assert (TREE in str(caught.value)) == ("missing" in address)
    assert not [path for path in cache.glob("*") if path.suffix != ".lock"]


def test_old_copies_give_way_and_come_back(tmp_path: Path) -> None:
    paths = [shard(tmp_path / "there", f"{number}.tar", size=50_000) for number in range(4)]
    store = ShardStore([f"pipe:cat '{path}'" for path in paths], tmp_path / "cache", 250_000)
    assert store.inventory()[0] == [2] * 4
    assert len(copies(tmp_path / "cache")) == 2
    for number in (0, 1, 2, 3, 0):
        assert store.open(number).read(1, "jpg") == b"x" * 50_000
        assert len(copies(tmp_path / "cache")) <= 2


def test_one_shard_is_kept_even_where_it_is_too_large(tmp_path: Path) -> None:
    store = ShardStore([f"pipe:cat '{shard(tmp_path / 'there')}'"], tmp_path / "cache", 1)
    assert store.inventory()[0] == [2]
    assert len(copies(tmp_path / "cache")) == 1


def _open(address: str, cache: Path) -> None:
    assert len(ShardStore([address], cache, None).open(0)) == 2


def test_several_processes_copy_it_once(tmp_path: Path) -> None:
    path, log = shard(tmp_path / "there"), tmp_path / "log"
    address = f"pipe:echo fetched >> '{log}'; sleep 0.2; cat '{path}'"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_open, args=(address, tmp_path / "cache")) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert log.read_text() == "fetched\n"
