"""Quantizers of the package vector-quantize-pytorch under this package's contract."""

from regvq.quantizers.peers.base import PeerQuantizer
from regvq.quantizers.peers.finite import PeerFSQ
from regvq.quantizers.peers.lookup_free import PeerLFQ
from regvq.quantizers.peers.sim_vq import PeerSimVQ
from regvq.quantizers.peers.vq import PeerVQ

__all__ = ["PeerFSQ", "PeerLFQ", "PeerQuantizer", "PeerSimVQ", "PeerVQ"]
