"""The parts of a report: one HTML file that needs nothing else."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from string import Template

from matplotlib.figure import Figure

from regvq.figures import png

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


def html_page(title: str, lead: str, facts: Mapping[str, str], sections: Sequence[str]) -> str:
    """A whole page.

    Args:
        title: its headline.
        lead: one or two sentences under it.
        facts: shown as small labels, by name.
        sections: what ``section`` made.
    """
    chips = "".join(f"<li>{escape(name)} <b>{escape(value)}</b></li>" for name, value in facts.items())
    return _PAGE.substitute(
        title=escape(title), lead=escape(lead), facts=chips, sections="\n".join(sections)
    )


def section(title: str, content: str) -> str:
    """A headline and what stands under it, as HTML."""
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>"


def note(text: str) -> str:
    """A remark in small print; ``text`` is escaped."""
    return f'<p class="note">{escape(text)}</p>\n'


def picture(figure: Figure, description: str) -> str:
    """A figure inside the page."""
    return image(png(figure), description)


def image(content: bytes, description: str) -> str:
    """A PNG inside the page."""
    data = base64.b64encode(content).decode("ascii")
    return f'<img alt="{escape(description)}" src="data:image/png;base64,{data}">\n'
