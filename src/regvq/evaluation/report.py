"""The report of a comparison: one HTML file that needs nothing else."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from string import Template

from matplotlib.figure import Figure
from torch import Tensor

from regvq.evaluation import plots
from regvq.evaluation.figures import png
from regvq.evaluation.names import colour, display_name
from regvq.evaluation.results import COLUMNS, TokenizerResult, best, cell, row

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { --ink: #1f2937; --soft: #6b7280; --line: #e5e7eb; --ground: #f7f8fa; --accent: #0f9d6b; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 20px 64px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 0 0 .3rem; }
h3 { font-size: 1rem; margin: 0 0 .4rem; }
p { margin: .3rem 0 .9rem; max-width: 76ch; }
.lead, .note { color: var(--soft); }
.note { font-size: .9rem; }
section { background: #fff; border: 1px solid var(--line); border-radius: 12px; padding: 22px 24px; margin-top: 22px; }
.facts { display: flex; flex-wrap: wrap; gap: 8px; margin: 18px 0 0; padding: 0; list-style: none; }
.facts li { background: #fff; border: 1px solid var(--line); border-radius: 999px; padding: 3px 12px; font-size: .88rem; }
.facts b { font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th { font-size: .8rem; font-weight: 600; color: var(--soft); vertical-align: bottom; line-height: 1.25; }
th, td { padding: 9px 10px; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; white-space: nowrap; padding-left: 2px; }
tbody tr:last-child td { border-bottom: 0; }
td.best { font-weight: 700; color: var(--ink); }
td.best::after { content: ""; display: block; height: 2px; border-radius: 1px; background: var(--accent); margin-top: 1px; }
.dot { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .5em; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 6px 18px; margin: 14px 0 0; font-size: .92rem; }
dt { font-weight: 600; } dd { margin: 0; color: #4b5563; }
img { max-width: 100%; height: auto; display: block; }
.pixels img { image-rendering: auto; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 26px 22px; margin-top: 14px; }
.card img + img { margin-top: 8px; }
.card p { font-size: .92rem; margin: 0 0 .6rem; }
pre { font: .8rem/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; background: var(--ground);
  border-radius: 8px; padding: 10px 12px; overflow-x: auto; white-space: pre; }
@media (max-width: 640px) { dl { grid-template-columns: 1fr; } dd { margin-bottom: 6px; }
  section { padding: 16px 14px; } main { padding-top: 22px; } }
@media print { body { background: #fff; } section { break-inside: avoid; } }
</style>
</head>
<body>
<main>
<h1>$title</h1>
<p class="lead">$lead</p>
<ul class="facts">$facts</ul>
$sections
</main>
</body>
</html>
""")


def html_report(
    title: str,
    lead: str,
    facts: Mapping[str, str],
    results: Sequence[TokenizerResult],
    originals: Tensor,
) -> str:
    """The whole report as HTML; pictures are inside it.

    Args:
        title: its headline.
        lead: one or two sentences under it.
        facts: what all tokenizers share, by name: budget, seed, backbone, ….
        results: at least one tokenizer, in the order of the table.
        originals: ``[K, 3, H, W]`` in [-1, 1]: what the shown reconstructions are of.
    """
    sections = [
        _section("Figures", _table(results) + _meanings(results)),
        _section(
            "Originals and reconstructions",
            _note("Validation images, none of them trained on. Tokens are the best match of every place.")
            + _picture(
                plots.reconstruction_grid(
                    originals, [(display_name(one.quantizer), one.reconstructions) for one in results]
                ),
                "originals above the reconstructions of each tokenizer",
            ),
        ),
        _section("Sampled tokens", _sampled(results, originals)),
        _section(
            "Use of the codes",
            _note(
                "How often each code occurs on the validation images. A dot ends a curve at the last used code."
            )
            + _picture(plots.usage_histogram(results), "sorted code counts of each tokenizer"),
        ),
        _section("Codebooks", _codebooks(results)),
        _section(
            "Training", _picture(plots.training_curves(results), "loss, PSNR and perplexity over training")
        ),
    ]
    chips = "".join(f"<li>{escape(name)} <b>{escape(value)}</b></li>" for name, value in facts.items())
    return _PAGE.substitute(
        title=escape(title), lead=escape(lead), facts=chips, sections="\n".join(sections)
    )


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>"


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>\n'


def _picture(figure: Figure, description: str) -> str:
    return _image(png(figure), description)


def _image(content: bytes, description: str) -> str:
    data = base64.b64encode(content).decode("ascii")
    return f'<img alt="{escape(description)}" src="data:image/png;base64,{data}">\n'


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
        + _note("Bold: best of its column. A dash: the share of changed tokens cannot be reached.")
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
    text = _note(
        "A generator does not hand the decoder the best token of every place but a likely one. Here each "
        "token is drawn from softmax(token logits / T). T is set for each tokenizer such that the same share "
        "of tokens changes, so that scales of logits do not matter; the noise is the same everywhere."
    )
    text += _picture(
        plots.sampled_curves(results), "PSNR and Fréchet distance over the share of changed tokens"
    )
    if shown:
        text += "<h3>The same images with 80 % of the tokens changed</h3>\n"
        text += _picture(
            plots.reconstruction_grid(originals, shown), "originals above images from sampled tokens"
        )
    return text


def _codebooks(results: Sequence[TokenizerResult]) -> str:
    cards = []
    for result in results:
        name = display_name(result.quantizer)
        pictures = "".join(
            _image(result.pictures[key], f"{name}: {what}")
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
        _note(
            "Above: a cell a code, from the most to the least used; dark cells are never used. Middle: what a "
            "code paints when a whole image holds nothing else. Below: the codes on their first two "
            "principal axes; hollow ones are never used."
        )
        + f'<div class="cards">{"".join(cards)}</div>'
    )


def _figures(result: TokenizerResult) -> str:
    return result.codebook.text().rsplit("\n\n", maxsplit=1)[0]
