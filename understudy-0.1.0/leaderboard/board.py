"""The board: the tables of scored rows, written into a folder as Markdown and CSV."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from understudy.leaderboard import cells, scores, stored_rows, tables
from understudy.leaderboard.scores import ScoredRow
from understudy.leaderboard.stored_rows import LeftOut
from understudy.suite.errors import InputError
from understudy.suite.harness import row_storage
from understudy.suite.io import files

FILES = ("table.md", "table.csv")
GLOSSARY = Path(__file__).resolve().parent.parent / "docs" / "glossary.md"  # of a checkout; none in a wheel


def rescore(results: Path, left_out: LeftOut = stored_rows.refuse) -> list[ScoredRow]:
    """Score every row below a results folder again, write scores and tables, and return the scored rows.

    The runs of every complete row that nobody plays are packed then, also those of an earlier version.

    Args:
        results: the results folder.
        left_out: called for each row that cannot be read; the others are scored and written.

    Raises InputError if there is no row, and what `left_out` raises.
    """
    scored = scores.rescore(results, left_out)
    write(scored, results)
    for one in scored:
        try:
            row_storage.pack(one.folder.path)
        except InputError as error:
            left_out(one.folder, error)
    return scored


def texts(scored: Sequence[ScoredRow], folder: Path) -> dict[str, str]:
    """Return the content of each of FILES in a folder."""
    frame = cells.frame(scored)
    return dict(zip(FILES, (tables.to_markdown(frame, _glossary(folder)), tables.to_csv(frame)), strict=True))


def write(scored: Sequence[ScoredRow], folder: Path) -> tuple[Path, ...]:
    """Write `table.md` and `table.csv` into a folder, each atomically.

    Args:
        scored: the rows of all benchmarks and budgets.
        folder: created if it does not exist; files of these names in it are replaced.

    Returns:
        The paths of the Markdown and of the CSV file.

    Raises:
        OSError: the folder cannot be written.
    """
    for name, text in texts(scored, folder).items():
        files.write_atomically(folder / name, text.encode())
    return tuple(folder / name for name in FILES)


def _glossary(folder: Path) -> str | None:
    """Return the glossary's path relative to a folder of the same checkout; None elsewhere."""
    checkout, resolved = GLOSSARY.parent.parent, folder.resolve()
    if not GLOSSARY.is_file() or not resolved.is_relative_to(checkout):
        return None
    return Path(os.path.relpath(GLOSSARY, resolved)).as_posix()
