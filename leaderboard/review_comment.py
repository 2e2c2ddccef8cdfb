"""The review of a pull request as a Markdown comment; what a stranger wrote is text in it, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from understudy.leaderboard.review import Review
from understudy.suite import escaping

MAX_CHARACTERS: Final = 60_000  # GitHub refuses a comment of more than 65,536
MAX_LINES: Final = 20  # of one list; the others are counted
MAX_LINE_CHARACTERS: Final = 600


def markdown(review: Review) -> str:
    """Return a review as one comment, at most MAX_CHARACTERS long."""
    text = "\n\n".join(_blocks(review)) + "\n"
    if len(text) <= MAX_CHARACTERS:
        return text
    review.notes.append("the table is left out here, it is too long for a comment")
    review.table = None
    return markdown(review)


def text(line: str) -> str:
    """Return a line as text of a paragraph or a list's item: no markup, and nobody is notified by it."""
    return escaping.markdown(_short(line)).replace("@", "@<!-- -->")  # GitHub finds no mention in two parts


def code(line: str) -> str:
    """Return a line as an inline code span, in which nothing is markup, a link or a mention."""
    shown = escaping.terminal(" ".join(_short(line).split()))
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}" if fence != "`" else f"`{shown}`"


def _blocks(review: Review) -> Iterator[str]:
    yield f"## {text(review.subject)}"
    if review.refusals:
        count = len(review.refusals)
        yield f"**Refused**, for {count} {'reason' if count == 1 else 'reasons'}:"
        yield _list([code(line) for line in review.refusals])
    else:
        yield "**Nothing is refused.** A maintainer decides."
    if review.table is not None:
        yield "### The row as it would stand"
        yield review.table
    if review.notes:
        yield _list([text(line) for line in review.notes])
    for heading, found in (("Checked", review.checked), ("Not checked", review.not_checked)):
        if found:
            yield f"### {heading}"
            yield _list([f"**{text(what)}**: {text(said)}" for what, said in found])
    if review.next_steps:
        yield "### Next"
        yield _list([text(line) for line in review.next_steps])


def _list(lines: Sequence[str]) -> str:
    shown = [f"- {line}" for line in lines[:MAX_LINES]]
    if len(lines) > MAX_LINES:
        shown.append(f"- and {len(lines) - MAX_LINES} more")
    return "\n".join(shown)


def _short(line: str) -> str:
    return line if len(line) <= MAX_LINE_CHARACTERS else f"{line[:MAX_LINE_CHARACTERS]}..."
