"""The quantizers of the plain loops, each from (codebook_size, dim) alone: nobody tunes them to a loop."""

from collections.abc import Callable

from regvq.quantizers import (
    EMAVectorQuantizer,
    Quantizer,
    RegularizedVectorQuantizer,
    VectorQuantizer,
    peers,
)
from regvq.quantizers.peers import PeerSimVQ, PeerVQ

Make = Callable[[int, int], Quantizer]

SUBJECT = "Reg-VQ"


def library_defaults(codebook_size: int, dim: int) -> Quantizer:
    """Build the library's ``VectorQuantize(dim, codebook_size)``: by default it rotates gradients too."""
    return PeerVQ(
        codebook_size,
        dim,
        rotation_trick=True,
        decay=0.8,
        dead_code_threshold=0.0,
        kmeans_init=False,
        commitment=1.0,
    )


CONTESTANTS: dict[str, Make] = {
    SUBJECT: RegularizedVectorQuantizer,
    "Reg-VQ, paper's form": RegularizedVectorQuantizer.paper,
    "EMA-VQ": EMAVectorQuantizer,
    "VQ": VectorQuantizer,
    "library VQ": library_defaults,
    "library VQ, k-means and dead codes": PeerVQ,
    "library rotation": lambda codebook_size, dim: PeerVQ(codebook_size, dim, rotation_trick=True),
    "SimVQ": PeerSimVQ,
}
"""What the verdict compares."""

if hasattr(peers, "PeerDiVeQ"):
    CONTESTANTS["DiVeQ"] = peers.PeerDiVeQ

UNAVAILABLE = tuple({"DiVeQ"} - set(CONTESTANTS))
"""What the verdict compares and this version of regvq does not have."""

CANDIDATES: dict[str, Make] = {}
"""Forms on trial: run by name, judged by ``--judge NAME`` in the place of ``SUBJECT``, no one's rivals."""


def maker(name: str) -> Make:
    """Return what builds the quantizer ``name``."""
    return (CONTESTANTS | CANDIDATES)[name]


def rivals_of(subject: str) -> list[str]:
    """Return whom ``subject`` is judged against: a candidate stands in the place of ``SUBJECT``."""
    return [name for name in CONTESTANTS if name not in (subject, SUBJECT)]
