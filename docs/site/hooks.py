"""Links from a page to a file outside of docs/ lead to a page of the site that shows that file.

So a link is written as it has to be where the page lies, and holds in both places.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

PLACE = "repository"
"""Folder of the site for such files."""
LINK = re.compile(r"\]\((?!https?:|#|/)([^)\s#]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for every file outside of docs/ that a page links to."""
    root = Path(config.docs_dir).parent
    for file in list(files.documentation_pages()):
        for target in outside(file.content_string, file.src_uri):
            if (root / target).is_file() and files.get_file_from_path(page_of(target)) is None:
                page = page_of(target)
                hidden = InclusionLevel.NOT_IN_NAV
                files.append(File.generated(config, page, content=shown(root / target), inclusion=hidden))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns the page's links to such files into links to their pages."""
    own = page.file.src_uri
    if own.startswith(f"{PLACE}/"):  # shown from the repository's root
        return markdown.replace("](docs/", "](../")

    def rewritten(link: re.Match[str]) -> str:
        target = outside_target(link[1], own)
        if target is None or files.get_file_from_path(page_of(target)) is None:
            return link[0]
        return f"]({posixpath.relpath(page_of(target), posixpath.dirname(own) or '.')}"

    return LINK.sub(rewritten, markdown)


def outside(markdown: str, own: str) -> set[str]:
    """The files outside of docs/ that a page links to, from the repository's root."""
    found = (outside_target(target, own) for target in LINK.findall(markdown))
    return {target for target in found if target is not None}


def outside_target(target: str, own: str) -> str | None:
    """Where a link of the page ``own`` leads, from the repository's root; ``None`` inside of docs/."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(own), target))
    return None if path.startswith(("docs/", "..")) else path


def page_of(target: str) -> str:
    """The page that shows a file of the repository."""
    return f"{PLACE}/{target}" if target.endswith(".md") else f"{PLACE}/{target}.md"


def shown(path: Path) -> str:
    """A file as Markdown: itself, or in a block of code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    language = {".py": "python", ".yaml": "yaml", ".toml": "toml"}.get(path.suffix, "text")
    return f"# {path.name}\n\n````{language}\n{text}````\n"
