"""The board: tables written into a folder, for readers and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from understudy.leaderboard import tables
from understudy.suite import files

FILES = ("table.md", "table.csv")


def texts(board: Sequence[tables.Table]) -> dict[str, str]:
    """Return the content of each of FILES."""
    return dict(zip(FILES, (tables.to_markdown(board), tables.to_csv(board)), strict=True))


def write(board: Sequence[tables.Table], folder: Path) -> tuple[Path, ...]:
    """Write `table.md` and `table.csv` into a folder, each whole or not at all.

    Args:
        board: the tables, one a benchmark and budget.
        folder: made if it doesn't exist; files of these names in it are replaced.

    Returns:
        The paths of the Markdown and of the CSV file.

    Raises:
        OSError: the folder can't be written.
    """
    for name, text in texts(board).items():
        files.write_atomically(folder / name, text.encode())
    return tuple(folder / name for name in FILES)
