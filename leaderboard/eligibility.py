"""Eligibility: which scored rows may stand in a ranking, and why others may not.

A ranking compares what everybody can check: seeds drawn after the commitment, the benchmark's own teacher
data, and as many runs as the budget has, for whoever chose their number could choose a lucky one. Controls
have known answers and are never ranked.
"""

from __future__ import annotations

from collections.abc import Iterator

from understudy.leaderboard import leak_notes, plan_check, stored_rows
from understudy.leaderboard.reference_runs import StoredReferences
from understudy.leaderboard.scores import ScoredRow
from understudy.leaderboard.stored_rows import RowFolder
from understudy.leaderboard.stored_runs import StoredRuns
from understudy.suite import benchmarks
from understudy.suite.custom_code import CustomCode
from understudy.suite.harness import rounds


def ranked(one: ScoredRow) -> bool:
    """Return whether a row is an imitator's and nothing keeps it from being ranked."""
    return not one.row["control"] and not unranked_because(one)


def unranked_because(one: ScoredRow) -> tuple[str, ...]:
    """Return why a row may not be ranked, a short phrase each; none for a control, which never is."""
    return tuple(_reasons(one))


def other_lanes(one: ScoredRow) -> str:
    """Return that a row was played with other numbers of lanes than the budget's."""
    budget = benchmarks.load(one.folder.benchmark).budget(one.folder.budget)
    return f"{' and '.join(map(str, one.other_lanes))} lanes, not the budget's {budget.lanes}"


def unranked_because_stored(folder: RowFolder) -> tuple[str, ...]:
    """Return the same of a row that is not scored here; InputError if it cannot be read.

    With which data its stored scores were made is known from its marks only.
    """
    benchmark = benchmarks.load(folder.benchmark)
    references = StoredReferences(folder.path.parents[2], benchmark, benchmark.budget(folder.budget))
    stored = StoredRuns(folder, references)
    unscored = ScoredRow(
        folder,
        stored.row,
        (),
        rechecked=stored.rechecked(),
        state_bytes=stored_rows.state_bytes(stored.records),
        leak=leak_notes.measured(folder.path, stored.row["identity"]),
        committed=plan_check.is_committed(stored.row),
        other_lanes=stored.other_lanes(),
    )
    return unranked_because(unscored)


def _reasons(one: ScoredRow) -> Iterator[str]:
    row = one.row
    if row["round"] == rounds.DEV and not row["control"]:
        yield "self-reported"
    elif row["round"] not in {rounds.DEV, *(each.name for each in rounds.read() if each.salt)}:
        yield f"round {row['round']!r} is not known"
    elif not one.committed:
        yield f"not committed to round {row['round']} before its salt was drawn"
    if one.other_lanes and not row["control"]:
        yield other_lanes(one)
    if row.get("custom_code"):
        yield f"custom code: {CustomCode(**row['custom_code'])}"
    if one.other_data or row["other_teacher_data"]:
        yield "compared with other teacher data than the benchmark's"
    if one.leak is not None and one.leak.suspected:
        yield "leak suspected, not citable"
    if one.rechecked is False:
        yield "recheck failed, as reported: its weights choose other moves"
    if (one.state_bytes or 0) > benchmarks.load(one.folder.benchmark).state_cap_bytes:
        yield f"state of {one.state_bytes:,} bytes is over the cap"
