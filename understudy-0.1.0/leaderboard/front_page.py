"""The figure and the table of the README, made from the stored rows.

`python -m understudy.leaderboard.front_page README.md` fills in the table and draws `docs/overview.svg`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from understudy.leaderboard import cells, pages, scores, stored_rows, tables
from understudy.leaderboard.scores import ScoredRow
from understudy.leaderboard.stored_rows import LeftOut, Shortfall
from understudy.suite import tasks
from understudy.suite.scoring.curves import Curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN: Final = ("minatar-v1", "tenth")  # benchmark and budget of picture and table
TITLES: Final = {
    "improvement": "Q2: Breakout, after the watched moves",
    "transfer": "Q3: Space Invaders, never watched",
}
PICTURE: Final = "overview.svg"  # in docs
GLOSSARY: Final = "docs/glossary.md"


def page_tables(scored: Sequence[ScoredRow]) -> dict[str, str]:
    """Return the page's table by its name."""
    frame = cells.frame(scored)
    teacher = "; ".join(tables.teacher_lines(frame))
    return {" ".join(SHOWN): f"{tables.imitators_markdown(frame, GLOSSARY)}\n\n{teacher}."}


def picture(scored: Sequence[ScoredRow]) -> Figure:
    """Return the figure: the curves of the teacher and of every imitator, a panel a question."""
    from understudy.leaderboard.figures import overview

    return overview.overview({TITLES[task.name]: _curves(scored, task.name) for task in _tasks(scored)})


def shown_rows(
    results: Path = stored_rows.RESULTS, left_out: LeftOut = stored_rows.refuse
) -> list[ScoredRow]:
    """Return the rows of the shown benchmark and budget, scored; arguments as of `scores.score_all`."""
    rows = [row for row in stored_rows.rows_in(results, left_out) if (row.benchmark, row.budget) == SHOWN]
    return scores.score_rows(results, rows, left_out)


def _tasks(scored: Sequence[ScoredRow]) -> list[tasks.Task]:
    return tasks.gain_tasks(list(dict.fromkeys(name for one in scored for name in one.described)))


def _curves(scored: Sequence[ScoredRow], task: str) -> Mapping[str, Curves]:
    found = {}
    for one in sorted(scored, key=lambda each: str(each.row["name"])):
        described = one.described.get(task)
        if not one.row["control"] and described is not None and described.curves is not None:
            found[str(one.row["name"])] = described.curves
    return found


def write(page: Path) -> None:
    """Fill in the page's table, and draw its picture into the `docs` folder beside it."""
    from understudy.leaderboard.figures import printing

    left_out = Shortfall(lambda line: print(line, file=sys.stderr))
    scored = shown_rows(left_out=left_out)
    pages.fill(page, page_tables(scored))
    printing.write(picture(scored), page.parent / "docs" / PICTURE)
    left_out.require_none()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
