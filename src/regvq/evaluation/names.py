"""How quantizers are called and coloured, the same in every table and picture."""

_KNOWN = {
    "vq": ("VQ", "#8a8f98"),
    "ema-vq": ("EMA-VQ", "#2f6fde"),
    "gumbel": ("Gumbel", "#e08a1e"),
    "regvq": ("Reg-VQ", "#0f9d6b"),
}
_OTHERS = ("#a04fc9", "#c2403d", "#6b8e23", "#2aa5b8")


def display_name(quantizer: str) -> str:
    """What readers see, e.g. ``EMA-VQ`` for ``ema-vq``; an unknown name stands for itself."""
    return _KNOWN[quantizer][0] if quantizer in _KNOWN else quantizer


def colour(quantizer: str) -> str:
    """A colour as ``#rrggbb``; an unknown name always gets the same one of a few."""
    if quantizer in _KNOWN:
        return _KNOWN[quantizer][1]
    return _OTHERS[sum(quantizer.encode()) % len(_OTHERS)]
