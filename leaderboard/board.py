"""The board: tables written into a folder, for readers and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from understudy.leaderboard import tables
from understudy.suite import files


def write(board: Sequence[tables.Table], folder: Path) -> tuple[Path, Path]:
    """Write `table.md` and `table.csv` into a folder, each whole or not at all.

    Args:
        board: the tables, one a benchmark and budget.
        folder: made if it doesn't exist; files of these names in it are replaced.

    Returns:
        The paths of the Markdown and of the CSV file.

    Raises:
        OSError: the folder can't be written.
    """
    markdown, values = folder / "table.md", folder / "table.csv"
    files.write_atomically(markdown, tables.to_markdown(board).encode())
    files.write_atomically(values, tables.to_csv(board).encode())
    return markdown, values
