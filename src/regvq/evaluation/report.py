"""What a report says of tokenizers that were compared."""

from collections.abc import Sequence
from html import escape

from torch import Tensor

from regvq.evaluation import plots
from regvq.evaluation.html import image, note, picture, section
from regvq.evaluation.names import colour, display_name
from regvq.evaluation.results import COLUMNS, TokenizerResult, best, cell, row


def tokenizer_sections(results: Sequence[TokenizerResult], originals: Tensor) -> list[str]:
    """What a report says of tokenizers; pictures are inside it.

    Args:
        results: at least one tokenizer, in the order of the table.
        originals: ``[K, 3, H, W]`` in [-1, 1]: what the shown reconstructions are of.
    """
    return [
        section("Figures", _table(results) + _meanings(results)),
        section(
            "Originals and reconstructions",
            note("Validation images, none of them trained on. Tokens are the best match of every place.")
            + picture(
                plots.reconstruction_grid(
                    originals, [(display_name(one.quantizer), one.reconstructions) for one in results]
                ),
                "originals above the reconstructions of each tokenizer",
            ),
        ),
        section("Sampled tokens", _sampled(results, originals)),
        section(
            "Use of the codes",
            note(
                "How often each code occurs on the validation images. A dot ends a curve at the last "
                "used code."
            )
            + picture(plots.usage_histogram(results), "sorted code counts of each tokenizer"),
        ),
        section("Codebooks", _codebooks(results)),
        section(
            "Training", picture(plots.training_curves(results), "loss, PSNR and perplexity over training")
        ),
    ]


def _name(quantizer: str) -> str:
    dot = f'<span class="dot" style="background:{colour(quantizer)}"></span>'
    return dot + escape(display_name(quantizer))


def _table(results: Sequence[TokenizerResult]) -> str:
    rows = [row(result) for result in results]
    winners = {column.key: best(column, [entry[column.key] for entry in rows]) for column in COLUMNS}
    head = "".join(
        f'<th scope="col">{escape(_heading(column.title, column.scale))}</th>' for column in COLUMNS
    )
    body = []
    for place, (result, entry) in enumerate(zip(results, rows, strict=True)):
        cells = []
        for column in COLUMNS:
            mark = ' class="best"' if place in winners[column.key] else ""
            cells.append(f"<td{mark}>{cell(column, entry[column.key])}</td>")
        body.append(f"<tr><td>{_name(result.quantizer)}</td>{''.join(cells)}</tr>")
    return (
        '<div class="scroll"><table>\n'
        f'<thead><tr><th scope="col">quantizer</th>{head}</tr></thead>\n'
        f"<tbody>\n{chr(10).join(body)}\n</tbody>\n</table></div>\n"
        + note("Bold: best of its column. A dash: the share of changed tokens cannot be reached.")
    )


def _heading(title: str, scale: float) -> str:
    return f"{title} (%)" if scale == 100 else title


def _meanings(results: Sequence[TokenizerResult]) -> str:
    items = "".join(
        f"<dt>{escape(_heading(column.title, column.scale))}</dt><dd>{escape(column.meaning)}</dd>"
        for column in COLUMNS
    )
    features = escape(results[0].sampled.features)
    return (
        f"<dl>{items}</dl>"
        f'<p class="note">Fréchet distances are taken in the features of: {features}. They compare the '
        "rows of this table and nothing else.</p>"
    )


def _sampled(results: Sequence[TokenizerResult], originals: Tensor) -> str:
    shown = [
        (display_name(result.quantizer), result.sampled_reconstructions)
        for result in results
        if result.sampled_reconstructions is not None
    ]
    text = note(
        "A generator does not hand the decoder the best token of every place but a likely one. Here "
        "each token is drawn from softmax(token logits / T). T is set for each tokenizer such that the "
        "same share of tokens changes, so that scales of logits do not matter; the noise is the same "
        "everywhere."
    )
    text += picture(
        plots.sampled_curves(results), "PSNR and Fréchet distance over the share of changed tokens"
    )
    if shown:
        text += "<h3>The same images with 80 % of the tokens changed</h3>\n"
        text += picture(
            plots.reconstruction_grid(originals, shown), "originals above images from sampled tokens"
        )
    return text


def _codebooks(results: Sequence[TokenizerResult]) -> str:
    cards = []
    for result in results:
        name = display_name(result.quantizer)
        pictures = "".join(
            image(result.pictures[key], f"{name}: {what}")
            for key, what in (
                ("usage", "how often each code is used"),
                ("patches", "what each code paints"),
                ("map", "the codes on two axes"),
            )
        )
        cards.append(
            f'<div class="card"><h3>{_name(result.quantizer)}</h3>'
            f"<p>{escape(result.codebook.verdict)}</p>{pictures}"
            f"<details><summary>figures</summary><pre>{escape(_figures(result))}</pre></details></div>"
        )
    return (
        note(
            "Above: a cell a code, from the most to the least used; dark cells are never used. Middle: "
            "what a code paints when a whole image holds nothing else. Below: the codes on their first two "
            "principal axes; hollow ones are never used."
        )
        + f'<div class="cards">{"".join(cards)}</div>'
    )


def _figures(result: TokenizerResult) -> str:
    return result.codebook.text().rsplit("\n\n", maxsplit=1)[0]
