"""What is measured, as torchmetrics: every one streams, and sums over ranks."""

from regvq.metrics.codebook_usage import CodebookUsage
from regvq.metrics.frechet import FrechetDistance, frechet_distance
from regvq.metrics.image_quality import PSNR, SSIM

__all__ = ["PSNR", "SSIM", "CodebookUsage", "FrechetDistance", "frechet_distance"]
