"""From verdicts to the question's table: one table a benchmark and budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from understudy.leaderboard import board, instrument, scores, tables
from understudy.leaderboard.descriptions import Description
from understudy.leaderboard.scores import ScoredRow
from understudy.leaderboard.tables import Cell, Estimate, Row, Table
from understudy.suite import benchmarks, verdicts
from understudy.suite.judging.horizon import Horizon
from understudy.suite.stats import Interval
from understudy.suite.verdicts import Verdict

OWN_NUMBER = {"skill": "imitator", "improvement": "own", "transfer": "own"}
RULER_NUMBER = {"skill": "teacher", "improvement": "gain", "transfer": "gain"}


def rejudge(results: Path) -> list[Table]:
    """Judge every row below a results folder anew, write their scores and the tables; return the tables.

    Raises InputError if there is no row.
    """
    judged = tables_of(scores.rescore(results))
    board.write(judged, results)
    return judged


def tables_of(scored: Sequence[ScoredRow]) -> list[Table]:
    """Return a table for each benchmark and budget: ideal, teacher, controls, then submissions."""
    groups: dict[tuple[str, str], list[ScoredRow]] = {}
    for one in scored:
        groups.setdefault((one.folder.benchmark, one.folder.budget), []).append(one)
    return [_table(*key, rows) for key, rows in groups.items()]


def _table(benchmark: str, budget: str, scored: Sequence[ScoredRow]) -> Table:
    ordered = sorted(scored, key=lambda one: (not one.row["control"], one.track != "frozen", one.row["name"]))
    rows = [_row(one) for one in ordered]
    return Table(
        benchmark,
        budget,
        (tables.ideal_row(), _teacher_row(ordered), *rows),
        instrument.status(scored[0].folder.path.parents[2], benchmark, budget),
        notes=tuple(_notes(benchmark, ordered)),
    )


def _row(scored: ScoredRow) -> Row:
    row = scored.row
    cells = {verdict.task: _cell(verdict, scored.described.get(verdict.task)) for verdict in scored.verdicts}
    kind = "control" if row["control"] else "submission"
    units = sorted({f"{v.claim} claim" for v in scored.verdicts if v.numbers})
    notes = [kind] if row["control"] else [f"K = {row['priming_moves']:,}"]
    if row.get("search_trials"):
        notes.append(f"the best of {row['search_trials']:,} settings")
    notes = [scored.track, *notes, *units]
    if scored.rederived is not None:
        notes.append("re-derived" if scored.rederived else "NOT re-derived: its weights choose other moves")
    notes += _state(scored)
    if scored.leak is not None and scored.leak.suspected:
        notes.append("LEAK SUSPECTED, not citable")
    if scored.track != row["track"]:
        why = "its parameters moved while it played" if scored.moved else "its rule is built in"
        notes.append(f"declared {row['track']}, but {why}")
    if scored.other_lanes:
        own = benchmarks.load(scored.folder.benchmark).budget(scored.folder.budget).lanes
        notes.append(f"{' and '.join(map(str, scored.other_lanes))} lanes, not the budget's {own}")
    return Row(row["name"], kind, **cells, note=", ".join(notes))


def _cell(verdict: Verdict, described: Description | None) -> Cell:
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
        horizon=None if described is None else _horizon(described.horizon),
    )


def _state(scored: ScoredRow) -> Iterator[str]:
    """Yield how large a life's memory was, where it is worth a word, and whether that is allowed."""
    size, cap = scored.state_bytes or 0, benchmarks.load(scored.folder.benchmark).state_cap_bytes
    if size >= 2**10:
        yield f"state {_bytes(size)} of {_bytes(cap)}"
    if size > cap:
        yield "over the cap: not ranked"


def _bytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB" if size >= 2**20 else f"{size / 2**10:,.0f} KiB"


def _horizon(found: Horizon) -> str:
    return found.text if found.steps else ""


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
    notes += [text for one in scored for text in _probes(one)]
    if not benchmarks.load(benchmark).frozen:
        notes.append("benchmark not frozen: its rows are not citable")
    return notes


def _probes(scored: ScoredRow) -> Iterator[str]:
    """Yield a row's own gain in its probes, beside that in the scored lives."""
    for task, found in scored.probed.items():
        own = next((v.numbers.get("own") for v in scored.verdicts if v.task == task), None)
        if found and own is not None:
            gained = {"as scored": own, **found}
            figures = (tables.figure(f"{name} ", _known(one), signed=True) for name, one in gained.items())
            yield f"{scored.row['name']}, gain in {task}: {'; '.join(figures)}"


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
    return None if interval is None else _known(interval)


def _known(interval: Interval) -> Estimate:
    return Estimate(interval.estimate, interval.low, interval.high)
