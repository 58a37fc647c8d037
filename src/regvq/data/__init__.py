"""Data sets of images and the one LightningDataModule that feeds them to training."""

from regvq.data.base import GivenData, ImageData, ImageDataset, Sample
from regvq.data.folder import FolderData, ImageFolder
from regvq.data.hugging_face import HuggingFaceData
from regvq.data.images import list_images, load_image, save_png, to_uint8
from regvq.data.module import ImageDataModule
from regvq.data.photos import Photos, PhotosData
from regvq.data.shards import WebDatasetData

__all__ = [
    "FolderData",
    "GivenData",
    "HuggingFaceData",
    "ImageData",
    "ImageDataModule",
    "ImageDataset",
    "ImageFolder",
    "Photos",
    "PhotosData",
    "Sample",
    "WebDatasetData",
    "list_images",
    "load_image",
    "save_png",
    "to_uint8",
]
