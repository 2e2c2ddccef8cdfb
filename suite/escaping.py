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
LATEX: Final = {  # characters that LaTeX would not print as they are
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "`": "\\textasciigrave{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    '"': "''",
}
FORMULA: Final = "=+-@＝＋－＠"  # first characters of a spreadsheet's formulas, also in their wide forms


def shortened(text: str, most: int = 120) -> str:
    """Return a stranger's text for a message: its beginning, and how long it is if it has more characters."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


def terminal(text: str) -> str:
    """Return text for a line of a terminal, without rich's markup: what is not printable is escaped.

    An escape sequence would move the cursor, a right-to-left override would reorder what stands beside it.
    """
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def one_line(text: str) -> str:
    """Return text in one line, what is not printable escaped; a template's autoescape does the rest."""
    return terminal(" ".join(text.split()))


def markdown(text: str) -> str:
    """Return text for GitHub's Markdown, inside a paragraph, a list's item or a table's cell, in one line."""
    kept = "".join(f"\\{char}" if char in MARKDOWN_MARKS else char for char in one_line(text))
    return LINK.sub(r"\\", BLOCK.sub(r"\1\\\2", kept))


def html(text: str) -> str:
    """Return text for the content or a quoted attribute of an HTML element, in one line."""
    return _html.escape(one_line(text))


def mathtext(text: str) -> str:
    r"""Return text for a title, label or name in a figure: matplotlib reads `$...$` as a formula.

    A label that begins with `_` would be left out of the legend, so a space goes before it.
    """
    kept = one_line(text).replace("$", r"\$")
    return f" {kept}" if kept.startswith("_") else kept


def latex(text: str) -> str:
    """Return text for a paragraph or a table's cell in LaTeX, in one line; two hyphens stay two hyphens."""
    kept = re.sub("-(?=-)", "-{}", "".join(LATEX.get(char, char) for char in one_line(text)))
    return f"{{}}{kept}" if kept[:1] in ("[", "*") else kept  # they would belong to the line's end before


def csv_text(text: str) -> str:
    """Return the text of a CSV file's cell: an apostrophe keeps spreadsheets from reading a formula.

    Only for text; a negative number begins with `-` and stays a number.
    """
    begins_formula = _would_be_formula(text) or text[:1] in ("\t", "\r", "\n")
    return f"'{terminal(text)}" if begins_formula else terminal(text)


def from_csv_text(cell: str) -> str:
    """Return the text that `csv_text` was given; a control character in it stays escaped."""
    return cell[1:] if cell.startswith("'") and _would_be_formula(cell[1:]) else cell


def _would_be_formula(text: str) -> bool:
    """Return whether a text begins like a formula; apostrophes before it count, so that one can be undone."""
    return text.lstrip("'").lstrip()[:1] in tuple(FORMULA)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
