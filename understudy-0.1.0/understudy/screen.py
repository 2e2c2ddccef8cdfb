"""Terminal output: progress on standard error, tables on standard output."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.suite import escaping

if TYPE_CHECKING:
    import pandas as pd
    import rich.console
    import rich.progress
    import rich.table

    from understudy.leaderboard.scores import ScoredRow
    from understudy.leaderboard.stored_rows import Shortfall
    from understudy.suite.harness.requests import PlayProgress

LINE_SECONDS = 10.0  # between progress lines where there is no terminal
FILE_COLUMNS = 160  # width of a table that is not shown on a terminal
UNLIMITED_COLUMNS = 100_000


def escape_unwritable_characters() -> None:
    """Make standard output and error escape characters that their encoding lacks instead of failing.

    That are most letters under LC_ALL=C, and everywhere the bytes of a file's name that is not UTF-8.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def echo(text: object, err: bool = False) -> None:
    """Print one line of text that a stranger may have chosen, on standard output or error."""
    import typer

    typer.echo(escaping.terminal(str(text)), err=err)


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
        name, note = escaping.terminal(name), escaping.terminal(note)
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
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    console = _console(stderr=True)
    if not console.is_terminal:
        yield ProgressDisplay(None)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, console=console) as bars:
        yield ProgressDisplay(bars)


def play_reporter(shown: ProgressDisplay) -> Callable[[PlayProgress], None]:
    """Return a callback that shows the progress of rollouts, in the words of the tables."""
    from understudy.suite import tasks

    labels = {task.gain.roles[1]: task.label for task in map(tasks.load, tasks.names()) if task.gain}

    def report(progress: PlayProgress) -> None:
        role, at, intervention = progress.role.partition("@")
        what = f"{labels.get(role, role)}{at}{intervention}"
        shown.report(f"{progress.row} {what}", progress.moves, progress.target_moves)

    return report


def shortfall() -> Shortfall:
    """Return what to call for each row that cannot be read; a line on standard error names it."""
    from understudy.leaderboard.stored_rows import Shortfall

    return Shortfall(lambda line: echo(f"understudy: {line}", err=True))


def show(scored: Sequence[ScoredRow]) -> None:
    """Print the tables of scored rows on standard output: imitators, controls, the teacher, what to know."""
    from understudy.leaderboard import cells, tables

    for of_budget in tables.budgets(cells.frame(scored)):
        _print_rows(of_budget, tables.teacher_lines(of_budget))
    _console().print(tables.LEGEND, markup=False, highlight=False)


def show_rows(scored: Sequence[ScoredRow], folders: Collection[Path]) -> None:
    """Print the tables of the rows in some folders, and below them only what is particular to these rows."""
    from understudy.leaderboard import cells, tables

    chosen = [one for one in scored if one.folder.path in folders]
    for of_budget in tables.budgets(cells.frame(chosen)):
        _print_rows(of_budget, [])


def text_of_rows(scored: Sequence[ScoredRow]) -> str:
    """Return what `show_rows` prints of rows, FILE_COLUMNS wide."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        show_rows(scored, {one.folder.path for one in scored})
    return printed.getvalue().rstrip()


def _print_rows(of_budget: pd.DataFrame, teacher_lines: Sequence[str]) -> None:
    from understudy.leaderboard import cells, tables

    for kind in (cells.IMITATOR, cells.CONTROL):
        table = tables.to_terminal(of_budget, kind)
        if table is not None:
            print_table(table)
    for line in [*teacher_lines, *tables.remarks(of_budget), *tables.reasons(of_budget)]:
        echo(f"- {line}")


def print_table(table: rich.table.Table) -> None:
    """Print a table on standard output, lines broken between words only.

    Its columns share the width that is there, but none is narrower than its longest word, or than its longest
    cell if it has `no_wrap`: a table of paths is wider than a narrow terminal.
    """
    from rich.measure import Measurement

    console = _console()
    options = console.options.update_width(UNLIMITED_COLUMNS)
    ranges = [
        [Measurement.get(console, options, cell) for cell in (column.header, *column.cells)]
        for column in table.columns
    ]
    narrowest = [
        max(found.maximum if column.no_wrap else found.minimum for found in of_column)
        for column, of_column in zip(table.columns, ranges, strict=True)
    ]
    widths = [max(found.maximum for found in of_column) for of_column in ranges]
    frame = Measurement.get(console, options, table).maximum - sum(widths)
    while sum(widths) + frame > console.width:
        spare = [width - word for width, word in zip(widths, narrowest, strict=True)]
        if not any(spare):
            break
        widths[_widest(widths, spare)] -= 1
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    _console(width=max(console.width, sum(widths) + frame)).print(table)


def _widest(widths: Sequence[int], spare: Sequence[int]) -> int:
    """Return the position of the widest column that can give something away."""
    return max((width, position) for position, width in enumerate(widths) if spare[position])[1]


def _console(stderr: bool = False, width: int | None = None) -> rich.console.Console:
    """Return a console; where standard output is no terminal, tables are FILE_COLUMNS wide."""
    from rich.console import Console

    class PlainConsole(Console):
        def on_broken_pipe(self) -> None:
            raise  # the BrokenPipeError, which rich would make an exit with code 1

    console = PlainConsole(stderr=stderr, width=width)
    return console if width or console.is_terminal else PlainConsole(stderr=stderr, width=FILE_COLUMNS)
