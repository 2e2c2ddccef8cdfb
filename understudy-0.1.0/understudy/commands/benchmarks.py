"""`understudy benchmarks [NAME]`: show the benchmarks and the teacher data on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy import arguments
from understudy.suite import escaping

if TYPE_CHECKING:
    import rich.table

    from understudy.suite.benchmarks import Benchmark, TeacherRun

COMMAND = typer.Typer()
MOST_GAMES = 8  # with more, teacher data are summarised by group


@COMMAND.command("benchmarks")
def show_benchmarks(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show this benchmark only.")] = None,
    starts: Annotated[
        Path | None,
        typer.Option(
            "--references",
            parser=arguments.folder,
            help="Results folder with the references' start runs; default: the leaderboard's.",
        ),
    ] = None,
    every_run: Annotated[
        bool, typer.Option("--runs", help="List every teacher run instead of a summary of each game's.")
    ] = False,
) -> None:
    """Show the benchmarks: games, moves, budgets, teacher data, references."""
    from understudy import screen
    from understudy.suite import benchmarks

    if name is None:
        screen.print_table(_overview([benchmarks.load(each) for each in benchmarks.names()]))
        return
    benchmark = benchmarks.load(name)
    for line in _settings(benchmark):
        typer.echo(line)
    screen.print_table(_budgets(benchmark))
    screen.print_table(_each_run(benchmark) if every_run else _teacher_data(benchmark))
    if not every_run:
        typer.echo(f"each run and its folder: understudy benchmarks {benchmark.name} --runs")
    typer.echo(_references(benchmark, starts))


def _overview(shown: list[Benchmark]) -> rich.table.Table:
    from understudy.suite import benchmarks

    table = _table("benchmark", "watched", "new", "watched moves", "teacher runs here")
    for each in shown:
        watched, new = _short(each.watched_games), _short(each.new_games)
        runs = len(benchmarks.teacher_runs(each))
        table.add_row(each.name, watched, new, f"{each.watched_moves:,}", str(runs))
    return table


def _settings(benchmark: Benchmark) -> list[str]:
    state = "final" if benchmark.frozen else "draft: its rows are not citable"
    return [
        f"{benchmark.name} ({state})",
        f"watched games: {_games(benchmark.watched_games)}",
        f"new games: {_games(benchmark.new_games)}",
        f"watched moves: {benchmark.watched_moves:,}",
        f"episode cap in moves: {benchmark.episode_cap_moves:,}",
        f"exploration: {benchmark.exploration:g}",
        f"identity: {benchmark.identity}",
    ]


def _budgets(benchmark: Benchmark) -> rich.table.Table:
    table = _table("budget", "moves of a run", "start moves", "end moves", "lanes", "tasks")
    for budget in benchmark.budgets:
        moves = (f"{count:,}" for count in (budget.moves, budget.start_moves, budget.end_moves, budget.lanes))
        table.add_row(budget.name, *moves, ", ".join(budget.tasks))
    return table


def _teacher_data(benchmark: Benchmark) -> rich.table.Table:
    """Return a line for each game, or for each group of games where there are more than MOST_GAMES."""
    from understudy.suite import benchmarks

    runs = benchmarks.teacher_runs(benchmark)
    groups: dict[str, list[TeacherRun]] = {}
    for run in runs:
        groups.setdefault(_group(benchmark, run.game), []).append(run)
    table = _table("teacher data", "runs", "moves", "network at W")
    for group, members in groups.items():
        moves = sorted({benchmarks.read(run).num_moves for run in members})
        span = f"{moves[0]:,}" if len(moves) == 1 else f"{moves[0]:,} to {moves[-1]:,}"
        networks = sum(run.network_path is not None for run in members)
        table.add_row(group, str(len(members)), span, f"{networks} of {len(members)}")
    if not runs:
        table.caption = f"no teacher run of {benchmark.name} here"
    return table


def _group(benchmark: Benchmark, game: str) -> str:
    if len(benchmark.games) <= MOST_GAMES:
        return _short((game,))
    kinds = {"watched": benchmark.watched_games, "new": benchmark.new_games}
    kind = next((kind for kind, games in kinds.items() if game in games), "extra")
    return f"{kind} games"


def _each_run(benchmark: Benchmark) -> rich.table.Table:
    from rich.text import Text

    from understudy.suite import benchmarks

    table = _table("teacher run", "moves", "network at W", "folder")
    for run in benchmarks.teacher_runs(benchmark):
        moves = benchmarks.read(run).num_moves
        table.add_row(
            run.name,
            f"{moves:,}",
            "yes" if run.network_path else "no",
            Text(escaping.terminal(str(run.folder))),
        )
    if not table.rows:
        table.caption = f"no teacher run of {benchmark.name} here"
    return table


def _references(benchmark: Benchmark, starts: Path | None) -> str:
    """Return the references, or a line that the leaderboard's starts are of other runs than those here."""
    from understudy.leaderboard import reference_tables
    from understudy.suite.errors import InputError

    if starts is not None:
        if not starts.is_dir():
            raise InputError(
                f"--references {starts}: no such folder; name one that `understudy references` wrote"
            )
        return reference_tables.to_text(reference_tables.references(benchmark, starts))
    try:
        return reference_tables.to_text(reference_tables.references(benchmark))
    except InputError as error:
        return f"no reference from the leaderboard's starts: {error}"


def _short(games: tuple[str, ...]) -> str:
    """Return one game's name without its family, or the number of games."""
    return games[0].partition("/")[2] if len(games) == 1 else f"{len(games)} games"


def _games(games: tuple[str, ...]) -> str:
    return ", ".join(games) if len(games) <= 4 else f"{len(games)}, {games[0]} to {games[-1]}"


def _table(*headings: str) -> rich.table.Table:
    import rich.box
    from rich.table import Table

    table = Table(box=rich.box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, no_wrap=heading == "folder")  # a path in two lines can't be copied
    return table
