"""`understudy benchmarks [NAME]`: what there is to measure, and the teacher data that is here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import rich.table

    from understudy.suite.benchmarks import Benchmark

COMMAND = typer.Typer()


@COMMAND.command("benchmarks")
def benchmarks(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show this benchmark only.")] = None,
    starts: Annotated[
        Path | None,
        typer.Option(
            "--rulers", help="Results with the rulers' start lives; default: those of the leaderboard."
        ),
    ] = None,
) -> None:
    """Show the benchmarks: games, moves, budgets, teacher data, rulers."""
    from rich.console import Console

    from understudy.suite import benchmarks as registered

    console = Console()
    if name is None:
        console.print(_overview([registered.load(each) for each in registered.names()]))
        return
    benchmark = registered.load(name)
    for line in _settings(benchmark):
        console.print(line, highlight=False, markup=False)
    console.print(_budgets(benchmark))
    console.print(_teacher_data(benchmark))
    typer.echo(_rulers(benchmark, starts))


def _overview(shown: list[Benchmark]) -> rich.table.Table:
    from understudy.suite import benchmarks as registered

    table = _table("benchmark", "watched", "new", "watched moves", "teacher lives here")
    for each in shown:
        watched, new = _short(each.watched_games), _short(each.new_games)
        lives = len(registered.teacher_lives(each))
        table.add_row(each.name, watched, new, f"{each.watched_moves:,}", str(lives))
    return table


def _settings(benchmark: Benchmark) -> list[str]:
    state = "frozen" if benchmark.frozen else "not frozen yet: its rows are not citable"
    return [
        f"{benchmark.name} ({state})",
        f"watched games: {_games(benchmark.watched_games)}",
        f"new games: {_games(benchmark.new_games)}",
        f"watched moves: {benchmark.watched_moves:,}",
        f"episode cap in moves: {benchmark.episode_cap_moves:,}",
        f"exploration: {benchmark.exploration:g}",
        f"SHA-256: {benchmark.sha256}",
    ]


def _budgets(benchmark: Benchmark) -> rich.table.Table:
    table = _table("budget", "moves of a life", "start moves", "end moves", "lanes", "tasks")
    for budget in benchmark.budgets:
        moves = (f"{count:,}" for count in (budget.moves, budget.start_moves, budget.end_moves, budget.lanes))
        table.add_row(budget.name, *moves, ", ".join(budget.tasks))
    return table


def _teacher_data(benchmark: Benchmark) -> rich.table.Table:
    from understudy.suite import benchmarks as registered

    table = _table("teacher life", "moves", "network at W", "folder")
    for life in registered.teacher_lives(benchmark):
        moves = registered.read(life).num_moves
        table.add_row(life.name, f"{moves:,}", "yes" if life.network_path else "no", str(life.folder))
    if not table.rows:
        table.caption = f"no teacher life of {benchmark.name} here"
    return table


def _rulers(benchmark: Benchmark, starts: Path | None) -> str:
    """Return the rulers, or that the leaderboard's starts are of other lives than this machine's."""
    from understudy.leaderboard import rulers
    from understudy.suite.errors import InputError

    if starts is not None:
        if not starts.is_dir():
            raise InputError(f"--rulers {starts}: no such folder; name one that `understudy rulers` wrote")
        return rulers.to_text(rulers.rulers(benchmark, starts))
    try:
        return rulers.to_text(rulers.rulers(benchmark))
    except InputError as error:
        return f"no ruler from the leaderboard's starts: {error}"


def _short(games: tuple[str, ...]) -> str:
    """Name one game without its family, or count them."""
    return games[0].partition("/")[2] if len(games) == 1 else f"{len(games)} games"


def _games(games: tuple[str, ...]) -> str:
    return ", ".join(games) if len(games) <= 4 else f"{len(games)}, {games[0]} to {games[-1]}"


def _table(*headings: str) -> rich.table.Table:
    import rich.box
    from rich.table import Table

    table = Table(box=rich.box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
