"""Where shards lie: patterns of addresses, and how a shard comes from one."""

import glob
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regvq.data.shards.tar_samples import with_tree
from regvq.errors import RegvqError

_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:")
_COMPRESSED = (".gz", ".tgz", ".bz2", ".xz", ".zst")
_EXPANSION = 100
"""Times its own size that a compressed shard may take; images, which are compressed already, take two."""
_CHUNK = 2**20


def expand(pattern: str) -> list[str]:
    """The addresses that a pattern stands for, in order.

    Args:
        pattern: a path, an address with a scheme that fsspec knows, or ``pipe:`` and a command; with
            ``{000..127}`` for numbers and ``{a,b}`` for alternatives, in paths also ``*``; several ones
            with ``::`` between them.

    Raises:
        RegvqError: it stands for nothing.
    """
    from webdataset.shardlists import expand_urls

    found: list[str] = []
    for address in expand_urls(pattern):
        local = local_path(address)
        if local is not None and glob.has_magic(str(local)):
            found += sorted(glob.glob(str(local)))
        else:
            found.append(address)
    if not found:
        raise RegvqError(
            with_tree(f"no file is called {pattern}: name the tar shards, such as shards/{{000..127}}.tar")
        )
    return found


def local_path(address: str) -> Path | None:
    """The file that an address names, if it is one of this machine."""
    if address.startswith("file:"):
        return Path(re.sub("^file:(//)?", "", address)).expanduser()
    return None if _SCHEME.match(address) else Path(address).expanduser()


def read_in_place(address: str) -> Path | None:
    """The file, if it can be read where it lies: on this machine and not compressed."""
    path = local_path(address)
    return None if path is None or path.name.lower().endswith(_COMPRESSED) else path


def copy_shard(address: str, target: Path) -> None:
    """Writes what an address holds, decompressed, into a new file.

    Raises:
        RegvqError: it cannot be read, or the file not be written; it is compressed and unpacks to more
            than any shard of images would.
    """
    try:
        limit = _limit(address)
        with _opened(address) as source, target.open("xb") as file:
            while chunk := source.read(_CHUNK):
                file.write(chunk)
                if limit is not None and file.tell() > limit:
                    raise RegvqError(f"it unpacks to more than {_EXPANSION} times its size")
    # Every protocol raises its own kinds.
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise RegvqError(f"cannot fetch {address} ({reason}): check the address and your rights") from None


def _limit(address: str) -> int | None:
    """Bytes that an address may unpack to, where its own size is known and it is compressed."""
    path = local_path(address)
    if address.startswith("pipe:") or not address.lower().endswith(_COMPRESSED):
        return None
    if path is not None:
        size = path.stat().st_size
    else:
        from fsspec.core import url_to_fs

        system, place = url_to_fs(address)
        size = system.size(place)
    return None if size is None else _EXPANSION * size + _CHUNK


@contextmanager
def _opened(address: str) -> Iterator[Any]:
    if address.startswith("pipe:"):
        from webdataset.gopen import gopen

        with gopen(address) as stream:
            yield stream
    else:
        import fsspec

        # The one usual ending that fsspec does not know.
        compression = "gzip" if address.lower().endswith(".tgz") else "infer"
        with fsspec.open(address, "rb", compression=compression) as stream:
            yield stream
