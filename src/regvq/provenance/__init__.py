"""Where an image comes from: a mark in its pixels and a record in its file."""

from regvq.provenance.grid import Grid
from regvq.provenance.provenance import Provenance
from regvq.provenance.record import Record, read_record
from regvq.provenance.watermark import CHANCE, chance, mark, score

__all__ = ["CHANCE", "Grid", "Provenance", "Record", "chance", "mark", "read_record", "score"]
