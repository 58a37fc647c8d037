"""What every test stands on: one thread, and a fixed seed."""

import pytest
import torch

# Two test processes on two cores: more threads in each would only get in each other's way.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says at the very end that the page went untested, where there was no browser to test it in."""
    skipped = terminalreporter.stats.get("skipped", [])
    untested = [report for report in skipped if "NO BROWSER" in str(report.longrepr)]
    if untested:
        terminalreporter.section("THE WEB PAGE WAS NOT TESTED", sep="!", red=True, bold=True)
        terminalreporter.line(
            f"{len(untested)} tests need Chromium and its driver, which are not here: make setup-browser "
            "installs them from Debian's packages. REGVQ_BROWSER=required makes this a failure.",
            red=True,
        )
