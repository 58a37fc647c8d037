"""How ``--help`` looks."""

import argparse
import textwrap


class Formatter(argparse.HelpFormatter):
    """Fills paragraphs to the terminal's width, and leaves those with an indented line as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.strip().split("\n\n")
        return "\n\n".join(
            textwrap.indent(paragraph if "\n " in paragraph else textwrap.fill(paragraph, width), indent)
            for paragraph in paragraphs
        )
