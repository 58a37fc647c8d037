"""Published data sets, each read as its archives extract."""

from regvq.data.layouts.ade20k import ADE20KData
from regvq.data.layouts.base import LayoutData
from regvq.data.layouts.camvid import CamVidData
from regvq.data.layouts.celeba_mask_hq import CelebAMaskHQData
from regvq.data.layouts.class_folders import ClassFoldersData
from regvq.data.layouts.coco import COCOData
from regvq.data.layouts.cub200 import CUB200Data
from regvq.data.layouts.imagenet import ImageNetData

__all__ = [
    "ADE20KData",
    "COCOData",
    "CUB200Data",
    "CamVidData",
    "CelebAMaskHQData",
    "ClassFoldersData",
    "ImageNetData",
    "LayoutData",
]
