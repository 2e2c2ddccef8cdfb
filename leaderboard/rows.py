"""From verdicts to the question's table: one table a benchmark and budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from understudy.leaderboard import tables
from understudy.leaderboard.scores import ScoredRow
from understudy.leaderboard.tables import Cell, Estimate, Row, Table
from understudy.suite import benchmarks, verdicts
from understudy.suite.stats import Interval
from understudy.suite.verdicts import Verdict

OWN_NUMBER = {"skill": "imitator", "improvement": "own", "transfer": "own"}
RULER_NUMBER = {"skill": "teacher", "improvement": "gain", "transfer": "gain"}


def tables_of(scored: Sequence[ScoredRow]) -> list[Table]:
    """Return a table for each benchmark and budget: ideal, teacher, controls, then submissions."""
    groups: dict[tuple[str, str], list[ScoredRow]] = {}
    for one in scored:
        groups.setdefault((one.folder.benchmark, one.folder.budget), []).append(one)
    return [_table(*key, rows) for key, rows in groups.items()]


def _table(benchmark: str, budget: str, scored: Sequence[ScoredRow]) -> Table:
    ordered = sorted(scored, key=lambda one: (not one.row["control"], one.row["name"]))
    rows = [_row(one) for one in ordered]
    return Table(
        benchmark,
        budget,
        (tables.ideal_row(), _teacher_row(ordered), *rows),
        notes=tuple(_notes(benchmark, ordered)),
    )


def _row(scored: ScoredRow) -> Row:
    row = scored.row
    cells = {verdict.task: _cell(verdict) for verdict in scored.verdicts}
    kind = "control" if row["control"] else "submission"
    units = sorted({f"{v.claim} claim" for v in scored.verdicts if v.numbers})
    notes = [kind, *units] if row["control"] else [row["track"], f"K = {row['priming_moves']:,}", *units]
    if scored.other_lanes:
        own = benchmarks.load(scored.folder.benchmark).budget(scored.folder.budget).lanes
        notes.append(f"{' and '.join(map(str, scored.other_lanes))} lanes, not the budget's {own}")
    return Row(row["name"], kind, **cells, note=", ".join(notes))


def _cell(verdict: Verdict) -> Cell:
    own = _estimate(verdict.numbers.get(OWN_NUMBER[verdict.task]))
    ruled = verdict.answer is not None
    return Cell(
        verdict=verdict.answer,
        reason=_reason(verdict),
        points=own,
        share=_estimate(verdict.numbers.get("f")) if ruled else None,
        likeness=_estimate(verdict.numbers.get("likeness")),
        bracketed=verdict.bracketed and verdict.decided,
        marks=verdict.marks,
    )


def _reason(verdict: Verdict) -> str:
    needed = f"{verdict.needed_lives} lives would settle it" if verdict.needed_lives else ""
    return ", ".join(filter(None, (verdict.reason, needed if verdict.answer == verdicts.UNDECIDED else "")))


def _teacher_row(scored: Sequence[ScoredRow]) -> Row:
    """Return the ruler's own row: what the teacher scored, as the verdicts compare with it."""
    cells = {}
    for task, number in RULER_NUMBER.items():
        found = [
            (verdict.numbers[number], verdict.m)
            for one in scored
            for verdict in one.verdicts
            if verdict.task == task and verdict.numbers.get(number) is not None
        ]
        if found:
            measured, m = max(found, key=lambda pair: pair[1] or 0)
            cells[task] = Cell(reason=f"{m} lives" if m else "", points=_estimate(measured))
    return Row("teacher (DQN)", "ruler", **cells, note="the ruler, measured")


def _notes(benchmark: str, scored: Sequence[ScoredRow]) -> list[str]:
    reasons = {v.reason for one in scored for v in one.verdicts if v.answer is None and v.reason}
    notes = sorted(reason for reason in reasons if reason.startswith("teacher life incomplete"))
    notes += [text for one in scored for text in _agreement(one)]
    if not benchmarks.load(benchmark).frozen:
        notes.append("benchmark not frozen: its rows are not citable")
    return notes


def _agreement(scored: ScoredRow) -> Iterator[str]:
    """Yield how often a submission predicts the teacher's next move, between constant player and ceiling."""
    for verdict in scored.verdicts:
        numbers = verdict.numbers
        found = [numbers.get(name) for name in ("agreement", "majority", "ceiling")]
        if scored.row["control"] or any(number is None for number in found):
            continue
        agreement, majority, ceiling = (number for number in found if number is not None)
        bounds = "" if agreement.low is None else f" [{agreement.low:.3f}, {agreement.high:.3f}]"
        yield (
            f"{scored.row['name']} predicts {agreement.estimate:.3f}{bounds} of the teacher's next moves; "
            f"a constant player {majority.estimate:.3f}, the teacher's network at W {ceiling.estimate:.3f}"
        )


def _estimate(interval: Interval | None) -> Estimate | None:
    return None if interval is None else Estimate(interval.estimate, interval.low, interval.high)
