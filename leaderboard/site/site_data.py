"""The site's data: scored rows as one JSON document, `data.json`, from which every page is drawn.

`docs/site.md` describes it for other programs. The same rows give the same document.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import understudy
from understudy.leaderboard import (
    cells,
    comparison,
    comparison_tables,
    control_texts,
    controls_check,
    eligibility,
    ranking,
    row_facts,
)
from understudy.leaderboard.scores import RowScorer, ScoredRow
from understudy.suite import benchmarks, tasks
from understudy.suite.scoring.curves import Curves, SkillCurve, WatchedCurve
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.verdicts import Verdict

FORMAT: Final = 1
QUESTION: Final = (
    "An imitation learner watches a reinforcement learner's whole learning history; then its weights are "
    "frozen and it plays on. Can it keep learning?"
)
MOST_COMPARED: Final = 40  # rows, in the table's order, on the page that compares every two; 780 pairs
BUDGETS: Final = ("full", "tenth", "quick")  # the largest first


def document(
    scored: Sequence[ScoredRow], scorer: RowScorer, left_out: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the document as plain JSON values, null where something is unknown.

    Args:
        scored: the rows, of any benchmarks and budgets.
        scorer: that scored them; it has the teachers' curves.
        left_out: why rows that are not among them were left out, by their place.
    """
    by_budget: dict[tuple[str, str], list[ScoredRow]] = {}
    for one in scored:
        by_budget.setdefault((one.folder.benchmark, one.folder.budget), []).append(one)
    found = [_table(rows, scorer) for rows in by_budget.values()]
    return {
        "format": FORMAT,
        "understudy": understudy.__version__,
        "question": QUESTION,
        "tables": sorted(found, key=_position),
        "left_out": [{"row": row, "why": why} for row, why in sorted((left_out or {}).items())],
    }


