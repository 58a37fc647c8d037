"""An image, its tokens, its reconstruction and the error; and tokens changed by hand."""

from dataclasses import replace
from typing import Any

import gradio as gr
import torch
from torch import Tensor

from regvq.app.error_maps import FULL, error_map
from regvq.app.handling import ask, at_once
from regvq.app.painter import grid, painter
from regvq.app.reconstruction import Reconstruction, TokenGrid, decode, reconstruct
from regvq.app.studio import Studio
from regvq.app.tabs.parts import examples, picture, upload
from regvq.app.token_edits import paint, painted_cells, swap
from regvq.app.token_pictures import colour_picture, patch_picture
from regvq.errors import RegvqError

VIEWS = ("a colour for each code", "what each code paints")


def reconstruct_tab(studio: Studio, counts: gr.State) -> None:
    """Builds the tab.

    Args:
        studio: what computes.
        counts: of the codes in the visitor's images, ``[N]`` int64; ``None`` before the first.
    """
    size = studio.tokenizer.codebook_size
    own, current = gr.State(), gr.State()
    gr.Markdown(
        "Drop an image of any size. The tokenizer turns it into codes, and the codes back into an image; "
        f"the error map shows what is lost, white where a pixel is off by {FULL} of 255 or more."
    )
    with gr.Row(equal_height=True):
        source = upload("Image", "source")
        tokens = picture("Tokens", "tokens")
        rebuilt = picture("Reconstruction", "rebuilt")
        error = picture("Error", "error")
    facts = gr.Markdown(elem_id="facts", elem_classes="facts")
    with gr.Row():
        with gr.Column(scale=3):
            examples(studio, source)
        with gr.Column(scale=1, min_width=220):
            view = gr.Radio(VIEWS, value=VIEWS[0], label="Show tokens as", elem_id="view")
    gr.Markdown("### Edit tokens")
    with gr.Row():
        with gr.Column(scale=5, min_width=420):
            canvas = painter("tokens to change", "The tokens of your image appear here", "canvas")
        with gr.Column(scale=3, min_width=190):
            with gr.Group():
                code = gr.Number(
                    0,
                    label="Code",
                    precision=0,
                    elem_id="code",
                    info=f"0 to {size - 1}, or pick one on the left",
                )
                painting = gr.Button("Give it to the painted tokens", variant="primary", elem_id="paint")
            with gr.Group():
                old = gr.Number(0, label="Code to replace everywhere", precision=0, elem_id="old")
                swapping = gr.Button("Put the code above in its place", elem_id="swap")
            back = gr.Button("Back to the image's own tokens", elem_id="back")
        with gr.Column(scale=5, min_width=260):
            edited = picture("Decoded from the edited tokens", "edited", height=440)

    outputs = [tokens, rebuilt, error, facts, canvas, edited, own, current, counts]
    ask(
        source.change,
        studio.worker,
        at_once(lambda *values: _reconstruct(studio, *values)),
        [source, view, counts],
        outputs,
        "reconstruct",
    )
    ask(
        view.input,
        studio.worker,
        at_once(lambda how, now: None if now is None else studio.shelf.put(_picture(studio, now, how))),
        [view, current],
        [tokens],
        "view",
    )
    changed = [tokens, canvas, edited, current]
    for button, task, inputs, name in (
        (painting, _paint, [canvas, code], "paint"),
        (swapping, _swap, [old, code], "swap"),
        (back, _back, [own], "back"),
    ):
        ask(
            button.click,
            studio.worker,
            at_once(lambda how, now, *values, task=task: _edit(studio, how, now, task, *values)),
            [view, current, *inputs],
            changed,
            name,
        )
    canvas.pick(_picked, None, [code], queue=False, api_visibility="private")


def _reconstruct(studio: Studio, payload: Any, how: Any, counts: Tensor | None) -> list[Any]:
    """Everything that an image shows; nothing where it was taken away."""
    if payload is None:
        return [None, None, None, "", gr.HTML(**grid(0, 0)), None, None, None, counts]
    image = studio.shelf.read(payload)
    done = reconstruct(studio.tokenizer, image)
    seen = torch.bincount(done.tokens.codes.flatten(), minlength=studio.tokenizer.codebook_size)
    return [
        studio.shelf.put(_picture(studio, done.tokens, how)),
        studio.shelf.put(done.image),
        studio.shelf.put(error_map(image, done.image)),
        _facts(done, studio.tokenizer.codebook_size),
        _canvas(done.tokens, done.image),
        None,
        done.tokens,
        done.tokens,
        seen if counts is None else counts + seen,
    ]


def _edit(studio: Studio, how: Any, now: TokenGrid | None, task: Any, *values: Any) -> list[Any]:
    """Tokens changed by ``task``, and what they decode to."""
    if now is None:
        raise RegvqError("there are no tokens yet: drop an image first")
    after = replace(now, codes=task(now.codes, studio.tokenizer.codebook_size, *values))
    image = decode(studio.tokenizer, after)
    shown = [studio.shelf.put(_picture(studio, after, how)), _canvas(after, image)]
    # Decoded, not drawn by a generator: unmarked, as by regvq decode.
    return [*shown, studio.shelf.put(image), after]


def _picked(event: gr.EventData) -> Any:
    """The code that the painter's pointer is on."""
    return event.code


def _paint(codes: Tensor, size: int, cells: Any, code: Any) -> Tensor:
    return paint(codes, painted_cells(cells, *codes.shape), code, size)


def _swap(codes: Tensor, size: int, old: Any, new: Any) -> Tensor:
    return swap(codes, old, new, size)


def _back(codes: Tensor, size: int, own: TokenGrid) -> Tensor:
    return own.codes


def _picture(studio: Studio, tokens: TokenGrid, how: Any) -> Tensor:
    if how == VIEWS[1]:
        return patch_picture(studio.tokenizer, tokens.codes)
    return colour_picture(tokens.codes, studio.tokenizer.downsampling)


def _canvas(tokens: TokenGrid, image: Tensor) -> gr.HTML:
    rows, columns = tokens.codes.shape
    return gr.HTML(**grid(rows, columns, image, tokens.codes))


def _facts(done: Reconstruction, size: int) -> str:
    rows, columns = done.tokens.codes.shape
    used = len(done.tokens.codes.unique())
    return (
        f"**{done.psnr:.2f} dB** PSNR · {done.tokens.width} × {done.tokens.height} pixels · "
        f"{rows} × {columns} = **{rows * columns} tokens** · **{used}** of {size} codes"
    )
