"""The feature net that a user names, or the best one that is at hand."""

from collections.abc import Callable
from pathlib import Path

from regvq.errors import RegvqError
from regvq.nets import (
    DINOv2Features,
    EnlargedFeatures,
    FeatureNet,
    InceptionFeatures,
    LastLayer,
    OfflineFeatures,
    SqueezeNetFeatures,
)
from regvq.nets.features.weights import load_weights

Weights = str | Path | None

FEATURES: dict[str, Callable[[Weights], FeatureNet]] = {
    "inception": InceptionFeatures,
    "dinov2": lambda weights: EnlargedFeatures(DINOv2Features(weights), 224),
    "squeezenet": lambda weights: EnlargedFeatures(LastLayer(SqueezeNetFeatures(weights)), 227),
    "offline": lambda weights: OfflineFeatures(),
}
"""What may be named; each takes its weights from a path or from the user's cache."""

_KEYS = {"Conv2d_1a_3x3.conv.weight": "inception", "features.12.expand3x3.weight": "squeezenet"}
"""A weight that only one of the nets has."""


def choose_features(choice: str | None) -> tuple[FeatureNet, str | None]:
    """The net of a name or of a path, or without either the Inception net where its weights are cached.

    Args:
        choice: one of ``FEATURES``, a state dict of one of them (``.safetensors`` or ``.pth``), the folder
            of a DINOv2, or none.

    Returns:
        The net, and a sentence on what was taken instead of the Inception net, or none.

    Raises:
        RegvqError: there is no such net, or its weights are missing.
    """
    if choice is None:
        try:
            return InceptionFeatures(), None
        except RegvqError as error:
            net = OfflineFeatures()
            return net, f"{error}; so this is no FID, but a distance on the features {net.name}"
    if choice in FEATURES:
        return FEATURES[choice](None), None
    path = Path(choice).expanduser()
    if path.is_dir():
        return FEATURES["dinov2"](path), None
    if not path.is_file():
        raise RegvqError(
            f"there are no features {choice}: choose one of {', '.join(FEATURES)}, or give a file of their "
            "weights"
        )
    state = load_weights(path, "", "a feature net")
    for key, name in _KEYS.items():
        if key in state:
            return FEATURES[name](path), None
    raise RegvqError(f"{path} holds neither the weights of {' nor of '.join(_KEYS.values())}")
