"""Cells: every answer of every scored row as a pandas frame, one line per cell; the tables use it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from understudy.leaderboard import controls_check, eligibility
from understudy.leaderboard.scores import ScoredRow
from understudy.suite import benchmarks, tasks
from understudy.suite.scoring import gains, verdicts
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.verdicts import Verdict

if TYPE_CHECKING:
    import pandas as pd

IMITATOR, CONTROL = "imitator", "control"

# Numbers with an interval: each has columns <name>, <name>_low and <name>_high; empty: unknown.
ESTIMATES: Final = (
    "shown",  # the number beside the answer in a table; `shown_as` says which it is
    "points",  # points an episode: at the start in Q1, the gain in Q2 and Q3
    "teacher_points",  # the same number of the teacher
    "normalised_gain",
    "end_above_teacher_start",
    "agreement",  # share of the teacher's moves that the imitator predicts
    "constant_agreement",  # the same share for the best constant action
    "frozen_teacher_agreement",  # the same share for the teacher's network frozen at W
    "normalised_agreement",
)
COLUMNS: Final = (
    *("benchmark", "budget", "controls", "name", "kind", "architecture", "track", "decoding", "watched"),
    *("primed_moves", "search_trials", "rechecked", "state_bytes", "notes"),
    *("task", "question", "claim", "answer", "bracketed", "reason", "marks", "needed_runs", "n", "m"),
    "shown_as",
    *(f"{name}{bound}" for name in ESTIMATES for bound in ("", "_low", "_high")),
    *("h50_demonstrated", "h50_refuted"),  # moves
)

WHOLE_NUMBERS: Final = (
    *(
        "primed_moves",
        "search_trials",
        "state_bytes",
        "needed_runs",
        "n",
        "m",
        "h50_demonstrated",
        "h50_refuted",
    ),
)

REFERENCE_INCOMPLETE: Final = verdicts.REFERENCE_INCOMPLETE.partition(":")[0]


def frame(scored: Sequence[ScoredRow]) -> pd.DataFrame:
    """Return one line per cell, with `COLUMNS`, in the order of the tables.

    Benchmarks and budgets have the order of the rows. Within them imitators come before controls, frozen
    rows before learning ones, and rows with more points in the budget's first task before others.
    """
    import pandas as pd

    groups: dict[tuple[str, str], list[ScoredRow]] = {}
    for one in scored:
        groups.setdefault((one.folder.benchmark, one.folder.budget), []).append(one)
    lines: list[dict[str, Any]] = []
    for (benchmark, budget), rows in groups.items():
        status = controls_check.status(rows[0].folder.path.parents[2], benchmark, budget)
        for one in sorted(rows, key=_position):
            lines += [{"controls": status, **line} for line in _lines(one)]
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype(dict.fromkeys(WHOLE_NUMBERS, "Int64"))


def _position(one: ScoredRow) -> tuple[bool, bool, float, str]:
    first = one.verdicts[0] if one.verdicts else None
    points = None if first is None else first.numbers.get(tasks.load(first.task).column.points)
    height = float("-inf") if points is None else points.estimate
    return bool(one.row["control"]), one.track != "frozen", -height, one.row["name"]


def _lines(one: ScoredRow) -> Iterator[dict[str, Any]]:
    row = one.row
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
        "notes": "; ".join(_notes(one)),
    }
    for verdict in one.verdicts:
        yield {**shared, **_cell(one, verdict)}


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


def _notes(one: ScoredRow) -> Iterator[str]:
    """Yield remarks about a row that its cells do not show: why it is not ranked, then the others."""
    row, benchmark = one.row, benchmarks.load(one.folder.benchmark)
    for reason in eligibility.unranked_because(one):
        yield f"{reason}: not ranked"
    if row.get("in_memory"):
        yield f"a model in memory ({row['in_memory']}): nobody else can play it"
    if any(str(verdict.reason).startswith(REFERENCE_INCOMPLETE) for verdict in one.verdicts):
        yield f"to fetch the missing reference: understudy histories pull --benchmark {benchmark.name}"
    if row.get("search_trials"):
        yield f"the best of {row['search_trials']:,} settings"
    if one.leak is not None and one.leak.suspected:
        yield "leak suspected: not citable"
    if one.track != row["track"]:
        why = "its parameters changed in play" if one.moved else "its rule is built in"
        yield f"declared {row['track']}, but {why}"
    if one.other_lanes:
        budget = benchmark.budget(one.folder.budget)
        yield f"{' and '.join(map(str, one.other_lanes))} lanes, not the budget's {budget.lanes}"
    if not benchmark.frozen:
        yield "benchmark is a draft: not citable"
    for task, found in one.gains_under.items():
        for name, gain in found.items():
            yield f"gain in {task} with {name}: {gain.estimate:+.2f} points"
