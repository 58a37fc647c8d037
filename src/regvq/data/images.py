"""Reading and writing image files: every odd kind becomes RGB in [-1, 1], or one clear sentence."""

import io
import os
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from regvq.errors import RegvqError
from regvq.files import write_bytes

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".jp2", ".avif"}
)
# Only these decoders run on foreign files; of the rarer ones that Pillow knows, one starts another program.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
MAX_PIXELS = 89_478_485  # a quarter of a gigabyte of RGB, Pillow's own threshold

_SIXTEEN_BIT = 65535.0


def load_image(
    source: Path | str | bytes,
    enough: int | None = None,
    page: str = "white",
    name: str | None = None,
    upright: bool = True,
    limit: int = MAX_PIXELS,
) -> Tensor:
    """Reads an image file, or the bytes of one.

    Greyscale, palette and CMYK become RGB. Transparency is laid on white, the colour that most such
    pictures are drawn for. 16-bit greyscale is scaled, not clipped. The camera's rotation (EXIF) is
    applied. Of an animation the first frame is taken.

    Args:
        source: a path, or the content of an image file.
        enough: where no side need be longer than this (pixels), a JPEG may come out at 1/2, 1/4 or 1/8 of
            its size, no side shorter than this: many times faster for camera pictures.
        page: colour that transparency is laid on.
        name: what an error calls the image; its path, where it has one.
        upright: whether the camera's rotation is applied; a label map has none, so beside one it must not.
        limit: most pixels; the header tells their number, so that nothing larger is decoded.

    Returns:
        float32 ``[3, H, W]`` in [-1, 1].

    Raises:
        RegvqError: there is no such file, or it is no image, damaged, of a kind that has no plain
            range of values, or of more than ``limit`` pixels.
    """
    name = name or _name(source)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        # Metadata that is slightly off is no reason to trouble anybody.
        warnings.simplefilter("ignore", UserWarning)
        try:
            with _open(source) as image:
                check_pixels(image.size, name, limit)
                if enough is not None:
                    image.draft(None, (enough, enough))
                rgb = _to_rgb(image, name, page, upright)
        except (RegvqError, FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise _explained(error, name) from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise _too_large(name, min(limit, MAX_PIXELS)) from None
        # Damaged files make the decoders raise nearly anything: OSError, SyntaxError, struct.error, …
        except Exception as error:
            raise _unreadable(name, error) from None
    return torch.from_numpy(rgb).permute(2, 0, 1).contiguous()


def image_size(path: Path) -> tuple[int, int]:
    """Height and width by the header alone (before any EXIF rotation): cheap, decodes no pixel.

    Raises:
        RegvqError: the header cannot be read, or promises too many pixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with _open(path) as image:
                width, height = image.size
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise _explained(error, str(path)) from None
        except Image.DecompressionBombError:
            raise _too_large(str(path), MAX_PIXELS) from None
        except Exception as error:  # as in load_image
            raise _unreadable(str(path), error) from None
    check_pixels((width, height), str(path))
    return height, width


def list_images(folder: Path | str) -> list[Path]:
    """All image files below ``folder``, by their suffix, sorted; hidden ones are left out.

    Raises:
        RegvqError: there is no such folder, or no image in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        reason = "is a file" if folder.exists() else "does not exist"
        raise RegvqError(f"the folder {folder} {reason}: name a folder with images")
    found = [
        Path(parent, file)
        for parent, _, files in os.walk(folder)
        for file in files
        if Path(file).suffix.lower() in SUFFIXES and not file.startswith(".")
    ]
    if not found:
        kinds = " ".join(sorted(SUFFIXES))
        raise RegvqError(f"no image in {folder} or below it: put files there that end in one of {kinds}")
    return sorted(found)


def to_uint8(images: Tensor) -> Tensor:
    """Images ``[…]`` in [-1, 1] (what lies outside is clamped) to uint8 in [0, 255], same shape."""
    return images.detach().float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)


def save_png(image: Tensor, path: Path | str, texts: Mapping[str, str] | None = None) -> None:
    """Writes an image ``[3, H, W]`` in [-1, 1] as PNG, whole or not at all.

    Args:
        image: the pixels; what lies outside the range is clamped.
        path: of the file.
        texts: text chunks by their keywords.

    Raises:
        RegvqError: the place cannot be written.
    """
    pixels = to_uint8(image).permute(1, 2, 0).cpu().numpy()
    buffer, chunks = io.BytesIO(), PngInfo()
    for keyword, text in (texts or {}).items():
        chunks.add_text(keyword, text)
    Image.fromarray(pixels).save(buffer, format="PNG", pnginfo=chunks)
    write_bytes(Path(path), buffer.getvalue())


def _open(source: Path | str | bytes) -> Image.Image:
    if isinstance(source, bytes):
        return Image.open(io.BytesIO(source), formats=FORMATS)
    return Image.open(source, formats=FORMATS)


def _to_rgb(image: Image.Image, name: str, page: str, upright: bool) -> np.ndarray:
    """The decoded picture as float32 ``[H, W, 3]`` in [-1, 1]."""
    turned = ImageOps.exif_transpose(image) if upright else image
    if turned.mode.startswith(("I", "F")):
        grey = _wide_grey(np.asarray(turned), turned.mode, name)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if turned.has_transparency_data:
        layers = turned.convert("RGBA")
        turned = Image.alpha_composite(Image.new("RGBA", layers.size, page), layers)
    return np.asarray(turned.convert("RGB"), dtype=np.float32) / 127.5 - 1


def _wide_grey(values: np.ndarray, mode: str, name: str) -> np.ndarray:
    """Greyscale of more than 8 bits as float32 ``[H, W]`` in [-1, 1]."""
    # Integers of 32 bits are what Pillow makes of 16-bit files of some kinds.
    top = 1.0 if mode.startswith("F") else _SIXTEEN_BIT
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= top):
        raise RegvqError(f"{name} has values outside [0, {top:g}]: save it as an 8-bit or 16-bit image")
    return values.astype(np.float32) * np.float32(2 / top) - 1


def check_pixels(size: tuple[int, int], name: str, limit: int = MAX_PIXELS) -> None:
    """Refuses more than ``limit``, before any of them is decoded.

    Raises:
        RegvqError: there are.
    """
    if size[0] * size[1] > limit:
        raise _too_large(name, limit)


def _name(source: Path | str | bytes) -> str:
    return "the given image data" if isinstance(source, bytes) else str(source)


def _too_large(name: str, limit: int) -> RegvqError:
    return RegvqError(f"{name} has more than {limit:,} pixels: scale it down first")


def _unreadable(name: str, error: Exception) -> RegvqError:
    reason = "it is no image of a known kind" if isinstance(error, UnidentifiedImageError) else str(error)
    return RegvqError(f"cannot read {name} as an image ({reason}): replace or remove it")


def _explained(error: Exception, name: str) -> RegvqError:
    if isinstance(error, RegvqError):
        return error
    if isinstance(error, FileNotFoundError):
        return RegvqError(f"there is no file {name}: check the path")
    if isinstance(error, IsADirectoryError):
        return RegvqError(f"{name} is a folder: name an image file")
    return RegvqError(f"no right to read {name}: change its permissions")
