"""What the demo's report says of generators."""

import textwrap
from html import escape

import torch
from matplotlib.figure import Figure
from torch import Tensor

from regvq.data.scenes import LABELS
from regvq.evaluation.html import note, picture, section
from regvq.evaluation.scenes_demo import KINDS, ScenesResult

_CELL = 1.25  # inches


def scenes_sections(result: ScenesResult) -> list[str]:
    """Samples beside their label maps and captions, figures, and an inpainting strip."""
    return [
        section("New images from label maps", _table(result) + _samples(result)),
        section("Inpainting", _inpainting(result)),
    ]


def label_colours(label_maps: Tensor) -> Tensor:
    """Label maps ``[K, H, W]`` as they are shown: ``[K, 3, H, W]`` in [-1, 1]."""
    colours = torch.tensor([label.colour for label in LABELS], dtype=torch.float32) / 127.5 - 1
    return colours[label_maps].permute(0, 3, 1, 2)


def picture_table(rows: list[tuple[str, Tensor]], captions: list[str]) -> Figure:
    """Rows of images with their names at the left, and a caption under each column.

    Args:
        rows: names and images ``[K, 3, H, W]`` in [-1, 1].
        captions: one a column, or none at all.
    """
    count = len(rows[0][1])
    figure = Figure(figsize=(1.1 + _CELL * count, _CELL * len(rows) + (0.9 if captions else 0.1)))
    figure.set_layout_engine("tight", pad=0.3)
    for row, (name, images) in enumerate(rows):
        shown = ((images.clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 1).numpy()
        for column in range(count):
            axes = figure.add_subplot(len(rows), count, row * count + column + 1)
            axes.imshow(shown[column], interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            if column == 0:
                axes.set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")
            if captions and row == len(rows) - 1:
                axes.set_xlabel(textwrap.fill(captions[column], 22), fontsize=5.5, color="#4b5563")
    return figure


def _table(result: ScenesResult) -> str:
    head = "".join(
        f'<th scope="col">{escape(title)}</th>'
        for title in ("generator", "mean IoU", "ceiling", "seconds", "parameters (M)")
    )
    body = "".join(
        f"<tr><td>{escape(KINDS[one.kind])}</td><td>{one.adherence.value:.3f}</td>"
        f"<td>{one.adherence.ceiling:.3f}</td><td>{one.seconds:.0f}</td>"
        f"<td>{one.parameters / 1e6:.2f}</td></tr>"
        for one in result.generators
    )
    images = result.generators[0].adherence.images
    return (
        note(
            "A Reg-VQ tokenizer was trained on small procedural scenes, then two generators on its tokens, "
            f"under label maps. {images} images were sampled for scenes with combinations of colour, "
            "object and place that training never showed, and read back by an oracle: mean IoU is how well "
            "what it sees covers the label map that was asked for. The ceiling is the same for the "
            "tokenizer's reconstructions of the real scenes; samples of the likeliest tokens can pass it, "
            "for they are cleaner than real scenes."
        )
        + f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _samples(result: ScenesResult) -> str:
    maps = torch.stack([scene["label_map"] for scene in result.scenes])
    rows = [
        ("label map", label_colours(maps)),
        ("a scene\nwith it", torch.stack([scene["image"] for scene in result.scenes])),
        *((KINDS[one.kind].replace(" ", "\n"), one.adherence.samples) for one in result.generators),
    ]
    captions = [scene["caption"] for scene in result.scenes]
    return picture(picture_table(rows, captions), "label maps, scenes, and samples of both generators")


def _inpainting(result: ScenesResult) -> str:
    strip = result.inpainting
    rows = [("original", strip.originals), ("known", strip.masked), ("drawn", strip.drawn)]
    return note(
        "The middle of each scene is drawn anew by the diffusion generator, which sees the tokens on both "
        "sides and the label map."
    ) + picture(picture_table(rows, []), "originals, what is known of them, and the middle drawn anew")
