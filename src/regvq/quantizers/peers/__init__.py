"""Quantizers of vector-quantize-pytorch, diveq and nsvq under this package's contract."""

from regvq.quantizers.peers.base import PeerQuantizer
from regvq.quantizers.peers.finite import PeerFSQ
from regvq.quantizers.peers.lookup_free import PeerLFQ
from regvq.quantizers.peers.noise import PeerDiVeQ, PeerNSVQ
from regvq.quantizers.peers.sim_vq import PeerSimVQ
from regvq.quantizers.peers.vq import PeerVQ

__all__ = ["PeerDiVeQ", "PeerFSQ", "PeerLFQ", "PeerNSVQ", "PeerQuantizer", "PeerSimVQ", "PeerVQ"]
