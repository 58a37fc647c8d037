"""The page: what is served, and a tab for each thing that can be done with it."""

import html

import gradio as gr

import regvq
from regvq.app.studio import Studio
from regvq.app.tabs.codebook import codebook_tab
from regvq.app.tabs.inpaint import inpaint_tab
from regvq.app.tabs.reconstruct import reconstruct_tab
from regvq.app.tabs.sample import sample_tab

_SYSTEM = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def theme() -> gr.themes.Base:
    """Fonts that are on the visitor's machine: nothing is fetched from elsewhere."""
    return gr.themes.Soft(primary_hue="indigo", neutral_hue="slate", font=_SYSTEM, font_mono=_MONO)


def build_page(studio: Studio) -> gr.Blocks:
    """The page of a studio, with its queue."""
    keep = studio.limits.keep_seconds
    page: gr.Blocks = gr.Blocks(
        title="regvq", analytics_enabled=False, delete_cache=(max(1, keep // 3), keep)
    )
    with page:
        gr.HTML(_masthead(studio), apply_default_css=False)
        counts = gr.State()
        with gr.Tab("Reconstruct and edit"):
            reconstruct_tab(studio, counts)
        if studio.generator is not None:
            with gr.Tab("Sample"):
                sample_tab(studio, studio.generator)
            with gr.Tab("Inpaint"):
                inpaint_tab(studio, studio.generator)
        with gr.Tab("Codebook") as tab:
            codebook_tab(studio, counts, tab)
        if studio.generator is None:
            gr.Markdown("Started with a generator as well, this page also draws new images and inpaints.")
    # The gate and the limits hold for requests that wait in the queue; no other way is open.
    page.queue(max_size=studio.limits.queue, api_open=False, default_concurrency_limit=1)
    page.state_session_capacity = studio.limits.visitors
    return page


def _masthead(studio: Studio) -> str:
    tokenizer, generator = studio.tokenizer, studio.generator
    side = tokenizer.downsampling
    facts = [
        ("codes", f"{tokenizer.codebook_size:,}"),
        ("a token", f"{side} × {side} pixels"),
        ("quantizer", type(tokenizer.quantizer).__name__),
        ("fingerprint", tokenizer.fingerprint()),
    ]
    if generator is not None:
        rows, columns = generator.source.grid
        facts += [
            ("grid", f"{rows} × {columns} tokens"),
            ("generator", type(generator).__name__),
            ("condition", type(generator.condition).__name__),
        ]
    facts.append(("regvq", regvq.__version__))
    chips = "".join(f"<span>{name} <b>{html.escape(value)}</b></span>" for name, value in facts)
    return (
        '<div class="masthead"><h1>Images as tokens</h1>'
        "<p>See what a tokenizer keeps of an image, change its tokens, and draw new ones.</p>"
        f'<div class="chips">{chips}</div></div>'
    )
