"""Ranking: the ranks of rows that the data allow, and the groups of rows that cannot be told apart.

The best of several rows is a multiple comparison: all differences of a ranking hold together with the
benchmark's confidence, 95 %, and a row has every rank that they allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from understudy.leaderboard import eligibility
from understudy.leaderboard.scores import ScoredRow
from understudy.suite import benchmarks, tasks
from understudy.suite.scoring import comparisons, verdicts
from understudy.suite.scoring.comparisons import Comparable, Differences

FAILED = (verdicts.REWARD_FREE, verdicts.SCORE_READ, verdicts.NOT_ISOLATED)  # conditions of a yes


@dataclass(frozen=True)
class Rank:
    """The ranks of a row that the data allow, 1 being the best."""

    low: int  # best rank: 1 + number of rows that are shown to be above it
    high: int  # worst rank: number of rows - number of rows that are shown to be below it
    group: str  # letters; two rows have a common letter exactly if they are not told apart

    def __post_init__(self) -> None:
        if not 1 <= self.low <= self.high or not self.group:
            raise ValueError(f"expected 1 <= low <= high and a letter; found {self}")

    def __str__(self) -> str:
        """Return e.g. `1-3`, or `2` where the data allow one rank only."""
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


def ranks(scored: Sequence[ScoredRow], task: str) -> dict[str, Rank]:
    """Return the rank intervals and groups of rows by name, the highest number first.

    Rows are compared by points an episode at the start (skill) or by the gain in points (improvement,
    transfer), whose order is that of the normalised gains, because rows of a budget have one reference. Each
    track is ranked by itself. With 95 % confidence the true ranks of all rows of a track lie in their
    intervals.

    Args:
        scored: rows of one benchmark and budget, of distinct names.
        task: name of the task.

    Returns:
        The ranks by name; without the rows for which `not_ranked_because` has a reason.

    Raises ValueError if the rows are of several benchmarks or budgets, or two have one name.

    Source: as for `comparisons.rank_intervals` and `comparisons.letters`.
    """
    if len({(one.folder.benchmark, one.folder.budget) for one in scored}) > 1:
        raise ValueError("expected rows of one benchmark and budget")
    if len({one.folder.name for one in scored}) < len(scored):
        raise ValueError("expected rows of distinct names")
    found: dict[str, Rank] = {}
    for track in sorted({one.track for one in scored}):  # frozen, then learning
        chosen = [one for one in scored if one.track == track and not_ranked_because(one, task) is None]
        found |= _ranks(sorted(chosen, key=lambda one: (-one.comparable[task].number, one.folder.name)), task)
    return found


def not_ranked_because(one: ScoredRow, task: str) -> str | None:
    """Return why a row is not ranked in a task, a short phrase, or None if it is."""
    if one.row["control"]:
        return "a control"
    reasons = eligibility.unranked_because(one)
    if reasons:
        return "; ".join(reasons)
    verdict = one.verdict(task)
    if verdict is None:
        return "not asked at this budget"
    if verdict.numbers.get(tasks.load(task).column.number) is None or task not in one.comparable:
        return verdict.reason or "no number"
    if verdicts.PROVISIONAL in verdict.marks:
        return "the reference is provisional"
    return verdict.reason if verdict.reason in FAILED else None


def told_apart(rows: Sequence[Comparable], benchmark: str) -> Differences:
    """Return the simultaneous differences of some rows at a benchmark's confidence."""
    loaded = benchmarks.load(benchmark)
    return comparisons.differences(rows, loaded.thresholds.confidence, loaded.minima.method_units)


def _ranks(ordered: Sequence[ScoredRow], task: str) -> dict[str, Rank]:
    """Return the ranks of rows in the order of their numbers, the highest first."""
    if not ordered:
        return {}
    found = told_apart([one.comparable[task] for one in ordered], ordered[0].folder.benchmark)
    low, high = comparisons.rank_intervals(found.above)
    shown = comparisons.letters(found.above | found.above.T)
    return {one.folder.name: Rank(int(low[i]), int(high[i]), shown[i]) for i, one in enumerate(ordered)}
