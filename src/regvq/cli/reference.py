"""The reference page that is made from ``--help``."""

from regvq.cli.dispatch import build_parser
from regvq.cli.help import Formatter


class PageFormatter(Formatter):
    """The same at a page's width, whatever the terminal is."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100)


def reference() -> str:
    """The command-line reference in Markdown: ``docs/cli.md``, which a test holds to it."""
    parser, commands = build_parser(PageFormatter)
    parts = [
        "# Command line\n",
        "What `regvq --help` and `regvq COMMAND --help` print; "
        "`python -m regvq.cli.reference > docs/cli.md` writes this page.\n",
        "Exit status: 0 when all went well; 2, with one sentence on stderr that says what is wrong, "
        "where, and what to do; 130 after Ctrl-C. An image that cannot be read among others that can is "
        "left out and counted. Files are written beside their place and renamed, so nothing already saved "
        "is lost.\n",
        f"```text\n{parser.format_help()}```\n",
    ]
    parts += [
        f"## regvq {name}\n\n```text\n{command.format_help()}```\n" for name, command in commands.items()
    ]
    return "\n".join(parts)


if __name__ == "__main__":
    print(reference(), end="")
