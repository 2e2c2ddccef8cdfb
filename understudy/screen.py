"""Terminal output: progress on standard error, tables on standard output."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import rich.progress

    from understudy.leaderboard.scores import ScoredRow
    from understudy.suite.harness.requests import PlayProgress

LINE_SECONDS = 10.0  # between progress lines where there is no terminal


class ProgressDisplay:
    """Shows the progress of named tasks: bars on a terminal, otherwise a line every LINE_SECONDS."""

    def __init__(self, bars: rich.progress.Progress | None) -> None:
        self._bars = bars
        self._tasks: dict[str, int] = {}
        self._begun: dict[str, tuple[float, int]] = {}  # time and moves of each task's first report
        self._last = time.monotonic()

    def report(self, name: str, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` moves are done; cheap enough to call after every move."""
        now = time.monotonic()
        if self._bars is not None:
            if now - self._last > 0.1 or done >= total:
                if name not in self._tasks:
                    self._tasks[name] = self._bars.add_task(name, total=total)
                self._bars.update(self._tasks[name], completed=done, description=f"{name} {note}".strip())  # type: ignore[arg-type]
                self._last = now
            return
        begun_at, begun = self._begun.setdefault(name, (now, done))
        if now - self._last > LINE_SECONDS:
            parts = [f"{done:,} of {total:,} {note}".rstrip()]
            if begun < done < total:
                left = (total - done) * (now - begun_at) / (done - begun)
                parts.append(f"{timedelta(seconds=round(left))} left")
            print(f"{name}: {', '.join(parts)}", file=sys.stderr, flush=True)
            self._last = now


@contextmanager
def progress() -> Iterator[ProgressDisplay]:
    """Show progress on standard error during the block."""
    import rich.progress
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield ProgressDisplay(None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with rich.progress.Progress(*columns, console=console) as bars:
        yield ProgressDisplay(bars)


def play_reporter(shown: ProgressDisplay) -> Callable[[PlayProgress], None]:
    """Return a callback that shows the progress of rollouts."""

    def report(progress: PlayProgress) -> None:
        shown.report(f"{progress.row} {progress.role}", progress.moves, progress.target_moves)

    return report


def show(scored: Sequence[ScoredRow]) -> None:
    """Print the tables of scored rows on standard output: imitators, the teacher, controls."""
    from rich.console import Console

    from understudy.leaderboard import cells, tables

    console = Console()
    for of_budget in tables.budgets(cells.frame(scored)):
        for kind in (cells.IMITATOR, cells.CONTROL):
            table = tables.to_terminal(of_budget, kind)
            if table is not None:
                console.print(table)
        for line in tables.teacher_lines(of_budget):
            console.print(f"- {line}", markup=False, highlight=False)
    console.print(tables.LEGEND, markup=False, highlight=False)
