"""One shard: the files of a tar archive, grouped into samples, read by their places."""

import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path

from regvq.errors import RegvqError

TREE = """\
train-000.tar, train-001.tar ...
  0007.jpg                           (or .jpeg, .png, .webp)
  0007.cls, 0007.txt, 0007.seg.png   (where known: a class number, a sentence a line, label numbers)
  0008.jpg ...
val-000.tar ..."""
"""How shards should look, for people."""


@dataclass(frozen=True)
class Place:
    """Where a file's content lies in the archive, in bytes."""

    offset: int
    length: int


class TarSamples:
    """The samples of a shard, in the order of the archive.

    Files that follow each other and share their name up to the first dot are one sample; what stands
    behind the dot, in lower case, is the field: ``n01/0007.jpg`` and ``n01/0007.seg.png`` are the fields
    ``jpg`` and ``seg.png`` of the sample ``n01/0007``. Hidden files and folders are left out. Nothing is
    ever extracted.

    Args:
        path: an archive that is not compressed.
        name: what messages call it.

    Raises:
        RegvqError: it is no such archive, is cut short, or a sample has a field twice.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.keys: list[str] = []
        self._fields: list[dict[str, Place]] = []
        end = 0
        try:
            with tarfile.open(path, "r:") as archive:
                for member in archive:
                    if member.isreg():
                        self._add(member)
                    end = member.offset_data + (member.size if member.isreg() else 0)
            self._check_end(end)
        except (tarfile.TarError, EOFError) as error:
            raise RegvqError(
                f"{name} is no tar archive, or damaged ({error}): make or fetch it once more"
            ) from None
        except OSError as error:
            raise RegvqError(f"cannot read {name}: {error.strerror or error}") from None
        if not self.keys:
            raise RegvqError(with_tree(f"{name} holds no samples"))

    def __len__(self) -> int:
        return len(self.keys)

    def fields(self, row: int) -> tuple[str, ...]:
        """The fields of a sample."""
        return tuple(self._fields[row])

    def read(self, row: int, field: str) -> bytes:
        """The content of a sample's field.

        Raises:
            RegvqError: the archive cannot be read any more.
        """
        place = self._fields[row][field]
        try:
            with self.path.open("rb") as file:
                file.seek(place.offset)
                content = file.read(place.length)
        except OSError as error:
            raise RegvqError(f"cannot read {self.name}: {error.strerror or error}") from None
        if len(content) != place.length:
            raise RegvqError(f"{self.name} has become shorter while it was read: fetch it once more")
        return content

    def listing(self) -> str:
        """Hash of the names and sizes of all files of the samples."""
        digest = hashlib.sha256()
        for key, fields in zip(self.keys, self._fields, strict=True):
            for field, place in fields.items():
                digest.update(f"{key}.{field}\0{place.length}\0".encode(errors="surrogateescape"))
        return digest.hexdigest()[:16]

    def _add(self, member: tarfile.TarInfo) -> None:
        folder, _, file = member.name.rpartition("/")
        stem, dot, field = file.partition(".")
        if not stem or not dot or any(part.startswith(".") for part in folder.split("/") if part != "."):
            return
        key, field = f"{folder}/{stem}" if folder else stem, field.lower()
        if not self.keys or self.keys[-1] != key:
            self.keys.append(key)
            self._fields.append({})
        if field in self._fields[-1]:
            raise RegvqError(f"{self.name} holds the file {member.name} twice: make the shard once more")
        self._fields[-1][field] = Place(member.offset_data, member.size)

    def _check_end(self, end: int) -> None:
        """Refuses an archive that does not end as archives do: the reader takes any damage for the end."""
        with self.path.open("rb") as file:
            file.seek(-(-end // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)
            following = file.read(tarfile.BLOCKSIZE)
        if following != bytes(tarfile.BLOCKSIZE):
            raise RegvqError(f"{self.name} is damaged or cut short behind byte {end:,}: fetch it once more")


def with_tree(what: str) -> str:
    """What is wrong with shards, and how they should look."""
    return f"{what}. Shards should look like this:\n{TREE}"
