"""Rulers with error bars: what the teachers gained, for each task and budget, without any submission."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from understudy.leaderboard import stored, tables
from understudy.leaderboard.references import References
from understudy.leaderboard.tables import Estimate
from understudy.suite.benchmarks import Benchmark, Budget
from understudy.suite.judging import standings
from understudy.suite.judging.standings import Standing
from understudy.suite.stats import Interval

HEADINGS: Final = ("task", "game", "budget", "lives", "start", "end", "gain", "verdict")
NO_TASK: Final = "the budget is too short for it"


@dataclass(frozen=True)
class RulerRow:
    """The ruler of one task at one budget."""

    task: str
    game: str  # for a reader: one game's name, or how many there are
    budget: str
    standing: Standing | None  # None: the budget doesn't have the task

    @property
    def verdict(self) -> str:
        """Whether a verdict may rest on it, or why not."""
        if self.standing is None:
            return NO_TASK
        word = "provisional" if self.standing.provisional else ""
        return "; ".join(filter(None, (word, *(self.standing.reasons or ("possible",)))))

    @property
    def texts(self) -> tuple[str, ...]:
        """The cells of its line, as `HEADINGS` names them."""
        found = self.standing
        if found is None:
            return (self.task, self.game, self.budget, "-", "-", "-", "-", self.verdict)
        figures = (_figure(found.start), _figure(found.end), _figure(found.gain, signed=True))
        return (self.task, self.game, self.budget, _lives(found), *figures, self.verdict)


def rulers(benchmark: Benchmark, results: Path = stored.RESULTS) -> list[RulerRow]:
    """Return the rulers of a benchmark, task by task and budget by budget.

    Teacher lives are those of this machine; the starts are lives of a results folder, nothing is played.
    Raises InputError where a life can't be read, or starts are not of the networks at W that are here.
    """
    return [
        _row(task, benchmark, budget, results) for task in standings.MEASURES for budget in benchmark.budgets
    ]


def to_markdown(rows: Sequence[RulerRow]) -> str:
    """Return the rulers as one table in GitHub's Markdown."""
    return tables.markdown(HEADINGS, [row.texts for row in rows])


def to_text(rows: Sequence[RulerRow]) -> str:
    """Return the rulers as lines for a terminal."""
    return "\n".join(line for row in rows for line in _lines(row))


def _lines(row: RulerRow) -> Iterator[str]:
    task, game, budget, lives, start, end, gain, verdict = row.texts
    if row.standing is None:
        yield f"ruler of {task}, {budget}: {verdict}"
        return
    yield f"ruler of {task}, {budget}: {game}, {lives} lives; verdict: {verdict}"
    yield f"  start {start}, end {end}, gain {gain}"


def _row(task: str, benchmark: Benchmark, budget: Budget, results: Path) -> RulerRow:
    ruled = benchmark.watched_games if task == "improvement" else benchmark.new_games
    game = ruled[0].partition("/")[2] if len(ruled) == 1 else f"{len(ruled)} games"
    if task not in budget.tasks:
        return RulerRow(task, game, budget.name, None)
    evidence = References(results, benchmark, budget).evidence(task)
    found = standings.standing(task, evidence, benchmark.rules(budget.name, task))
    return RulerRow(task, game, budget.name, found)


def _lives(found: Standing) -> str:
    if found.provisional:
        return f"{found.lives} published"
    return str(found.lives) if found.lives == found.recorded else f"{found.lives} of {found.recorded}"


def _figure(interval: Interval | None, signed: bool = False) -> str:
    if interval is None:
        return "-"
    return tables.figure("", Estimate(interval.estimate, interval.low, interval.high), signed)
