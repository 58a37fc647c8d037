"""How quantizers are called and coloured, the same in every table and picture."""

import itertools
from collections.abc import Iterable

_KNOWN = {
    "vq": ("VQ", "#8a8f98"),
    "ema-vq": ("EMA-VQ", "#2f6fde"),
    "gumbel": ("Gumbel", "#e08a1e"),
    "regvq": ("Reg-VQ", "#0f9d6b"),
}
_OTHERS = ("#a04fc9", "#c2403d", "#6b8e23", "#2aa5b8", "#8b5a2b", "#d264a0", "#3d4a7a", "#b8a214")


def display_name(quantizer: str) -> str:
    """What readers see, e.g. ``EMA-VQ`` for ``ema-vq``; an unknown name stands for itself."""
    return _KNOWN[quantizer][0] if quantizer in _KNOWN else quantizer


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour as ``#rrggbb`` for each; a known quantizer always has its own, the others take turns."""
    others = itertools.cycle(_OTHERS)
    return {name: _KNOWN[name][1] if name in _KNOWN else next(others) for name in dict.fromkeys(names)}


def colour(quantizer: str) -> str:
    """The colour of one by itself, see ``colours``."""
    return colours([quantizer])[quantizer]
