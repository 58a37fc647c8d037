"""A part of an image drawn anew, where a brush says."""

from typing import Any

import gradio as gr
from torch import Tensor

from regvq.app.drawing import Wish, read_condition, whole
from regvq.app.fitting import fit
from regvq.app.handling import ask, at_once
from regvq.app.painter import grid, painter
from regvq.app.studio import Studio
from regvq.app.tabs.parts import condition_input, examples, images, upload, wish_inputs
from regvq.app.token_edits import painted_cells
from regvq.app.turns import Report
from regvq.errors import RegvqError
from regvq.generators import Generator


def inpaint_tab(studio: Studio, generator: Generator) -> None:
    """Builds the tab."""
    height, width = studio.size or (0, 0)
    image = gr.State()
    gr.Markdown(
        "Brush over what is to change: it is drawn anew to fit the rest. The middle of the image is taken, "
        f"in the generator's size of {width} × {height} pixels."
    )
    with gr.Row():
        with gr.Column(scale=3, min_width=260):
            source = upload("Image", "inpaint-source", height=240)
            examples(studio, source)
        with gr.Column(scale=5, min_width=420):
            canvas = painter("the part to draw anew", "Your image appears here", "inpaint-canvas")
        with gr.Column(scale=4, min_width=260):
            gallery = images("Versions", "versions")
    with gr.Row():
        with gr.Column(scale=3):
            condition = condition_input(generator.condition, "inpaint-condition")
            count = gr.Slider(
                1, studio.limits.images, min(2, studio.limits.images), step=1, label="Versions"
            )
            with gr.Row():
                draw = gr.Button("Draw anew", variant="primary", elem_id="redraw")
                stop = gr.Button("Stop")
            facts = gr.Markdown()
        with gr.Column(scale=4):
            wish = wish_inputs(generator)

    ask(
        source.change,
        studio.worker,
        at_once(lambda payload: _prepare(studio, payload)),
        [source],
        [canvas, image],
        "inpaint_image",
    )

    def task(report: Report, *values: Any) -> list[Any]:
        return _redraw(studio, generator, report, *values)

    inputs = [image, canvas, count, condition, *wish]
    event = ask(draw.click, studio.worker, task, inputs, [gallery, facts], "inpaint")
    stop.click(None, cancels=[event], api_visibility="private")


def _prepare(studio: Studio, payload: Any) -> list[Any]:
    """The image in the generator's size, under a grid of tokens."""
    if payload is None or studio.size is None:
        return [gr.HTML(**grid(0, 0)), None]
    image = fit(studio.shelf.read(payload), studio.size)
    factor = studio.tokenizer.downsampling
    return [gr.HTML(**grid(image.shape[1] // factor, image.shape[2] // factor, picture=image)), image]


def _redraw(
    studio: Studio,
    generator: Generator,
    report: Report,
    image: Tensor | None,
    cells: Any,
    number: Any,
    condition: Any,
    *wish: Any,
) -> list[Any]:
    """Paths of the versions, and what the visitor should know of them."""
    if image is None:
        raise RegvqError("there is no image yet: drop one, or choose an example")
    painted = painted_cells(cells, *generator.source.grid)
    if not painted.any():
        raise RegvqError("nothing is painted yet: brush over the part that is to be drawn anew")
    factor = studio.tokenizer.downsampling
    mask = painted.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
    count = whole(number, "the number of versions", 1, studio.limits.images)
    asked = read_condition(generator, condition)
    paths = studio.redraw(Wish(*wish), image, mask, asked, count, report)
    return [paths, "\n\n".join(asked.remarks)]
