"""A page that is really served, and a real browser; where there is none, that is said loudly."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from regvq.app.limits import Limits
from regvq.conditions import ClassLabel, LabelMap
from regvq.generators import DiscreteDiffusionGenerator
from tests.app.test_drawing import generator as prepared
from tests.support.site import Site, served
from tests.support.tiny import tiny_generator, tiny_tokenizer

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--window-size=1280,1400",
)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Headless Chromium with an empty profile."""
    if CHROMIUM is None or DRIVER is None:
        if os.environ.get("REGVQ_BROWSER") == "required":
            pytest.fail(
                "there is no Chromium with its driver, and REGVQ_BROWSER=required: make setup-browser"
            )
        pytest.skip("NO BROWSER: the page was not tested; make setup-browser installs one")
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chromium = Chrome(options=options, service=Service(DRIVER))
    yield chromium
    chromium.quit()


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The page of tiny models."""
    tokenizer = tiny_tokenizer()
    generator = tiny_generator(tokenizer, ClassLabel(("day", "night")), DiscreteDiffusionGenerator)
    with served(tokenizer, generator, Limits(pixels=40_000)) as site:
        yield site


@pytest.fixture
def painted_site() -> Iterator[Site]:
    """The page of a generator under label maps."""
    with served(tiny_tokenizer(), prepared(LabelMap()), Limits()) as site:
        yield site
