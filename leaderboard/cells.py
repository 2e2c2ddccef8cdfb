"""Cells: every answer of every scored row as a pandas frame, one line per cell; the tables use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from understudy.leaderboard import controls_check, eligibility, row_facts, table_columns, under_training
from understudy.leaderboard.scores import ScoredRow
from understudy.suite import benchmarks, tasks
from understudy.suite.custom_code import CustomCode
from understudy.suite.io import files
from understudy.suite.scoring import gains, verdicts
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.verdicts import Verdict

if TYPE_CHECKING:
    import pandas as pd

IMITATOR, CONTROL = "imitator", "control"

COLUMNS: Final = table_columns.NAMES

REFERENCE_INCOMPLETE: Final = verdicts.REFERENCE_INCOMPLETE.partition(":")[0]


def frame(scored: Sequence[ScoredRow]) -> pd.DataFrame:
    """Return one line per cell, with `COLUMNS`, in the order of the tables.

    Benchmarks and budgets have the order of the rows. Within them imitators come before controls, frozen
    rows before learning ones, and rows with more points in the budget's first task before others.
    """
    groups: dict[tuple[str, str], list[ScoredRow]] = {}
    for one in scored:
        groups.setdefault((one.folder.benchmark, one.folder.budget), []).append(one)
    lines: list[dict[str, Any]] = []
    for (benchmark, budget), rows in groups.items():
        status = controls_check.status(rows[0].folder.path.parents[2], benchmark, budget)
        for one in sorted(rows, key=position):
            lines += [{"controls": status, **line} for line in _lines(one)]
    return table_columns.typed(lines)


def position(one: ScoredRow) -> tuple[bool, bool, float, str]:
    first = one.verdicts[0] if one.verdicts else None
    points = None if first is None else first.numbers.get(tasks.load(first.task).column.points)
    height = float("-inf") if points is None else points.estimate
    return bool(one.row["control"]), one.track != "frozen", -height, one.row["name"]


def _lines(one: ScoredRow) -> Iterator[dict[str, Any]]:
    row, because = one.row, eligibility.unranked_because(one)
    code, facts = row.get("custom_code"), row_facts.of_submission(row)
    training = facts.get("training")
    shared = {
        "benchmark": one.folder.benchmark,
        "budget": one.folder.budget,
        "name": row["name"],
        "kind": CONTROL if row["control"] else IMITATOR,
        "architecture": row["architecture"],
        "track": one.track,
        "decoding": row["decoding"],
        "watched": row.get("watched"),
        "primed_moves": row["priming_moves"],
        "search_trials": row.get("search_trials"),
        "rechecked": one.rechecked,
        "state_bytes": one.state_bytes,
        "ranked": eligibility.ranked(one),
        "not_ranked_because": "; ".join(because) or None,
        **{name: row[name] for name in ("identity", "benchmark_identity", "round", "training_targets")},
        "weights": len(row["checkpoints"]),
        **{name: facts.get(name) for name in ("parameters", "watched_runs", "watched_moves")},
        "training_updates": _updates(training),
        "training": None if training is None else files.canonical_json(training),
        "custom_code": code and str(CustomCode(**code)),
        "in_memory": row.get("in_memory"),
        "notes": "; ".join([*notes(one), *_gains_under(one)]),
    }
    for verdict in one.verdicts:
        yield {**shared, **_cell(one, verdict)}


def _updates(training: Mapping[str, float] | None) -> int | None:
    """Return the declared updates of a training; None unless they are a whole number."""
    found = (training or {}).get("updates")
    return int(found) if found is not None and float(found).is_integer() else None


def _cell(one: ScoredRow, verdict: Verdict) -> dict[str, Any]:
    task = tasks.load(verdict.task)
    numbers = verdict.numbers
    estimates = {
        "shown": numbers.get(task.column.number),
        "points": numbers.get(task.column.points),
        "teacher_points": numbers.get(task.column.reference_points),
        "normalised_gain": numbers.get(gains.NORMALISED_GAIN),
        "end_above_teacher_start": numbers.get(gains.END_ABOVE_START),
        "agreement": numbers.get("agreement"),
        "constant_agreement": numbers.get("majority"),
        "frozen_teacher_agreement": numbers.get("ceiling"),
        "normalised_agreement": numbers.get("normalised agreement"),
    }
    described = one.described.get(verdict.task)
    horizon = None if described is None else described.horizon
    return {
        "task": verdict.task,
        "question": task.label,
        "claim": verdict.claim,
        "answer": verdict.answer,
        "bracketed": verdict.bracketed and verdict.decided,
        "reason": verdict.reason,
        "marks": "; ".join(verdict.marks),
        "needed_runs": verdict.needed_runs,
        "n": verdict.n,
        "m": verdict.m,
        "shown_as": task.column.heading,
        **{key: value for name, found in estimates.items() for key, value in _bounds(name, found)},
        "h50_demonstrated": None if horizon is None else horizon.demonstrated_to,
        "h50_refuted": None if horizon is None else horizon.refuted_from,
    }


def _bounds(name: str, found: Interval | None) -> Iterator[tuple[str, float | None]]:
    yield name, None if found is None else found.estimate
    yield f"{name}_low", None if found is None else found.low
    yield f"{name}_high", None if found is None else found.high


def notes(one: ScoredRow) -> Iterator[str]:
    """Yield remarks about a row that neither its cells nor its interventions show."""
    row, benchmark = one.row, benchmarks.load(one.folder.benchmark)
    for reason in eligibility.unranked_because(one):
        yield f"{reason}: not ranked"
    if row.get("in_memory"):
        yield f"a model in memory ({row['in_memory']}): nobody else can play it"
    if any(str(verdict.reason).startswith(REFERENCE_INCOMPLETE) for verdict in one.verdicts):
        yield f"to fetch the missing reference: understudy histories pull --benchmark {benchmark.name}"
    if row.get("search_trials"):
        yield f"the best of {row['search_trials']:,} settings"
    if one.teachers is not None:
        yield f"watched {one.teachers[0]} of {one.teachers[1]} teachers"
    if one.rechecked:
        yield "rechecked, as reported"
    remark = under_training.remark(benchmark.name, row["identity"])
    if remark:
        yield remark
    if one.track != row["track"]:
        why = "its parameters changed in play" if one.moved else "its rule is built in"
        yield f"declared {row['track']}, but {why}"
    if one.other_lanes and row["control"]:  # of an imitator it is a reason above
        yield eligibility.other_lanes(one)
    if not benchmark.frozen:
        yield "benchmark is a draft: not citable"


def _gains_under(one: ScoredRow) -> Iterator[str]:
    """Yield a remark about each intervention."""
    for task, found in one.gains_under.items():
        for name, gain in found.items():
            yield f"gain in {task} with {name}: {gain.estimate:+.2f} points"
