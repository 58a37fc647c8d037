"""Feature nets trained on ImageNet, from torchvision's definitions and the user's own weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision import models

from regvq.nets.features.base import SequentialFeatures
from regvq.nets.features.weights import fill, load_weights

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class VGG19Features(SequentialFeatures):
    """VGG-19's relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3: the paper's choice.

    Simonyan and Zisserman, "Very Deep Convolutional Networks", ICLR 2015. Images of 16 pixels a
    side or more.

    Args:
        weights: a state dict of torchvision's ``vgg19`` (``.safetensors`` or ``.pth``); None takes
            torch's own cache.

    Raises:
        RegvqError: the weights are in neither place, or are another net's.
    """

    def __init__(self, weights: str | Path | None = None) -> None:
        trunk = _trunk(models.vgg19, weights, models.VGG19_Weights.IMAGENET1K_V1, "VGG-19")
        super().__init__("VGG-19", trunk, (3, 8, 15, 24, 33), IMAGENET_MEAN, IMAGENET_STD, 16)


class VGG16Features(SequentialFeatures):
    """VGG-16's relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3: the net under LPIPS.

    Args:
        weights: a state dict of torchvision's ``vgg16`` (``.safetensors`` or ``.pth``); None takes
            torch's own cache.

    Raises:
        RegvqError: the weights are in neither place, or are another net's.
    """

    def __init__(self, weights: str | Path | None = None) -> None:
        trunk = _trunk(models.vgg16, weights, models.VGG16_Weights.IMAGENET1K_V1, "VGG-16")
        super().__init__("VGG-16", trunk, (3, 8, 15, 22, 29), IMAGENET_MEAN, IMAGENET_STD, 16)


class SqueezeNetFeatures(SequentialFeatures):
    """SqueezeNet 1.0 after its first convolution and four of its fire modules: the light choice.

    Iandola et al., "SqueezeNet", 2016. 5 MB of weights. Images of 21 pixels a side or more; it was
    trained at 227, and small images are better enlarged to 128 first.

    Args:
        weights: a state dict of torchvision's ``squeezenet1_0`` (``.safetensors`` or ``.pth``); None
            takes torch's own cache.

    Raises:
        RegvqError: the weights are in neither place, or are another net's.
    """

    def __init__(self, weights: str | Path | None = None) -> None:
        known = models.SqueezeNet1_0_Weights.IMAGENET1K_V1
        trunk = _trunk(models.squeezenet1_0, weights, known, "SqueezeNet 1.0")
        super().__init__("SqueezeNet 1.0", trunk, (1, 4, 7, 9, 12), IMAGENET_MEAN, IMAGENET_STD, 21)


def _trunk(model: Callable[[], Any], weights: str | Path | None, known: Any, net: str) -> nn.Sequential:
    """The convolutional part of one of torchvision's models, with the weights of a file."""
    state = load_weights(weights, known.url.rsplit("/", 1)[-1], net)
    # On the meta device nothing is drawn: an initialised VGG would cost seconds and random numbers.
    with torch.device("meta"):
        trunk: nn.Sequential = model().features
    fill(trunk, state, "features.", net)
    return trunk
