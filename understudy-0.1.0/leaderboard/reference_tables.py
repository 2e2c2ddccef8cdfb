"""Tables of references: the teacher's gain for each task and budget, with its interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from understudy.leaderboard import stored_rows, tables
from understudy.leaderboard.reference_runs import StoredReferences
from understudy.leaderboard.tables import Estimate
from understudy.suite import tasks
from understudy.suite.benchmarks import Benchmark, Budget
from understudy.suite.scoring import reference_summaries
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.reference_summaries import ReferenceSummary
from understudy.suite.tasks import Task

HEADINGS: Final = ("task", "game", "budget", "runs", "start", "end", "teacher's gain", "verdict")
NO_TASK: Final = "the budget is too short for it"


@dataclass(frozen=True)
class ReferenceRow:
    """The reference of one task at one budget."""

    task: str
    game: str  # one game's name, or the number of games
    budget: str
    summary: ReferenceSummary | None  # None: the budget does not have the task

    @property
    def verdict(self) -> str:
        """Whether it allows a verdict, or why not."""
        if self.summary is None:
            return NO_TASK
        word = "provisional" if self.summary.provisional else ""
        return "; ".join(filter(None, (word, *(self.summary.reasons or ("possible",)))))

    @property
    def texts(self) -> tuple[str, ...]:
        """The cells of its line, in the order of `HEADINGS`."""
        found = self.summary
        if found is None:
            return (self.task, self.game, self.budget, "-", "-", "-", "-", self.verdict)
        figures = (figure(found.start), figure(found.end), figure(found.gain, signed=True))
        return (self.task, self.game, self.budget, _runs(found), *figures, self.verdict)


def references(benchmark: Benchmark, results: Path = stored_rows.RESULTS) -> list[ReferenceRow]:
    """Return the references of a benchmark, task by task and budget by budget.

    Teacher runs are those of this machine, starts those of a results folder; nothing is played.
    Raises InputError if a run cannot be read, or if starts were played by other networks at W than those
    here.
    """
    named = dict.fromkeys(name for budget in benchmark.budgets for name in budget.tasks)
    return [
        _row(task, benchmark, budget, results)
        for task in tasks.gain_tasks(list(named))
        for budget in benchmark.budgets
    ]


def to_markdown(rows: Sequence[ReferenceRow]) -> str:
    """Return the references as one table in GitHub's Markdown."""
    return tables.markdown(HEADINGS, [row.texts for row in rows])


def to_text(rows: Sequence[ReferenceRow]) -> str:
    """Return the references as lines for a terminal."""
    return "\n".join(line for row in rows for line in _lines(row))


def _lines(row: ReferenceRow) -> Iterator[str]:
    task, game, budget, runs, start, end, gain, verdict = row.texts
    if row.summary is None:
        yield f"reference of {task}, {budget}: {verdict}"
        return
    yield f"reference of {task}, {budget}: {game}, {runs} runs; verdict: {verdict}"
    yield f"  start {start}, end {end}, teacher's gain {gain}"


def _row(task: Task, benchmark: Benchmark, budget: Budget, results: Path) -> ReferenceRow:
    assert task.gain is not None
    played = benchmark.new_games if task.gain.on_new_games else benchmark.watched_games
    game = played[0].partition("/")[2] if len(played) == 1 else f"{len(played)} games"
    if task.name not in budget.tasks:
        return ReferenceRow(task.name, game, budget.name, None)
    rules = benchmark.rules(budget.name, task.name)
    evidence = task.gain.evidence(StoredReferences(results, benchmark, budget))
    summary = reference_summaries.summarise(
        task.gain.measure(evidence, rules), evidence, rules, after_w=not task.gain.on_new_games
    )
    return ReferenceRow(task.name, game, budget.name, summary)


def _runs(found: ReferenceSummary) -> str:
    if found.provisional:
        return f"{found.runs} published"
    return str(found.runs) if found.runs == found.recorded else f"{found.runs} of {found.recorded}"


def figure(interval: Interval | None, signed: bool = False) -> str:
    """Return a reference's number with its interval; `-` where it was not measured."""
    if interval is None:
        return "-"
    return tables.figure("", Estimate(interval.estimate, interval.low, interval.high), signed)
