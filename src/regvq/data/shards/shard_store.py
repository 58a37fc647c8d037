"""Shards on this machine: those that lie here, and copies of the others."""

import functools
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from rich.console import Console
from rich.progress import track

from regvq import ranks
from regvq.data.shards.addresses import copy_shard, read_in_place
from regvq.data.shards.tar_samples import TarSamples, with_tree
from regvq.errors import RegvqError
from regvq.files import write_bytes

_OPEN = 64
"""Shards whose places of files one process remembers."""


class ShardStore:
    """Opens shards by number.

    A shard that lies elsewhere, or is compressed, is copied when it is first read, once for all processes
    of the machine. Copies that were not used for the longest time give way when there are too many.

    Args:
        addresses: of the shards.
        cache: folder of the copies and of the counts.
        space: bytes that the copies may take; ``None`` for no limit. One shard is always kept.
    """

    def __init__(self, addresses: Sequence[str], cache: Path, space: int | None) -> None:
        self.addresses = tuple(addresses)
        self.cache = cache
        self.space = space
        self._remember()

    def __len__(self) -> int:
        return len(self.addresses)

    def inventory(self) -> tuple[list[int], str]:
        """Samples of every shard, and a mark; what was counted once is looked up.

        The mark changes with the names and sizes of the files in the shards, not with where these lie.
        Ranks share the counting of shards that lie elsewhere, so that each is fetched once for it; all of
        them ask together.

        Raises:
            RegvqError: a shard cannot be read.
        """
        known = _read_counts(self._counts_path)
        states = [self._state(address) for address in self.addresses]
        missing = [number for number, state in enumerate(states) if state not in known]
        # A path may name another file on another machine; any other address names the same everywhere.
        common = {state for state, address in zip(states, self.addresses, strict=True) if state == address}
        known |= _of_all_ranks({state: known[state] for state in common & known.keys()})
        mine = [number for number in missing if states[number] not in common]
        mine += ranks.share([number for number in missing if states[number] in common - known.keys()])
        failure = ""
        # Not on standard output, which belongs to results.
        console = Console(stderr=True)
        try:
            for number in track(
                mine, "counting samples", console=console, transient=True, disable=not console.is_terminal
            ):
                samples = self.open(number)
                known[states[number]] = len(samples), samples.listing()
        except RegvqError as error:
            failure = str(error)
        known |= _of_all_ranks({state: known[state] for state in common & known.keys()}, failure)
        if missing:
            content = json.dumps({state: known[state] for state in dict.fromkeys(states)}, indent=1)
            write_bytes(self._counts_path, content.encode())
        found = [known[state] for state in states]
        return [count for count, _ in found], _hash("".join(listing for _, listing in found))

    def open(self, number: int) -> TarSamples:
        """The samples of a shard.

        Raises:
            RegvqError: it cannot be read.
        """
        samples = self._opened(number)
        if samples.path.is_file():
            return samples
        self._opened.cache_clear()  # a copy that had to give way
        return self._opened(number)

    def _open(self, number: int) -> TarSamples:
        address = self.addresses[number]
        path = read_in_place(address)
        return TarSamples(path, address) if path is not None else self._copied(address)

    def _copied(self, address: str) -> TarSamples:
        path = self.cache / f"{_hash(address)}.tar"
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            with FileLock(self.cache / f"{path.name}.lock"):
                if not path.is_file():
                    part = path.with_suffix(f".part-{os.getpid()}")
                    try:
                        copy_shard(address, part)
                        TarSamples(part, address)  # a copy that cannot be read is none
                        os.replace(part, path)
                    finally:
                        part.unlink(missing_ok=True)
                    self._make_room(path)
                os.utime(path)
                return TarSamples(path, address)
        except OSError as error:
            raise RegvqError(
                f"cannot keep a copy of {address} in {self.cache}: {error.strerror}; free space or give "
                "another cache"
            ) from None

    def _make_room(self, newest: Path) -> None:
        if self.space is None:
            return
        copies = sorted(self.cache.glob("*.tar"), key=lambda path: path.stat().st_mtime)
        total = sum(path.stat().st_size for path in copies)
        for path in copies:
            if total <= self.space or path == newest:
                continue
            total -= path.stat().st_size
            path.unlink(missing_ok=True)

    @property
    def _counts_path(self) -> Path:
        return self.cache / f"counts-{_hash(chr(0).join(self.addresses))}.json"

    def _state(self, address: str) -> str:
        """What a count belongs to: an address, and of a file here also its size and time."""
        path = read_in_place(address)
        if path is None:
            return address
        try:
            facts = path.stat()
        except OSError as error:
            raise RegvqError(
                with_tree(f"cannot read the shard {path}: {error.strerror}; check the pattern")
            ) from None
        return f"{address} {facts.st_size} {facts.st_mtime_ns}"

    def _remember(self) -> None:
        self._opened = functools.lru_cache(_OPEN)(self._open)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_opened"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._remember()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _of_all_ranks(known: dict[str, tuple[int, str]], failure: str = "") -> dict[str, tuple[int, str]]:
    """What any rank has counted.

    Raises:
        RegvqError: on every rank, where one has failed; or the others would wait for it.
    """
    found = [json.loads(theirs) for theirs in ranks.gather(json.dumps([known, failure]))]
    for _, failed in found:
        if failed:
            raise RegvqError(failed)
    return {
        state: (samples, listing)
        for theirs, _ in reversed(found)
        for state, (samples, listing) in theirs.items()
    }


def _read_counts(path: Path) -> dict[str, tuple[int, str]]:
    """What was counted before; nothing, where the file is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(state): (int(count), str(listing)) for state, (count, listing) in content.items()}
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return {}
