"""A grid of cells that visitors paint: tokens to change, parts to draw anew, label maps."""

import base64
import io
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import gradio as gr
from PIL import Image
from torch import Tensor

from regvq.data.images import to_uint8

ASSETS = files("regvq.app") / "assets"
LONGEST = 640
"""Pixels of the longer side of the picture below; a larger one is shown smaller."""

_TEMPLATE = """
<div class="painter" data-empty="${empty}">
  <div class="painter-tools" role="toolbar"></div>
  <canvas tabindex="0" role="img" aria-label="${name}"></canvas>
  <div class="painter-words" aria-live="polite"></div>
</div>
"""


def painter(
    name: str, empty: str, element: str, labels: Sequence[dict[str, str]] = (), **props: Any
) -> gr.HTML:
    """The component, without a grid until ``props`` or an event gives it one.

    Args:
        name: what is painted, for those who cannot see it.
        empty: stands there as long as there is no grid.
        element: the component's id on the page.
        labels: ``name`` and ``colour`` of the labels that are painted; none for a mask.
        props: of the grid, see ``grid``.
    """
    return gr.HTML(
        **{"value": [], "picture": "", "rows": 0, "columns": 0, "codes": [], **props},
        name=name,
        empty=empty,
        labels=list(labels),
        html_template=_TEMPLATE,
        js_on_load=(ASSETS / "painter.js").read_text(encoding="utf-8"),
        elem_id=element,
        apply_default_css=False,
    )


def grid(
    rows: int, columns: int, picture: Tensor | None = None, codes: Tensor | None = None
) -> dict[str, Any]:
    """What the component needs to know of a grid that nothing is painted on.

    Args:
        rows: cells down.
        columns: cells across.
        picture: shown below them, ``[3, H, W]`` in [-1, 1].
        codes: number of every cell, ``[rows, columns]``, told under the pointer.
    """
    return {
        "value": [],
        "picture": "" if picture is None else address(picture, LONGEST),
        "rows": rows,
        "columns": columns,
        "codes": [] if codes is None else codes.flatten().tolist(),
    }


def address(image: Tensor, longest: int | None = None) -> str:
    """An image [3, H, W] in [-1, 1] as an address that holds it, no side above ``longest``."""
    picture = Image.fromarray(to_uint8(image).permute(1, 2, 0).cpu().numpy())
    if longest is not None:
        picture.thumbnail((longest, longest))
    content = io.BytesIO()
    picture.save(content, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
