"""The codes, what each paints and how often it occurs."""

from typing import Any

import gradio as gr
import torch
from torch import Tensor

from regvq.app.code_pages import ORDERS, PAGE, CodePage, code_page
from regvq.app.drawing import whole
from regvq.app.handling import ask, at_once
from regvq.app.painter import address
from regvq.app.studio import Studio
from regvq.evaluation.codebook_pictures import code_patches
from regvq.tokenizers import ImageTokenizer

YOURS, SERVER = "your images on this page", "the images that the server was started with"


def codebook_tab(studio: Studio, counts: gr.State, tab: gr.Tab) -> None:
    """Builds the tab.

    Args:
        studio: what computes.
        counts: of the codes in the visitor's images, ``[N]`` int64; ``None`` before the first.
        tab: the first page is shown when it is opened.
    """
    pages = -(-studio.tokenizer.codebook_size // PAGE)
    sources = (YOURS,) if studio.counts is None else (SERVER, YOURS)
    gr.Markdown(
        "Each square is what a code paints among its own kind; below it its number and how often it occurs."
    )
    with gr.Row():
        source = gr.Radio(sources, value=sources[0], label="Counted in", visible=len(sources) > 1)
        order = gr.Radio(ORDERS, value=ORDERS[0], label="Order", elem_id="order")
        page = gr.Slider(1, max(pages, 2), 1, step=1, label="Page", visible=pages > 1, elem_id="page")
    facts = gr.Markdown(elem_id="code-facts", elem_classes="facts")
    codes = gr.HTML(elem_id="codes", apply_default_css=False)

    def task(whose: Any, how: Any, number: Any, yours: Tensor | None) -> list[Any]:
        given = studio.counts if whose == SERVER else yours
        if given is None:
            given = torch.zeros(studio.tokenizer.codebook_size, dtype=torch.int64)
        shown = code_page(given, how, whole(number, "the page", 1, max(pages, 2)))
        return [_facts(given, shown), _tiles(studio.tokenizer, shown)]

    for number, trigger in enumerate((tab.select, source.input, order.input, page.release)):
        ask(
            trigger,
            studio.worker,
            at_once(task),
            [source, order, page, counts],
            [facts, codes],
            "codebook" if number == 0 else f"codebook_{number}",
        )


def _tiles(tokenizer: ImageTokenizer, page: CodePage) -> str:
    """The codes of a page, all their patches in one picture from which every tile shows its part."""
    patches = code_patches(tokenizer, page.codes)
    number, side = len(patches), patches.shape[-1]
    strip = patches.permute(1, 2, 0, 3).reshape(3, side, number * side)
    tiles = "".join(
        f'<figure class="{"" if count else "unused"}"><i style="background-position: '
        f'{100 * place / max(number - 1, 1):.4f}% 0"></i>{code} <span>{count:,}×</span></figure>'
        for place, (code, count) in enumerate(zip(page.codes.tolist(), page.counts.tolist(), strict=True))
    )
    style = (
        f".codes i {{ background-image: url({address(strip)}); background-size: {number * 100}% 100%; }}"
    )
    return f'<style>{style}</style><div class="codes">{tiles}</div>'


def _facts(counts: Tensor, page: CodePage) -> str:
    tokens, used = int(counts.sum()), int((counts > 0).sum())
    where = f"page {page.number} of {page.pages}"
    if not tokens:
        return f"No image was counted yet: reconstruct some on the first tab. · {where}"
    return f"**{used}** of {len(counts)} codes occur in **{tokens:,}** tokens · {where}"
