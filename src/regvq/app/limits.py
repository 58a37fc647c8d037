"""What visitors may ask of the server."""

from dataclasses import dataclass

MEGABYTE = 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds on one request and on all of them together.

    Attributes:
        queue: requests that may wait; one more is refused with a sentence.
        upload_megabytes: size of an uploaded file, in units of 2^20 bytes.
        pixels: of an uploaded image.
        seconds: that one request may compute, its waiting not counted.
        images: drawn by one request.
        visitors: whose last image is remembered; the longest silent one is forgotten first.
        keep_seconds: how long an uploaded or produced file is kept at least.
    """

    queue: int = 32
    upload_megabytes: int = 10
    pixels: int = 2**20
    seconds: float = 60.0
    images: int = 16
    visitors: int = 200
    keep_seconds: int = 1800

    @property
    def upload_bytes(self) -> int:
        """The largest uploaded file."""
        return self.upload_megabytes * MEGABYTE
