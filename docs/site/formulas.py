"""Formulas of a page become pictures in its text: no script, no font and no server is asked.

They are written as GitHub shows them where a page lies: a block ```` ```math ````, or ``$`…`$`` in a line.
matplotlib's mathtext sets them; what it cannot read fails the build.
"""

import html
import re

from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

BLOCK = re.compile(r"^```math\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"\$`([^`\n]+)`\$")
KEPT = re.compile(r"math(block|line)x([0-9a-f]+)x")
SCALES = {"block": 1.3, "line": 1.0}
"""Of a formula that stands by itself, and of one in a line of text."""
SIZE = 200
"""Whole units of the picture that make the height of the text's letters."""
LETTERS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C"}


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Puts words in the place of formulas, which Markdown leaves alone."""
    markdown = BLOCK.sub(lambda found: kept(found[1], "block"), markdown)
    return INLINE.sub(lambda found: kept(found[1], "line"), markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Puts the pictures in the place of the words."""
    return KEPT.sub(lambda found: svg(bytes.fromhex(found[2]).decode(), SCALES[found[1]]), content)


def kept(formula: str, place: str) -> str:
    """A word that holds a formula."""
    return f"math{place}x{' '.join(formula.split()).encode().hex()}x"


def svg(formula: str, scale: float) -> str:
    """A formula in TeX as a picture in the colour of the text around it, ``scale`` times its height.

    Raises:
        ValueError: mathtext cannot read it.
    """
    font = FontProperties(family="serif", math_fontfamily="cm")
    path = TextPath((0, 0), f"${formula}$", size=SIZE, prop=font)
    drawn = []
    for points, code in path.iter_segments(curves=True, simplify=False):
        if code == Path.CLOSEPOLY:
            drawn.append("Z")
        else:
            # Pictures count downwards.
            places = (f"{(-value if place % 2 else value):.0f}" for place, value in enumerate(points))
            drawn.append(LETTERS[code] + " ".join(places))
    box, unit = path.get_extents(), SIZE / scale
    return (
        f'<svg class="formula" role="img" aria-label="{html.escape(formula)}" fill="currentColor" '
        f'viewBox="{box.x0:.0f} {-box.y1:.0f} {box.width:.0f} {box.height:.0f}" '
        f'style="width: {box.width / unit:.4g}em; height: {box.height / unit:.4g}em; '
        f'vertical-align: {box.y0 / unit:.4g}em"><path d="{"".join(drawn)}"/></svg>'
    )
