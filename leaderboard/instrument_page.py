"""The tables of `docs/instrument.md`: what the players with known answers were found to answer.

`python -m understudy.leaderboard.instrument_page docs/instrument.md` fills them in from the stored checks.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from understudy.leaderboard import instrument, pages, stored, tables
from understudy.leaderboard.tables import Estimate
from understudy.suite import files

HEADINGS: Final = ("player", "question", "expected", "found", "", "f", "detects", "n", "m")


def page_tables() -> dict[str, str]:
    """Return the page's tables by name, `<benchmark> <budget>`, one a check that comes with the package."""
    checks = sorted(stored.RESULTS.glob(f"*/*/{instrument.INSTRUMENT}"))
    return {f"{path.parts[-3]} {path.parts[-2]}": _table(files.read_json(path)) for path in checks}


def _table(kept: Mapping[str, Any]) -> str:
    lines = [line(finding) for finding in kept["findings"]]
    return f"**{kept['text']}**\n\n{tables.markdown(HEADINGS, lines)}"


def line(finding: Mapping[str, Any]) -> Sequence[str]:
    """Return the cells under `HEADINGS` of one question put to one player, a finding as plain JSON values."""
    f, limit = finding["f"], finding["detection_limit"]
    shown = "-" if f is None else tables.figure("", Estimate(f["estimate"], f["low"], f["high"]))
    return (
        finding["player"],
        finding["task"],
        finding["expected"],
        finding["found"],
        instrument.MARKS[finding["outcome"]],
        shown,
        "-" if limit is None else f"{limit:.2f} G",
        *("-" if count is None else str(count) for count in (finding["n"], finding["m"])),
    )


if __name__ == "__main__":
    pages.fill(Path(sys.argv[1]), page_tables())
