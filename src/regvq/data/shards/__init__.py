"""Tar shards in the form of WebDataset, wherever they lie."""

from regvq.data.shards.webdataset_data import WebDatasetData

__all__ = ["WebDatasetData"]
