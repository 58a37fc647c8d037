"""New images under a class, a caption or a painted label map."""

from typing import Any

import gradio as gr

from regvq.app.drawing import Wish, read_condition, whole
from regvq.app.handling import ask
from regvq.app.studio import Studio
from regvq.app.tabs.parts import condition_input, images, wish_inputs
from regvq.app.turns import Report
from regvq.conditions import LabelMap
from regvq.generators import Generator


def sample_tab(studio: Studio, generator: Generator) -> None:
    """Builds the tab."""
    limits, paints = studio.limits, isinstance(generator.condition, LabelMap)
    gr.Markdown(
        "Paint what is to be where, and draw." if paints else "Say what is to be seen, and draw new images."
    )
    with gr.Row():
        with gr.Column(scale=5 if paints else 3, min_width=420 if paints else 300):
            condition = condition_input(generator.condition, "condition")
            count = gr.Slider(
                1, limits.images, min(4, limits.images), step=1, label="Images", elem_id="count"
            )
            with gr.Row():
                draw = gr.Button("Draw", variant="primary", elem_id="draw")
                stop = gr.Button("Stop", elem_id="stop")
            wish = wish_inputs(generator)
        with gr.Column(scale=5):
            gallery = images("New images", "samples")
            facts = gr.Markdown(elem_id="sample-facts")

    def task(report: Report, *values: Any) -> list[Any]:
        return _sample(studio, generator, report, *values)

    inputs = [count, condition, *wish]
    event = ask(draw.click, studio.worker, task, inputs, [gallery, facts], "sample")
    stop.click(None, cancels=[event], api_visibility="private")


def _sample(
    studio: Studio, generator: Generator, report: Report, number: Any, condition: Any, *wish: Any
) -> list[Any]:
    """Paths of the new images, and what the visitor should know of them."""
    count = whole(number, "the number of images", 1, studio.limits.images)
    asked = read_condition(generator, condition)
    paths = studio.draw(Wish(*wish), asked, count, report)
    return [paths, "\n\n".join(asked.remarks)]
