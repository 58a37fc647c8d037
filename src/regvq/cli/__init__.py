"""The command line. What a command needs is imported when it runs: torch alone takes seconds."""

from regvq.cli.dispatch import main

__all__ = ["main"]
