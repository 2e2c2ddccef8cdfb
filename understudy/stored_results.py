"""Stored results as a pandas frame: from rows, which are scored, or from a table that the board wrote."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.leaderboard import cells, kept_scores, scores, stored_rows, table_columns, table_files
from understudy.suite import escaping
from understudy.suite.errors import InputError
from understudy.suite.hub import client, locations
from understudy.suite.io import paths, walks

if TYPE_CHECKING:
    import pandas as pd

TABLES = (table_files.PARQUET, table_files.JSON, table_files.CSV)  # the first that is there is read


def load_results(source: str | Path) -> pd.DataFrame:
    """Return the answers of stored rows, one line a cell: each row's answer to each question of its budget.

    Rows are scored by the present rules; tables beside them are not read. Where there are no rows, a table
    that `understudy board` wrote is read as it is, and standard error says so. docs/results-table.md lists
    the columns. `frame.attrs` has `source`, `version` (of the columns) and `left_out` (reason by folder).

    Args:
        source: a results folder, or the folder of a benchmark, a budget or a row in it; a folder of the
            board, or its table.parquet, table.json or table.csv; or such a place in a dataset,
            `hf://datasets/user/repo@<commit hash>[/path]`, which is fetched once and checked.

    A row that cannot be read is named on standard error and left out.

    Raises:
        InputError: no such place, nothing of this kind in it, or a table that cannot be read.
        MachineError: the Hub is needed and can't be reached.
        CheckFailed: a file of a dataset has other bytes than its SHA256SUMS says.
    """
    place = _place(source)
    table = place if walks.is_file(place) else _table_in(place)
    if table is not None:
        frame = table_files.read(table)
        _say(f"{table}: read as it was written; there are no rows to score beside it")
        frame.attrs = {"source": str(table), "version": table_columns.VERSION, "left_out": {}}
        return frame
    results, every_row = stored_rows.every_row_at(place)
    left_out = stored_rows.Shortfall(lambda line: _say(f"understudy: {line}"))
    rows = stored_rows.readable(every_row, left_out)
    frame = cells.frame(scores.score_rows(results, rows, left_out, kept_scores.of_this_user()))
    reasons = {str(row.path): why for row, why in left_out.rows.items()}
    frame.attrs = {"source": str(place), "version": table_columns.VERSION, "left_out": reasons}
    return frame


def _place(source: str | Path) -> Path:
    if isinstance(source, str) and locations.names_hub(source):
        return client.folder(source, _say)
    place = paths.place(str(source))
    if not place.exists():
        raise InputError(f"{place}: expected a folder with results, or a table; found nothing there")
    return place


def _table_in(folder: Path) -> Path | None:
    """Return the table in a folder without rows; None if there are rows, or no table either."""
    results, _ = stored_rows.results_of(folder)
    if stored_rows.has_rows(results):
        return None
    return next((folder / name for name in TABLES if walks.is_file(folder / name)), None)


def _say(line: str) -> None:
    print(escaping.terminal(line), file=sys.stderr)
