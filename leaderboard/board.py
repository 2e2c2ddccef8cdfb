"""The board: the tables of scored rows, written into a folder as Markdown, CSV, JSON and Parquet."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from understudy.leaderboard import cells, scores, stored_rows, table_files, tables
from understudy.leaderboard.scores import ScoredRow
from understudy.leaderboard.stored_rows import LeftOut
from understudy.suite.errors import InputError
from understudy.suite.harness import row_storage
from understudy.suite.io import bounded, files

MARKDOWN: Final = "table.md"
STORED: Final = (MARKDOWN, table_files.CSV)  # in a results folder: few files, whose bytes are always the same
FILES: Final = (*STORED, table_files.JSON, table_files.PARQUET)  # in a folder of the board
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
    write(scored, results, [name for name in FILES if name in STORED or (results / name).exists()])
    for one in scored:
        try:
            row_storage.pack(one.folder.path)
        except InputError as error:
            left_out(one.folder, error)
    return scored


def contents(scored: Sequence[ScoredRow], folder: Path, names: Sequence[str] = FILES) -> dict[str, bytes]:
    """Return the content of some of FILES in a folder."""
    frame = cells.frame(scored)
    made: dict[str, Callable[[], str | bytes]] = {
        MARKDOWN: lambda: tables.to_markdown(frame, _glossary(folder)),
        table_files.CSV: lambda: table_files.to_csv(frame),
        table_files.JSON: lambda: table_files.to_json(frame),
        table_files.PARQUET: lambda: table_files.to_parquet(frame),
    }
    found = {name: made[name]() for name in names}
    return {name: each.encode() if isinstance(each, str) else each for name, each in found.items()}


def write(scored: Sequence[ScoredRow], folder: Path, names: Sequence[str] = FILES) -> tuple[Path, ...]:
    """Write the tables of rows into a folder, each file atomically.

    Args:
        scored: the rows of all benchmarks and budgets.
        folder: created if it does not exist; files of these names in it are replaced.
        names: of FILES.

    Returns:
        The paths of the files, in the order of the names.

    Raises:
        OSError: the folder cannot be written.
    """
    for name, data in contents(scored, folder, names).items():
        files.write_atomically(folder / name, data)
    return tuple(folder / name for name in names)


def differs(path: Path, expected: bytes) -> bool:
    """Return whether a stored file of FILES is another table than the expected content of that file.

    A Parquet file is compared by its values, because its bytes depend on the version of pyarrow.

    Raises InputError if it cannot be read.
    """
    if path.name != table_files.PARQUET:
        return bounded.read(path) != expected
    return table_files.to_json(table_files.read(path)) != table_files.to_json(
        table_files.from_bytes(expected, path)
    )


def _glossary(folder: Path) -> str | None:
    """Return the glossary's path relative to a folder of the same checkout; None elsewhere."""
    checkout, resolved = GLOSSARY.parent.parent, folder.resolve()
    if not GLOSSARY.is_file() or not resolved.is_relative_to(checkout):
        return None
    return Path(os.path.relpath(GLOSSARY, resolved)).as_posix()
