"""Escaping: text that a stranger may have chosen, for each medium in which it is shown.

Names, notes, paths and headers of files come from submissions, rows, histories and folders. What is shown is
their text and nothing else: no markup, no formula, no control character. Numbers need none of this.
"""

from __future__ import annotations

import html as _html
import re
from typing import Final

MARKDOWN_MARKS: Final = "\\`*_<>[]|&~$"  # that begin or end something inside a paragraph or a table's cell
BLOCK: Final = re.compile(
    r"^(\d*)([-+#=.)])"
)  # that begin a list, a heading or a rule at the start of a line
LINK: Final = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)  # GitHub links bare addresses
FORMULA: Final = "=+-@＝＋－＠"  # first characters of a spreadsheet's formulas, also in their wide forms


def shortened(text: str, most: int = 120) -> str:
    """Return a stranger's text for a message: its beginning, and how long it is if it has more characters."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


def terminal(text: str) -> str:
    """Return text for a line of a terminal, without rich's markup: what is not printable is escaped.

    An escape sequence would move the cursor, a right-to-left override would reorder what stands beside it.
    """
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def markdown(text: str) -> str:
    """Return text for GitHub's Markdown, inside a paragraph, a list's item or a table's cell, in one line."""
    kept = "".join(f"\\{char}" if char in MARKDOWN_MARKS else char for char in _one_line(text))
    return LINK.sub(r"\\", BLOCK.sub(r"\1\\\2", kept))


def html(text: str) -> str:
    """Return text for the content or a quoted attribute of an HTML element, in one line."""
    return _html.escape(_one_line(text))


def mathtext(text: str) -> str:
    r"""Return text for a title, label or name in a figure: matplotlib reads `$...$` as a formula.

    A label that begins with `_` would be left out of the legend, so a space goes before it.
    """
    kept = _one_line(text).replace("$", r"\$")
    return f" {kept}" if kept.startswith("_") else kept


def csv_text(text: str) -> str:
    """Return the text of a CSV file's cell: an apostrophe keeps spreadsheets from reading a formula.

    Only for text; a negative number begins with `-` and stays a number.
    """
    begins_formula = text.lstrip()[:1] in tuple(FORMULA) or text[:1] in ("\t", "\r", "\n")
    return f"'{terminal(text)}" if begins_formula else terminal(text)


def _one_line(text: str) -> str:
    return terminal(" ".join(text.split()))


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
