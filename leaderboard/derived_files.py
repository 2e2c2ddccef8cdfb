"""Verification of files that are derived from stored runs: scores, controls checks, tables and releases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from understudy.leaderboard import board, controls_check, releases, scores, stored_rows, value_differences
from understudy.leaderboard.scores import RowScorer, ScoredRow
from understudy.leaderboard.stored_rows import RowFolder
from understudy.suite.errors import InputError
from understudy.suite.harness import row_documents, score_documents

ROUNDING: Final = 1e-9  # of a verdict's numbers: quantiles differ in the last bits between versions of scipy


def check_scores(scorer: RowScorer, row: RowFolder) -> Iterator[str]:
    """Yield the differences between a row's stored verdicts and those of its runs."""
    path = row.path / scores.SCORES
    if not path.exists():
        return
    try:
        kept = row_documents.read(score_documents.Scores, path)
        scored = scorer.score(row)
    except InputError as error:
        yield str(error)
        return
    for place, found, expected in value_differences.differing(
        {"scores": kept}, {"scores": scores.scores_of(scored)}, "", ROUNDING
    ):
        yield f"{path}: {place.removeprefix('scores.')} is {found!r}, the runs give {expected!r}"


def check_controls(results: Path, row: RowFolder, scorer: RowScorer) -> Iterator[str]:
    """Yield the differences between the stored controls check of a benchmark and budget and its runs."""
    path = results / row.benchmark / row.budget / controls_check.CONTROLS
    if not path.exists():
        return
    try:
        kept = row_documents.read(score_documents.Controls, path)
        found = controls_check.check(results, row.benchmark, row.budget, scorer).as_json()
    except InputError as error:
        yield str(error)
        return
    expected = json.loads(json.dumps(found))  # tuples become lists
    for place, stored_value, derived in value_differences.differing(
        {"controls": kept}, {"controls": expected}, "", ROUNDING
    ):
        yield f"{path}: {place.removeprefix('controls.')} is {stored_value!r}, the runs give {derived!r}"


def check_tables(results: Path, scorer: RowScorer) -> Iterator[str]:
    """Yield each stored table that differs from the table of these rows."""
    written = [name for name in board.FILES if (results / name).exists()]
    if not written:
        return
    try:
        expected = board.contents(_scored(results, scorer), results, written)
    except InputError as error:
        yield str(error)
        return
    for name, data in expected.items():
        path = results / name
        try:
            if board.differs(path, data):
                yield f"{path}: not the table of these rows; write it again: understudy rescore {results}"
        except InputError as error:
            yield str(error)


def check_releases(results: Path, scorer: RowScorer) -> Iterator[str]:
    """Yield what is wrong with the releases of these rows."""
    folder = releases.folder_of(results)
    if releases.numbers(folder):
        yield from releases.failures(folder, _scored(results, scorer))


def _scored(results: Path, scorer: RowScorer) -> list[ScoredRow]:
    """Return every row with its verdicts, as `scores.score_all` does without those that cannot be read."""
    try:
        return [scorer.score(row) for row in stored_rows.rows_in(results)]
    except InputError:
        return scores.score_all(results, lambda row, error: None)
