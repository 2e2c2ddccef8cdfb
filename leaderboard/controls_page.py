"""The tables of `docs/controls.md`: each control's expected and measured answers.

`python -m understudy.leaderboard.controls_page docs/controls.md` fills them in from the stored checks.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from understudy.leaderboard import controls_check, pages, stored_rows, tables
from understudy.leaderboard.tables import Estimate
from understudy.suite.harness import row_documents, score_documents

HEADINGS: Final = (
    *("control", "task", "expected", "answer", "", "normalised gain", "detection limit", "n", "m"),
)


def page_tables() -> dict[str, str]:
    """Return the page's tables by name, `<benchmark> <budget>`, one per check that comes with the package."""
    checks = sorted(stored_rows.RESULTS.glob(f"*/*/{controls_check.CONTROLS}"))
    stored = {path: row_documents.read(score_documents.Controls, path) for path in checks}
    return {f"{path.parts[-3]} {path.parts[-2]}": _table(found) for path, found in stored.items()}


def line(result: Mapping[str, Any]) -> Sequence[str]:
    """Return the cells under `HEADINGS` of one `ControlResult`, given as plain JSON values."""
    normalised, limit, outcome = result["normalised_gain"], result["detection_limit"], result["outcome"]
    shown = "-"
    if normalised is not None:
        shown = tables.figure("", Estimate(normalised["estimate"], normalised["low"], normalised["high"]))
    return (
        result["player"],
        result["task"],
        result["expected"],
        result["found"],
        "NOT AS EXPECTED" if outcome == controls_check.MISSED else outcome or "",
        shown,
        "-" if limit is None else f"{limit:.2f}",
        *("-" if count is None else str(count) for count in (result["n"], result["m"])),
    )


def _table(stored: Mapping[str, Any]) -> str:
    lines = [line(result) for result in stored["results"]]
    return f"**{stored['text']}**\n\n{tables.markdown(HEADINGS, lines)}"


if __name__ == "__main__":
    pages.fill(Path(sys.argv[1]), page_tables())
