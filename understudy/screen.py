"""What a person sees on the terminal: progress on standard error, tables on standard output."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from understudy.leaderboard.tables import Table

LINE_SECONDS = 10.0  # between lines where no terminal can show a bar


class Progress:
    """Shows how far named pieces of work are: bars on a terminal, a line now and then elsewhere."""

    def __init__(self, bars: Bars | None) -> None:
        self._bars = bars
        self._tasks: dict[str, int] = {}
        self._begun: dict[str, tuple[float, int]] = {}  # when a piece of work was first heard of, and how far
        self._last = time.monotonic()

    def report(self, name: str, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` moves of a piece of work are done; cheap to call on every move."""
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
def progress() -> Iterator[Progress]:
    """Show progress on standard error while the block runs."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        yield Progress(None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console) as bars:
        yield Progress(bars)


def show(tables: Sequence[Table]) -> None:
    """Print tables on standard output."""
    from rich.console import Console

    from understudy.leaderboard.tables import LEGEND, to_terminal

    console = Console()
    for table in tables:
        console.print(to_terminal(table))
    console.print(LEGEND, markup=False, highlight=False)
