"""Publish pages as GitHub shows them: with links to files outside docs, and lists right under a paragraph.

Pages from elsewhere in the repository join the site under a name of its own. A link to another file publishes
that file beside them; a link to a folder becomes the folder's name.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
PAGES = {  # file in the repository: page of the site
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "examples/README.md": "examples.md",
    "leaderboard/results/table.md": "results.md",
}
PUBLISHED = "repository"  # folder of the site for files that pages link to
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[([^\[\]]*)\]\(([^()\s#:]+)(#[^()\s]*)?\)")  # text, path, anchor
ITEM = re.compile(r" {0,3}([-*+]|1[.)]) ")  # the lines that GitHub lets begin a list under a paragraph


def on_files(files: Files, config: Any) -> Files:
    """Add the repository's pages to those of docs."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Return a page's text for the site, and publish the files that it links to."""
    uri = page.file.src_uri
    source = next((file for file, name in PAGES.items() if name == uri), f"docs/{uri}")
    text, linked = for_site(markdown, source)
    for file in linked:
        if files.get_file_from_path(f"{PUBLISHED}/{file}") is None:
            files.append(File.generated(config, f"{PUBLISHED}/{file}", abs_src_path=str(ROOT / file)))
    return text


def for_site(markdown: str, source: str) -> tuple[str, set[str]]:
    """Return a file's text with links and lists rewritten outside code blocks, and the files to publish.

    `source` is the file's path in the repository, as are the paths returned.
    """
    folder = posixpath.dirname(place_of(source) or "")
    linked = set()

    def link(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        place = place_of(file)
        if place is None:  # MkDocs names a dead link
            return f"`{text.strip('`')}`" if (ROOT / file).is_dir() else match[0]
        if place.startswith(f"{PUBLISHED}/"):
            linked.add(file)
        return f"[{text}]({posixpath.relpath(place, folder or '.')}{anchor})"

    parts = FENCE.split(markdown)  # code blocks are at the odd places
    text = "".join(part if i % 2 else LINK.sub(link, lists_apart(part)) for i, part in enumerate(parts))
    return text, linked


def place_of(file: str) -> str | None:
    """Return where on the site a file of the repository is; None for what has no place there."""
    if file in PAGES:
        return PAGES[file]
    if file.startswith("docs/"):
        return file.removeprefix("docs/")
    is_outside = file.startswith("..") or not (ROOT / file).is_file()
    return None if is_outside or file.endswith(".md") else f"{PUBLISHED}/{file}"


def lists_apart(text: str) -> str:
    """Put the blank line before a list that Python-Markdown needs and GitHub does not."""
    blocks = []
    for block in re.split(r"(\n\s*\n)", text):
        lines = block.split("\n")
        first = next((i for i, line in enumerate(lines) if ITEM.match(line)), 0)
        blocks.append("\n".join([*lines[:first], *([""] if any(lines[:first]) else []), *lines[first:]]))
    return "".join(blocks)
