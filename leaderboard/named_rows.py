"""Named rows: the rows of one benchmark and budget that somebody asked for by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from understudy.leaderboard import kept_scores, scores, stored_rows
from understudy.leaderboard.scores import ScoredRow
from understudy.leaderboard.stored_rows import LeftOut, RowFolder
from understudy.suite import benchmarks, registry
from understudy.suite.errors import InputError


def find(
    results: Path, names: Sequence[str], benchmark: str | None = None, budget: str | None = None
) -> list[RowFolder]:
    """Return the folders of two rows or more of one benchmark and budget.

    Args:
        results: the results folder.
        names: of rows.
        benchmark: its name. If None, the one in which all of the rows are.
        budget: its name. If None, the one at which all of the rows are.

    Raises InputError for fewer than two names, a name that is given twice, a row that is not there, or if the
    rows are together at no benchmark and budget or at several.
    """
    if len(names) < 2:
        raise InputError(f"expected two rows or more to compare; found {', '.join(names) or 'none'}")
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise InputError(f"{twice[0]} is given twice; name every row once")
    if benchmark is not None:
        benchmarks.load(benchmark)
    stored = [
        row
        for row in stored_rows.every_row_in(results)
        if benchmark in (None, row.benchmark) and budget in (None, row.budget)
    ]
    where = " ".join(filter(None, (benchmark, budget)))
    if not stored:
        known = sorted({f"{row.benchmark} {row.budget}" for row in stored_rows.every_row_in(results)})
        raise InputError(f"{results} has no rows of {where}; it has {', '.join(known)}")
    places: dict[tuple[str, str], dict[str, RowFolder]] = {}
    for row in stored:
        places.setdefault((row.benchmark, row.budget), {})[row.name] = row
    for name in names:
        registry.choose(name, {row.name for row in stored}, f"{where} row".strip())
    together = [place for place, rows in places.items() if set(names) <= set(rows)]
    if not together:
        shown = "; ".join(f"{name} is at {_places(places, name)}" for name in names)
        raise InputError(f"rows of different benchmarks or budgets cannot be compared: {shown}")
    if len(together) > 1:
        shown = ", ".join(" ".join(place) for place in together)
        raise InputError(f"these rows are at {shown}; choose one with --benchmark and --budget")
    return [places[together[0]][name] for name in names]


def score(
    results: Path, folders: Sequence[RowFolder], left_out: LeftOut = stored_rows.refuse
) -> list[ScoredRow]:
    """Return some rows with their verdicts; nothing is written.

    Args:
        results: the results folder.
        folders: of rows in it, as `find` returns them.
        left_out: called for rows that these are compared with, such as a reference's, and cannot be read.

    Raises InputError if one of the rows cannot be read.
    """
    scorer = scores.RowScorer(results, left_out, kept_scores.of_this_user())
    return [scorer.score(folder) for folder in folders]


def _places(places: Mapping[tuple[str, str], Mapping[str, RowFolder]], name: str) -> str:
    return ", ".join(" ".join(place) for place, rows in places.items() if name in rows)
