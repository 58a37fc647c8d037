"""Damaged images and token files made by hypothesis: a sentence or what was meant; nothing grows."""

import gc
import io
import itertools
import resource
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from regvq.data.annotated import AnnotatedImages, Record
from regvq.data.images import load_image
from regvq.errors import RegvqError
from regvq.tokenizers.token_cache import CachedTokens
from regvq.tokenizers.token_file import SUFFIXES, TokenFile, load_tokens, save_tokens
from tests.faults.conftest import FULL, Faults

DIFFERENT = 500 if FULL else 25
"""Damaged files of each kind that must have been tried."""
EXAMPLES = 2 * DIFFERENT
"""Some damages that hypothesis thinks of give the same bytes."""
SECONDS = 10
"""No load takes longer."""
KINDS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF")
usual = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def images() -> dict[str, bytes]:
    """A small image in every form that is read."""
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    found = {}
    for kind in KINDS:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format=kind)
        found[kind] = buffer.getvalue()
    return found


IMAGES = images()


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """``content`` cut, with other bytes, with a piece twice or missing, or with bytes put between."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, max(len(changed) - 1, 0)))
        stop = min(len(changed), start + draw(st.integers(1, 16)))
        how = draw(st.sampled_from(["cut", "bytes", "twice", "missing", "between"]))
        if how == "cut":
            del changed[start:]
        elif how == "bytes":
            changed[start:stop] = draw(st.binary(min_size=stop - start, max_size=stop - start))
        elif how == "twice":
            changed[stop:stop] = changed[start:stop]
        elif how == "missing":
            del changed[start:stop]
        else:
            changed[start:start] = draw(st.binary(min_size=1, max_size=16))
    return bytes(changed)


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """A load that hangs, in C as well, ends the process: the alarm is not handled."""
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def resident() -> int:
    """Bytes of this process that are in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def timed(load: Callable[[], object]) -> object:
    signal.alarm(6 * SECONDS)
    began = time.monotonic()
    try:
        return load()
    finally:
        assert time.monotonic() - began < SECONDS
        signal.alarm(0)


def test_images(faults: Faults) -> None:
    tried: dict[bytes, str] = {}
    lost: list[str] = []

    @usual
    @given(st.sampled_from(KINDS).flatmap(lambda kind: damaged(IMAGES[kind])))
    def load(content: bytes) -> None:
        try:
            image = timed(lambda: load_image(content))
        except RegvqError as error:
            tried[content] = "refused"
            if not str(error).startswith(("cannot read", "the given image data")):
                lost.append(str(error))
            return
        tried[content] = "read"
        assert isinstance(image, torch.Tensor)
        if image.ndim != 3 or len(image) != 3 or not (image.abs() <= 1).all():
            lost.append(f"no image came of {content!r}")

    load()
    assert len(tried) >= DIFFERENT
    refused = sum(how == "refused" for how in tried.values())
    assert refused > len(tried) / 3
    found = f"{refused} refused, {len(tried) - refused} still images"
    faults.record("fuzzing", "damaged images", len(tried), lost, found)
    lost = left_out(list(tried), refused)
    faults.record("fuzzing", "the same in a data set", len(tried), lost, f"{refused} skipped and counted")


def left_out(contents: list[bytes], unreadable: int) -> list[str]:
    """What goes wrong where a data set holds damaged images and one that is whole."""
    records = [Record(content, place="one of them") for content in (*contents, IMAGES["PNG"])]
    dataset = AnnotatedImages(records, "val", 8)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        shapes = {tuple(dataset[item]["image"].shape) for item in range(len(dataset))}
    lost = [f"a sample of shape {shape}" for shape in shapes if shape != (3, 8, 8)]
    if len(dataset.damaged) != unreadable:
        lost.append(f"{len(dataset.damaged)} are counted, {unreadable} cannot be read")
    counted = [str(one.message) for one in said if "skipped, now" in str(one.message)]
    if not counted[-1].endswith(f"now {unreadable} of {len(records)} val images"):
        lost.append(f"it says: {counted[-1]}")
    return lost


