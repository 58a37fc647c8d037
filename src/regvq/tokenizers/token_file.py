"""Images as tokens in one file: ``.npz`` or ``.safetensors``, the same five arrays in both.

=========  ======================  ==================================================================
array      shape, dtype            content
=========  ======================  ==================================================================
codes      [T] uint16 or int32     the tokens of all images, one after another, each row by row
grids      [n, 2] int32            rows and columns of every image's tokens; their products add up to T
sizes      [n, 2] int32            height and width of every image in pixels, before it was padded
header     [b] uint8               JSON: format, version, tokenizer, codebook_size, downsampling, names
checksum   [32] uint8              SHA-256 over the four arrays above
=========  ======================  ==================================================================
"""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save
from torch import Tensor

from regvq.errors import RegvqError
from regvq.files import write_bytes
from regvq.tokenizers.image_tokenizer import ImageTokenizer

FORMAT = "regvq tokens"
VERSION = 1
SUFFIXES = (".npz", ".safetensors")
LARGEST = 2**32
"""Bytes that a ``.npz`` may unpack to: two billion tokens. A data set belongs into a token cache."""
Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class TokenFile:
    """The tokens of some images and which tokenizer they belong to.

    Attributes:
        tokenizer: the fingerprint of the tokenizer that made them.
        codebook_size: number of codes N.
        downsampling: image pixels a token's side, f.
        names: of the images, e.g. ``holiday/beach.jpg``.
        sizes: height and width of each image in pixels; its grid covers at least that.
        codes: one ``[h, w]`` int64 in [0, N) an image.
    """

    tokenizer: str
    codebook_size: int
    downsampling: int
    names: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    codes: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.sizes) == len(self.codes):
            counts = f"{len(self.names)}, {len(self.sizes)} and {len(self.codes)}"
            raise RegvqError(f"names, sizes and codes must be equally many, not {counts}")

    def require(self, tokenizer: ImageTokenizer, source: Path) -> None:
        """Refuses tokens of any tokenizer but ``tokenizer``.

        Raises:
            RegvqError: they were made by another one, or say of it what is not so; ``source`` is where they
                were read.
        """
        fingerprint = tokenizer.fingerprint()
        if self.tokenizer != fingerprint:
            raise RegvqError(
                f"{source} was made by another tokenizer (fingerprint {self.tokenizer}, this one is "
                f"{fingerprint}): give that tokenizer, or encode the images again with this one"
            )
        mine = (self.codebook_size, self.downsampling)
        if mine != (tokenizer.codebook_size, tokenizer.downsampling):
            raise RegvqError(
                f"{source} says that its tokenizer has {mine[0]} codes and {mine[1]}x downsampling, which "
                "is not so: the file is damaged; encode the images again"
            )


def check_suffix(path: Path) -> None:
    """Refuses a name that says neither ``.npz`` nor ``.safetensors``.

    Raises:
        RegvqError: it does not.
    """
    if path.suffix not in SUFFIXES:
        raise RegvqError(
            f"{path} must end in {' or '.join(SUFFIXES)}: that chooses the token file's format"
        )


def save_tokens(tokens: TokenFile, path: Path) -> None:
    """Writes a token file; its suffix chooses the format.

    Raises:
        RegvqError: the suffix is unknown, or the place cannot be written.
    """
    check_suffix(path)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "tokenizer": tokens.tokenizer,
        "codebook_size": tokens.codebook_size,
        "downsampling": tokens.downsampling,
        "names": list(tokens.names),
    }
    flat = [codes.flatten().numpy() for codes in tokens.codes]
    dtype = np.uint16 if tokens.codebook_size <= 2**16 else np.int32
    arrays: Arrays = {
        "codes": np.concatenate([np.empty(0, np.int64), *flat]).astype(dtype),
        "grids": np.array([codes.shape for codes in tokens.codes], np.int32).reshape(-1, 2),
        "sizes": np.array(tokens.sizes, np.int32).reshape(-1, 2),
        "header": np.frombuffer(json.dumps(header).encode(), np.uint8),
    }
    arrays["checksum"] = _checksum(arrays)
    write_bytes(path, save(arrays) if path.suffix == ".safetensors" else _npz(arrays))


