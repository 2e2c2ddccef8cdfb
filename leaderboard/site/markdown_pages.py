"""Pages of the documentation as HTML, with the headings' anchors that other pages link to."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from markdown_it.token import Token

NOT_IN_ANCHORS: Final = re.compile(r"[^\w\- ]")


def to_html(text: str, pages: Collection[str]) -> str:
    """Return a Markdown page as HTML.

    Args:
        text: the page; HTML in it is shown as text.
        pages: names of the pages that are published beside it, such as `glossary.md`. A link to another file
            becomes its text.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", anchor(tokens[number + 1].content))
        if token.type == "table_open":
            token.attrSet("tabindex", "0")  # a wide one scrolls, also from the keyboard
        if token.children:
            token.children = _linked(token.children, pages)
    html: str = parser.renderer.render(tokens, parser.options, {})
    return html


def anchor(heading: str) -> str:
    """Return a heading's anchor as GitHub makes it: lower case, hyphens for spaces, no punctuation."""
    return NOT_IN_ANCHORS.sub("", heading.lower()).strip().replace(" ", "-")


def _linked(tokens: list[Token], pages: Collection[str]) -> list[Token]:
    """Return inline tokens whose links lead to pages that are there."""
    kept, dropped = [], 0
    for token in tokens:
        if token.type == "link_open":
            page, _, place = str(token.attrGet("href")).partition("#")
            if page in pages:
                token.attrSet("href", f"{page.removesuffix('.md')}.html{'#' + place if place else ''}")
            elif page and "://" not in page:
                dropped += 1
                continue
        elif token.type == "link_close" and dropped:
            dropped -= 1
            continue
        kept.append(token)
    return kept
