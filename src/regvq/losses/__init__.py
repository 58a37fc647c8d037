"""What a tokenizer is trained to minimise: each loss by itself, and the objective that adds them up."""

from regvq.losses.adversarial import AdversarialLoss
from regvq.losses.base import FeatureLoss, PixelLoss
from regvq.losses.contrastive import ContrastiveLoss, PatchNCELoss, ProbabilisticContrastiveLoss
from regvq.losses.objective import Objective
from regvq.losses.perceptual import LPIPS, PerceptualLoss
from regvq.losses.reconstruction import L1Loss, L2Loss

__all__ = [
    "LPIPS",
    "AdversarialLoss",
    "ContrastiveLoss",
    "FeatureLoss",
    "L1Loss",
    "L2Loss",
    "Objective",
    "PatchNCELoss",
    "PerceptualLoss",
    "PixelLoss",
    "ProbabilisticContrastiveLoss",
]
