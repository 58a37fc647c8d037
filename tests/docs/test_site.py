"""The site: a warning of its build is a failure, links and anchors lead somewhere, nothing is fetched."""

import html
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
FETCHED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}
"""What a browser fetches by itself."""


class Anchors(HTMLParser):
    """The places of a page, and where it leads."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[tuple[str, str, str]] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.ids.add(value)
            if name in ("href", "src") and value:
                self.links.append((tag, name, value))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Anchors]:
    """Every page of the site by its file."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.resolve(): Anchors(path) for path in folder.rglob("*.html") if path.name != "404.html"}


def test_every_link_and_anchor_leads_somewhere(site: dict[Path, Anchors]) -> None:
    broken = []
    for page, anchors in site.items():
        for _, _, link in anchors.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            known = site.get(target)
            if not target.is_file() or (
                parts.fragment and known and unquote(parts.fragment) not in known.ids
            ):
                broken.append(f"{page.name}: {link}")
    assert not broken


def test_nothing_is_fetched_from_elsewhere(site: dict[Path, Anchors]) -> None:
    for page, anchors in site.items():
        for tag, name, link in anchors.links:
            if (tag, name) in FETCHED and not link.startswith("data:"):
                assert not urlsplit(link).netloc, f"{page.name}: {link}"


def test_the_site_has_the_public_names(site: dict[Path, Anchors]) -> None:
    import regvq.quantizers

    ids = {one for anchors in site.values() for one in anchors.ids}
    assert {f"regvq.quantizers.{name}" for name in regvq.quantizers.__all__} <= ids
    assert {
        "regvq.load_tokenizer",
        "regvq.tokenizers.ImageTokenizer.encode",
        "regvq.types.SamplingOptions",
    } <= ids


def test_formulas_are_pictures_in_the_page(site: dict[Path, Anchors]) -> None:
    (page,) = (path for path in site if path.name == "paper-to-code.html")
    shown = page.read_text(encoding="utf-8")
    source = (ROOT / "docs" / "paper-to-code.md").read_text(encoding="utf-8")
    formulas = re.findall(r"^```math\n(.*?)^```$", source, re.M | re.S) + re.findall(r"\$`(.*?)`\$", source)
    assert len(formulas) > 30
    pictures = re.findall(
        r'<svg class="formula" role="img" aria-label="([^"]*)"[^>]*><path d="M[^"]+Z"/>', shown
    )
    assert sorted(map(html.unescape, pictures)) == sorted(" ".join(one.split()) for one in formulas)


def test_files_of_the_repository_are_shown(site: dict[Path, Anchors]) -> None:
    shown = {page.relative_to(page.parents[1]).as_posix() for page in site}
    assert {"repository/CONTRIBUTING.html", "repository/CHANGELOG.html"} <= shown
    assert "examples/video_in_a_plain_loop.py.html" in shown
