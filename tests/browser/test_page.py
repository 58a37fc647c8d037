"""The page as a visitor uses it, in Chromium."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from regvq.conditions import LabelMap
from tests.browser.conftest import SCREENSHOTS
from tests.cli.conftest import picture
from tests.support.site import Site

PATIENCE = 120
"""Seconds; on a machine that is free everything takes one or two."""


class Page:
    """What a visitor sees and does."""

    def __init__(self, browser: Chrome, site: Site) -> None:
        self.browser = browser
        self.site = site

    def load(self) -> None:
        self.browser.get(self.site.address)
        self.one("#source input[type=file]")

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        self.until(lambda: bool(self.all(selector)))
        return self.all(selector)[0]

    def until(self, happened: Callable[[], bool]) -> None:
        WebDriverWait(self.browser, PATIENCE).until(lambda _: happened())

    def open(self, tab: str) -> None:
        (button,) = (one for one in self.all("button[role=tab]") if one.text == tab)
        button.click()

    def upload(self, path: Path, field: str = "#source") -> None:
        self.one(f"{field} input[type=file]").send_keys(str(path))

    def press(self, text: str, within: str) -> None:
        (button,) = (one for one in self.all(f"{within} button") if one.text == text)
        button.click()

    def shown(self, element: str) -> str | None:
        """Where the picture in an element comes from; ``None`` where there is none."""
        images = self.all(f"{element} img")
        return images[0].get_attribute("src") if images else None

    def cell(self, canvas: str, row: int, column: int, grid: int) -> ActionChains:
        """The pointer over a cell of a painter."""
        field = self.one(f"{canvas} canvas")
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", field)
        side = field.size["width"] / grid
        x, y = (int((place + 0.5) * side - field.size["width"] / 2) for place in (column, row))
        return ActionChains(self.browser).move_to_element_with_offset(field, x, y)

    def keep(self, name: str) -> None:
        """Leaves a picture of the page for whoever reads the run."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        assert self.browser.save_screenshot(str(SCREENSHOTS / f"{name}.png"))


@pytest.fixture
def page(browser: Chrome, site: Site) -> Page:
    page = Page(browser, site)
    page.load()
    return page


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    picture(16, 16, 4).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_an_upload_is_reconstructed_and_a_token_edited(page: Page, photo: Path) -> None:
    assert page.site.studio.tokenizer.fingerprint() in page.one(".masthead").text
    page.upload(photo)
    page.until(lambda: "16 tokens" in page.one("#facts").text)
    for element in ("#tokens", "#rebuilt", "#error"):
        page.until(lambda element=element: page.shown(element) is not None)

    page.press("Pick a code", "#canvas")
    page.cell("#canvas", 3, 3, 4).click().perform()
    told = page.one("#canvas .painter-words").text
    assert told.startswith("row 3, column 3: code ")
    page.until(lambda: page.one("#code input").get_attribute("value") == told.split()[-1])
    page.press("Brush", "#canvas")
    page.cell("#canvas", 0, 0, 4).click().perform()
    before = page.shown("#tokens")
    page.one("#paint").click()
    page.until(lambda: page.shown("#edited") is not None)
    page.until(lambda: page.shown("#tokens") != before)
    page.cell("#canvas", 0, 0, 4).perform()
    assert page.one("#canvas .painter-words").text == f"row 0, column 0: code {told.split()[-1]}"
    page.keep("reconstruct")


def test_an_example_is_reconstructed(page: Page) -> None:
    page.one("button.gallery-item").click()
    page.until(lambda: "tokens" in page.one("#facts").text)


def test_the_keyboard_paints_too(page: Page, photo: Path) -> None:
    page.upload(photo)
    page.until(lambda: "16 tokens" in page.one("#facts").text)
    page.one("#canvas canvas").send_keys(
        "\ue014\ue015 "
    )  # right, down, space: the tools begin with the brush
    assert page.one("#canvas .painter-words").text.startswith("row 1, column 1")
    page.one("#paint").click()
    page.until(lambda: page.shown("#edited") is not None)


def test_images_are_drawn(page: Page) -> None:
    page.open("Sample")
    page.one("#draw").click()
    page.until(lambda: len(page.all("#samples .thumbnail-item img")) == 4)
    page.keep("sample")


def test_a_part_is_drawn_anew(page: Page, photo: Path) -> None:
    page.open("Inpaint")
    page.upload(photo, "#inpaint-source")
    page.until(lambda: bool(page.all("#inpaint-canvas .painter:not(.empty)")))
    page.cell("#inpaint-canvas", 1, 1, 4).click().perform()
    page.one("#redraw").click()
    page.until(lambda: len(page.all("#versions .thumbnail-item img")) == 2)
    page.keep("inpaint")


def test_the_codebook_is_shown(page: Page) -> None:
    page.open("Codebook")
    page.until(lambda: len(page.all("#codes figure")) == 32)
    page.keep("codebook")


def test_an_unreadable_upload_is_a_sentence(page: Page, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    page.upload(tmp_path / "broken.png")
    sentence = "cannot read the upload as an image (it is no image of a known kind): replace or remove it"
    page.until(lambda: any(sentence in toast.text for toast in page.all(".toast-body")))
    assert "Traceback" not in page.one("body").text
    page.keep("unreadable")


def test_a_large_upload_is_a_sentence(page: Page, tmp_path: Path) -> None:
    Image.new("RGB", (300, 300)).save(tmp_path / "large.png")
    page.upload(tmp_path / "large.png")
    sentence = "has more than 40,000 pixels: scale it down first"
    page.until(lambda: any(sentence in toast.text for toast in page.all(".toast-body")))


def test_nothing_came_from_another_server_and_nothing_failed(page: Page, browser: Chrome) -> None:
    look_back(browser, page.site)


def test_a_label_map_is_painted_and_drawn(browser: Chrome, painted_site: Site) -> None:
    generator = painted_site.studio.generator
    assert generator is not None
    assert isinstance(generator.condition, LabelMap)
    label = generator.condition.labels[1]
    browser.get("about:blank")  # what the page before still does when it is left is its own
    for kind in ("performance", "browser"):
        browser.get_log(kind)
    page = Page(browser, painted_site)
    page.load()
    page.open("Sample")
    page.until(lambda: bool(page.all("#condition .painter:not(.empty)")))
    page.press(label, "#condition")
    page.cell("#condition", 1, 2, 4).click().perform()
    assert page.one("#condition .painter-words").text == f"row 1, column 2: {label}"
    page.one("#draw").click()
    page.until(lambda: len(page.all("#samples .thumbnail-item img")) == 4)
    page.keep("label-map")
    look_back(browser, painted_site)


def look_back(browser: Chrome, site: Site) -> None:
    """Holds what the browser did since it was asked last to one server, and to no failure."""
    requests = [
        entry["params"]["request"]["url"] for entry in performance(browser, "Network.requestWillBeSent")
    ]
    foreign = {url for url in requests if urlsplit(url).netloc not in ("", urlsplit(site.address).netloc)}
    assert requests
    assert not {url for url in foreign if url.startswith("http")}
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def performance(browser: Chrome, method: str) -> list[dict[str, Any]]:
    """What the browser's network did since it was asked last."""
    messages = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    return [message for message in messages if message["method"] == method]