def to_bytes(data: Mapping[str, Any]) -> bytes:
    """Return the document's file content: UTF-8 JSON without numbers that are not finite."""
    return (json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n").encode()


def _position(table: Mapping[str, Any]) -> tuple[bool, int, int, str]:
    """Order tables: those with ranked imitators first, then by budget, then those with more imitators."""
    ranked = any(row["ranked"] for row in table["rows"])
    imitators = sum(not row["control"] for row in table["rows"])
    return not ranked, BUDGETS.index(table["budget"]), -imitators, table["benchmark"]


def _table(rows: Sequence[ScoredRow], scorer: RowScorer) -> dict[str, Any]:
    first = rows[0].folder
    benchmark = benchmarks.load(first.benchmark)
    asked = [tasks.load(name) for name in benchmark.budget(first.budget).tasks]
    ranks = {task.name: ranking.ranks(rows, task.name) for task in asked}
    watched = scorer.watched_curve(first.benchmark, first.budget)
    imitators = [one for one in sorted(rows, key=cells.position) if not one.row["control"]]
    compared = [one for one in imitators if one.comparable][:MOST_COMPARED]
    return {
        "id": f"{first.benchmark}-{first.budget}",
        "benchmark": first.benchmark,
        "budget": first.budget,
        "draft": not benchmark.frozen,
        "watched_games": list(benchmark.watched_games),
        "new_games": list(benchmark.new_games),
        "watched_moves": benchmark.watched_moves,
        "moves": benchmark.budget(first.budget).moves,
        "controls": controls_check.status(first.path.parents[2], first.benchmark, first.budget),
        "tasks": [
            {
                "name": task.name,
                "label": task.label,
                "question": task.question,
                "heading": task.column.heading,
                "asks_about_gain": task.gain is not None,
            }
            for task in asked
        ],
        "teacher": {task.name: _teacher(rows, task.name) for task in asked},
        "comparison": _comparison(compared) if len(compared) > 1 else None,
        "watched_curve": None if watched is None else _watched_curve(watched),
        "rows": [
            _row(one, {name: found.get(one.folder.name) for name, found in ranks.items()})
            for one in sorted(rows, key=cells.position)
        ],
    }


def _comparison(rows: Sequence[ScoredRow]) -> dict[str, Any]:
    """Return every two rows compared, with the texts of the table that `understudy compare` shows."""
    found = comparison.compare(rows)
    values = found.as_json()
    for question, shown in zip(found.questions, values["questions"], strict=True):
        shown["lines"] = list(comparison_tables.lines(question))
    return values


def _teacher(rows: Sequence[ScoredRow], task: str) -> dict[str, Any] | None:
    """Return the teacher's number that most rows of a table are compared with, and its curve; or None."""
    column = tasks.load(task).column
    best_known: tuple[int, ScoredRow] | None = None
    for one in rows:
        verdict = one.verdict(task)
        if verdict is None or verdict.numbers.get(column.reference_points) is None:
            continue
        if best_known is None or (verdict.m or 0) > best_known[0]:
            best_known = verdict.m or 0, one
    if best_known is None:
        return None
    m, one = best_known
    verdict = one.verdict(task)
    assert verdict is not None
    described = one.described.get(task)
    curves = None if described is None else described.curves
    return {
        "points": _interval(verdict.numbers[column.reference_points]),
        "runs": m or None,
        "curve": None if curves is None or curves.reference is None else _curve(curves.reference),
        "edges": None if curves is None else list(curves.edges),
        "yes_threshold": None if curves is None else curves.yes_threshold,
        "yes_share": None if curves is None else curves.share,
        "end_moves": None if curves is None else curves.end_moves,
    }


def _row(one: ScoredRow, ranks: Mapping[str, ranking.Rank | None]) -> dict[str, Any]:
    row = one.row
    return {
        "name": row["name"],
        "place": one.folder.place,
        "control": row["control"],
        "what": control_texts.what(row["name"]) if row["control"] else None,
        "ranked": eligibility.ranked(one),
        "not_ranked_because": list(eligibility.unranked_because(one)),
        "notes": list(cells.notes(one)),
        "architecture": row["architecture"],
        "track": one.track,
        "decoding": row["decoding"],
        "training_targets": row["training_targets"],
        "watched": row["watched"],
        "priming_moves": row["priming_moves"],
        "search_trials": row["search_trials"],
        "round": row["round"],
        "identity": row["identity"],
        "checkpoints": row["checkpoints"],
        "state_bytes": one.state_bytes,
        "checks": _checks(one),
        **row_facts.of_submission(row),
        **one.played,
        "cells": {verdict.task: _cell(one, verdict, ranks.get(verdict.task)) for verdict in one.verdicts},
        "curves": {
            task: _curves(found.curves) for task, found in one.described.items() if found.curves is not None
        },
        "horizons": {task: _horizon(found.horizon) for task, found in one.described.items()},
        "interventions": {
            task: {name: _interval(gain) for name, gain in found.items()}
            for task, found in one.gains_under.items()
        },
    }


def _checks(one: ScoredRow) -> dict[str, bool | None]:
    """Return what the stored results of checks say of a row; None where there are none."""
    return {"rechecked": one.rechecked, "leak_suspected": None if one.leak is None else one.leak.suspected}


def _cell(one: ScoredRow, verdict: Verdict, rank: ranking.Rank | None) -> dict[str, Any]:
    column = tasks.load(verdict.task).column
    return {
        "answer": verdict.answer,
        "bracketed": verdict.bracketed and verdict.decided,
        "reason": verdict.reason,
        "marks": list(verdict.marks),
        "claim": verdict.claim,
        "value": _interval(verdict.numbers.get(column.number)),
        "points": _interval(verdict.numbers.get(column.points)),
        "n": verdict.n,
        "m": verdict.m,
        "needed_runs": verdict.needed_runs,
        "rank": None if rank is None else dataclasses.asdict(rank),
        "not_ranked_because": ranking.not_ranked_because(one, verdict.task),
        "expected": controls_check.expected_answer(one.folder, verdict.task),
        "numbers": {name: _interval(number) for name, number in verdict.numbers.items()},
        "parts": {
            part.task: {"answer": part.answer, "reason": part.reason, "n": part.n, "m": part.m}
            for part in verdict.parts
        },
    }


def _curves(curves: Curves) -> dict[str, Any]:
    return {
        "edges": list(curves.edges),
        "end_moves": curves.end_moves,
        "yes_share": curves.share,
        "yes_threshold": curves.yes_threshold,
        "imitator": _curve(curves.imitator),
        "teacher": None if curves.reference is None else _curve(curves.reference),
    }


def _curve(curve: SkillCurve) -> dict[str, Any]:
    return {
        "units": curve.units,
        "start": _interval(curve.start),
        "end": _interval(curve.end),
        "blocks": [_interval(block) for block in curve.blocks],
        "few_ends": list(curve.few_ends),
    }


def _watched_curve(curve: WatchedCurve) -> dict[str, Any]:
    return {
        "edges": list(curve.edges),
        "units": curve.units,
        "blocks": [_interval(block) for block in curve.blocks],
        "few_ends": list(curve.few_ends),
    }


def _horizon(horizon: Any) -> dict[str, Any]:
    return {
        "text": horizon.text,
        "demonstrated_to": horizon.demonstrated_to,
        "refuted_from": horizon.refuted_from,
        "reason": horizon.reason,
        "windows": [
            {
                "moves": window.moves,
                "gain": _interval(window.gain),
                "teacher_gain": _interval(window.teacher_gain),
                "left_out": window.left_out,
            }
            for window in horizon.windows
        ],
    }


def _interval(found: Interval | None) -> dict[str, float | None] | None:
    if found is None:
        return None
    return {"estimate": found.estimate, "low": found.low, "high": found.high}