def same_or_refused(path: Path, load: Callable[[], bool], says: str) -> tuple[int, list[str], str]:
    """Damages a file in many ways; each must be refused or read as it was written.

    Args:
        path: of the file.
        load: reads it, and returns whether it is as it was written.
        says: what a refusal's sentence must hold.

    Returns:
        How many ways were tried, what went wrong, and the share that was refused, in words.
    """
    tried: dict[bytes, str] = {}
    lost: list[str] = []

    @usual
    @given(damaged(path.read_bytes()))
    def damage(content: bytes) -> None:
        path.write_bytes(content)
        try:
            alike = load()
        except RegvqError as error:
            tried[content] = "refused"
            if "\n" in str(error) or says not in str(error):
                lost.append(str(error))
            return
        tried[content] = "read"
        if not alike:
            lost.append(f"other tokens came of {content!r}")

    damage()
    assert len(tried) >= DIFFERENT
    refused = sum(how == "refused" for how in tried.values())
    assert refused > len(tried) / 3
    return len(tried), lost, f"{refused} refused, {len(tried) - refused} read as they were"


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_token_files(suffix: str, tmp_path: Path, faults: Faults) -> None:
    path = tmp_path / f"tokens{suffix}"
    codes = (torch.arange(6).view(2, 3), torch.arange(4).view(2, 2))
    save_tokens(TokenFile("0" * 16, 64, 4, ("a.png", "b.png"), ((8, 12), (8, 7)), codes), path)

    def load() -> bool:
        tokens = timed(lambda: load_tokens(path))
        assert isinstance(tokens, TokenFile)
        return tokens.names == ("a.png", "b.png") and all(map(torch.equal, tokens.codes, codes))

    tried, lost, found = same_or_refused(path, load, says=str(path))
    faults.record("fuzzing", f"damaged token files, {suffix}", tried, lost, found)


def test_shards_of_a_token_cache(tokenizer: Path, tmp_path: Path, faults: Faults) -> None:
    from regvq import load_tokenizer
    from regvq.data.scenes import ScenesData
    from regvq.tokenizers.token_cache import shard_path, write_cache

    write_cache(tmp_path / "cache", load_tokenizer(tokenizer), ScenesData(16, 6, 3), shard_size=8)
    wanted = [CachedTokens(tmp_path / "cache", "val")[item]["codes"] for item in range(3)]

    def load() -> bool:
        cache = CachedTokens(tmp_path / "cache", "val")
        codes = [timed(lambda item=item: cache[item]["codes"]) for item in range(3)]
        return all(map(torch.equal, codes, wanted))

    path = shard_path(tmp_path / "cache", "val", 0, 0)
    tried, lost, found = same_or_refused(path, load, says="")
    faults.record("fuzzing", "damaged shards of a token cache", tried, lost, found)


def test_memory_does_not_grow(tmp_path: Path, faults: Faults) -> None:
    """Whole and damaged images and token files by turns."""
    loads = faults.count(300, 10_000)
    for kind, content in IMAGES.items():
        (tmp_path / f"whole-{kind}").write_bytes(content)
        (tmp_path / f"cut-{kind}").write_bytes(content[: 2 * len(content) // 3])
    codes = (torch.zeros(16, 16, dtype=torch.int64),)
    for suffix in (".npz", ".safetensors"):
        path = tmp_path / f"whole{suffix}"
        save_tokens(TokenFile("0" * 16, 64, 4, ("a",), ((64, 64),), codes), path)
        (tmp_path / f"cut{suffix}").write_bytes(path.read_bytes()[:-40])
    paths = itertools.islice(itertools.cycle(sorted(tmp_path.iterdir())), loads)
    refused = warm = 0
    for number, path in enumerate(paths):
        if number == loads // 10:
            warm = resident()
        try:
            load_tokens(path) if path.suffix in SUFFIXES else load_image(path)
        except RegvqError:
            refused += 1
    grown = (resident() - warm) / 2**20
    lost = [f"the process grew by {grown:.1f} MiB"] if grown > 8 else []
    found = f"{refused} refused; grown by {grown:.1f} MiB behind the first tenth"
    faults.record("fuzzing", "loads in one process", loads, lost, found)