def load_tokens(path: Path) -> TokenFile:
    """Reads a token file; nothing in it is unpickled or trusted.

    Raises:
        RegvqError: it is missing, damaged, not a token file, or holds codes outside the codebook.
    """
    check_suffix(path)
    arrays = _read_arrays(path)
    try:
        header = json.loads(arrays["header"].tobytes())
        if header["format"] != FORMAT:
            raise KeyError("format")
        if header["version"] != VERSION:
            raise RegvqError(
                f"{path} has version {header['version']} of the token format, this package reads "
                f"version {VERSION}: encode the images again, or update the package"
            )
        if not np.array_equal(arrays.pop("checksum"), _checksum(arrays)):
            raise RegvqError(f"{path} is damaged (its checksum does not match): encode the images again")
        return _parse(header, arrays, path)
    except RegvqError:
        raise
    except (KeyError, TypeError, ValueError, RecursionError):  # ValueError: JSON, UTF-8 and shapes
        raise RegvqError(f"{path} is not a token file of this package") from None


def _parse(header: dict[str, object], arrays: Arrays, path: Path) -> TokenFile:
    codebook_size, downsampling = header["codebook_size"], header["downsampling"]
    names, tokenizer = header["names"], header["tokenizer"]
    if not (isinstance(codebook_size, int) and isinstance(downsampling, int) and isinstance(names, list)):
        raise TypeError("header")
    if codebook_size < 1 or downsampling < 1:
        raise ValueError("header")
    flat = arrays["codes"].astype(np.int64)
    grids = arrays["grids"].astype(np.int64).reshape(-1, 2)
    sizes = arrays["sizes"].astype(np.int64).reshape(-1, 2)
    counts = grids.prod(1)
    covered = (sizes >= 1) & (sizes <= grids * downsampling)
    if not (len(names) == len(grids) == len(sizes) and counts.sum() == len(flat) and covered.all()):
        raise RegvqError(f"{path} is damaged (its arrays do not fit together): encode the images again")
    if len(flat) and (flat.min() < 0 or flat.max() >= codebook_size):
        raise RegvqError(
            f"{path} holds codes from {flat.min()} to {flat.max()}, but its codebook has {codebook_size} "
            f"codes: encode the images again"
        )
    pieces = np.split(flat, np.cumsum(counts))[: len(counts)]
    return TokenFile(
        tokenizer=str(tokenizer),
        codebook_size=codebook_size,
        downsampling=downsampling,
        names=tuple(str(name) for name in names),
        sizes=tuple((int(height), int(width)) for height, width in sizes),
        codes=tuple(
            torch.from_numpy(piece.reshape(grid).copy()) for piece, grid in zip(pieces, grids, strict=True)
        ),
    )


def _read_arrays(path: Path) -> Arrays:
    if not path.is_file():
        raise RegvqError(f"there is no token file {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
        if size > LARGEST:
            raise RegvqError(
                f"{path} unpacks to {size:,} bytes, more than the {LARGEST:,} of a token file: "
                "encode a whole data set into a folder (regvq encode --config)"
            )
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except RegvqError:
        raise
    except Exception:  # what the readers make of damaged bytes can be anything, their words included
        raise RegvqError(f"{path} is damaged or no token file: encode the images again") from None


def _npz(arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        codes=arrays["codes"],
        grids=arrays["grids"],
        sizes=arrays["sizes"],
        header=arrays["header"],
        checksum=arrays["checksum"],
    )
    return buffer.getvalue()


def _checksum(arrays: Arrays) -> NDArray[np.uint8]:
    digest = hashlib.sha256()
    for name in ("codes", "grids", "sizes", "header"):
        digest.update(f"{arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return np.frombuffer(digest.digest(), np.uint8)
