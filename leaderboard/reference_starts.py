"""The reference players' starts beside a row: its answers rest on them, so they are verified with it.

A results folder holds start runs of the frozen teacher and of the random player. Whoever hands in a row may
hand in these too, so their logs are replayed, and compared with those that come with this package.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from understudy.leaderboard import stored_rows
from understudy.leaderboard.stored_rows import RowFolder
from understudy.suite import benchmarks, tasks
from understudy.suite.errors import InputError
from understudy.suite.harness import records
from understudy.suite.harness.row_files import RowPath


def beside(results: Path, rows: Iterable[RowFolder]) -> dict[RowFolder, dict[RowFolder, list[RowPath]]]:
    """Return the first row of each benchmark and budget with the reference players' rows and start runs.

    Reference players that are among the rows are left out: they are verified as rows, and rest on no others.
    """
    known = list(rows)
    scored = [row for row in known if row.name not in _roles(row)]
    first = {(row.benchmark, row.budget): row for row in reversed(scored)}
    found = {
        row: {each: _starts(each) for each in _players(results, row) if each not in known}
        for row in first.values()
    }
    return {row: {each: runs for each, runs in of_row.items() if runs} for row, of_row in found.items()}


def reported(results: Path, row: RowFolder) -> list[str]:
    """Return the reference players whose start runs are not those of this package, as lines for a reader."""
    if results.resolve() == stored_rows.RESULTS.resolve() or row.name in _roles(row):
        return []
    found = []
    for player in _players(results, row):
        here = _hashes(player)
        own = _hashes(
            RowFolder(stored_rows.RESULTS / player.place, player.benchmark, player.budget, player.name)
        )
        if any(own.get(name) != sha256 for name, sha256 in here.items()):
            found.append(
                f"starts of {player.name} {'other than' if own else 'that are not in'} this package's"
            )
    return found


def _players(results: Path, row: RowFolder) -> list[RowFolder]:
    return [
        RowFolder(results / row.benchmark / row.budget / name, row.benchmark, row.budget, name)
        for name in _roles(row)
    ]


def _roles(row: RowFolder) -> dict[str, set[str]]:
    """Return the reference players of a row's budget, and the roles in which its tasks need them."""
    found: dict[str, set[str]] = {}
    try:
        budget = benchmarks.load(row.benchmark).budget(row.budget)
    except InputError:  # a failure of the row already
        return found
    for name in budget.tasks:
        for player, roles in tasks.load(name).reference_players.items():
            found.setdefault(player, set()).update(roles)
    return found


def _starts(row: RowFolder) -> list[RowPath]:
    try:
        return [run for role in sorted(_roles(row)[row.name]) for run in stored_rows.run_folders(row, role)]
    except InputError:  # a damaged archive, without which the row cannot be scored: a failure already
        return []


def _hashes(row: RowFolder) -> Mapping[str, str]:
    """Return the hashes of a player's start logs as their records have them; none where one is unreadable."""
    try:
        return {str(run.inner): str(records.read(run)["history_sha256"]) for run in _starts(row)}
    except (InputError, LookupError, TypeError):  # a failure of the row already
        return {}
