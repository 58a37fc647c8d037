"""What several tabs are made of."""

from typing import Any

import gradio as gr

from regvq.app.drawing import Wish
from regvq.app.examples import example_images, example_labels, label_colours
from regvq.app.painter import painter
from regvq.app.studio import Studio
from regvq.app.token_pictures import colour_names
from regvq.conditions import Caption, ClassLabel, Condition, LabelMap
from regvq.generators import Generator

ANY = "any"
"""Stands in the list of classes for no condition."""


def upload(label: str, element: str, height: int = 280) -> gr.Image:
    """Where an image is dropped; its file reaches a task as the record that ``Shelf.read`` takes."""
    return gr.Image(
        label=label,
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard"],
        elem_id=element,
        elem_classes="picture",
        height=height,
        buttons=[],
    )


def picture(label: str, element: str, height: int = 280) -> gr.Image:
    """Where a result is shown: small ones enlarged, pixel by pixel."""
    return gr.Image(
        label=label,
        format="png",
        interactive=False,
        elem_id=element,
        elem_classes="picture",
        height=height,
        buttons=["download", "fullscreen"],
    )


def images(label: str, element: str) -> gr.Gallery:
    """Where generated images are shown."""
    return gr.Gallery(
        label=label,
        columns=2,
        height=560,
        object_fit="contain",
        format="png",
        interactive=False,
        elem_id=element,
        elem_classes="pixels",
    )


def examples(studio: Studio, source: gr.Image) -> None:
    """A row of images that can be chosen instead of an upload."""
    side = max(studio.size) if studio.size else 64
    paths = [studio.shelf.put(image) for image in example_images(side)]
    gr.Examples([[path] for path in paths], [source], label="or one of these", api_visibility="private")


def condition_input(condition: Condition, element: str) -> Any:
    """The component whose value ``read_condition`` takes.

    Args:
        condition: of the generator.
        element: the component's id on the page.
    """
    if isinstance(condition, ClassLabel):
        return gr.Dropdown([(ANY, ""), *condition.classes], value="", label="Class", elem_id=element)
    if isinstance(condition, Caption):
        return gr.Textbox(
            label="Caption", lines=2, max_length=1000, elem_id=element, placeholder="empty for any image"
        )
    if isinstance(condition, LabelMap):
        return label_painter(condition, element)
    return gr.State()  # nothing is to be said


def label_painter(condition: LabelMap, element: str) -> gr.HTML:
    """Where a label map is painted, in the cells that the generator knows."""
    rows, columns = condition.cells
    colours = label_colours(condition.labels) or colour_names(len(condition.labels))
    labels = [
        {"name": name, "colour": colour} for name, colour in zip(condition.labels, colours, strict=True)
    ]
    return painter(
        "a label map",
        "",
        element,
        labels,
        rows=rows,
        columns=columns,
        value=example_labels(condition.labels, rows, columns),
    )


def wish_inputs(generator: Generator) -> list[Any]:
    """The components of a ``Wish``, in the order of its fields; hidden where they mean nothing."""
    guided = generator.condition.length > 0 and generator.condition_dropout > 0
    with gr.Accordion("How to draw", open=False):
        with gr.Row():
            seed = gr.Number(
                0, label="Seed", precision=0, info="the same seed draws the same; empty: by chance"
            )
            temperature = gr.Slider(
                0.1, 2, 1, step=0.05, label="Temperature", info="below 1 likelier, above 1 more variety"
            )
            top_p = gr.Slider(
                0.05, 1, 1, step=0.01, label="Top-p", info="the likeliest tokens of this probability"
            )
            top_k = gr.Slider(
                0,
                generator.source.codebook_size,
                0,
                step=1,
                label="Top-k",
                info="the k likeliest; 0 for all",
            )
        with gr.Row():
            guidance = gr.Slider(
                0,
                10,
                1,
                step=0.1,
                label="Guidance",
                info="how closely the condition is followed",
                visible=guided,
            )
            most = generator.passes(Wish().options(generator))
            steps = gr.Slider(
                0, most, 0, step=1, label="Steps", info="0 for all", visible=generator.in_steps
            )
            parallel = gr.Checkbox(
                False, label="Surest tokens first, in few steps", visible=generator.in_steps
            )
    return [seed, temperature, top_k, top_p, guidance, steps, parallel]
