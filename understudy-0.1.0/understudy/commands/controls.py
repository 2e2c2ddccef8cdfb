"""`understudy controls --benchmark B`: play the controls and compare their answers with the expected ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy import arguments

if TYPE_CHECKING:
    import rich.table

    from understudy.leaderboard.controls_check import ControlsCheck

COMMAND = typer.Typer()


@COMMAND.command("controls")
def controls(
    benchmark: Annotated[str, typer.Option(help="A benchmark's name; see: understudy benchmarks.")],
    out: Annotated[
        Path,
        typer.Option(parser=arguments.folder, help="Folder for the controls' runs; runs in it are kept."),
    ],
    budget: Annotated[str, typer.Option(help="full, tenth or quick.")] = "quick",
    threads: Annotated[
        int, typer.Option(min=1, max=1024, help="Threads of the players and the emulators.")
    ] = 1,
    device: Annotated[
        str, typer.Option(help="Of the players: cpu, cuda, cuda:N or mps; see docs/devices.md.")
    ] = "cpu",
    engine: Annotated[
        str, typer.Option(help="serial, or process (jobs side by side on all cores).")
    ] = "process",
    lanes: Annotated[
        int | None,
        typer.Option(
            "--num-envs",
            help="Runs played in lock-step; more detect smaller gains. Default: the budget's lanes; above "
            "quick at least one for each watched game.",
        ),
    ] = None,
    known_only: Annotated[
        bool, typer.Option("--known-only", help="Leave out players without an expected answer.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Play their runs again from the start.")] = False,
    of_round: Annotated[
        str, typer.Option("--round", help="Of the entries among them: dev, or the number of a round.")
    ] = "dev",
) -> None:
    """Run the positive and negative controls; exit code 1 if one is not as expected."""
    from understudy import screen
    from understudy.leaderboard import board, controls_check
    from understudy.submissions import scoring
    from understudy.suite import benchmarks
    from understudy.suite.errors import CheckFailed
    from understudy.suite.harness import interventions, rounds, work
    from understudy.suite.harness.requests import Request

    declared = benchmarks.load(benchmark)
    lanes = lanes or controls_check.lanes_of(declared, budget)
    names = controls_check.players_of(declared.family, declared.budget(budget).tasks, measured=not known_only)
    requested = scoring.rows_of(
        [
            Request(name, benchmark, budget, out, lanes, threads, restart, rounds.load(of_round), device)
            for name in names
        ]
    )
    rows = dict(zip(names, requested, strict=True))
    with screen.progress() as shown:
        report = screen.play_reporter(shown)
        scoring.score(requested, None, engine, report)
        gaining = controls_check.claiming_yes(out, benchmark, budget, names)
        for task, players in gaining.items():
            applied = (interventions.YOKED, interventions.BLANKED)
            scoring.score([rows[name] for name in players], [task], engine, report, applied)
        claiming = sorted({name for players in gaining.values() for name in players}, key=names.index)
        for task, players in controls_check.owing_flipped(out, benchmark, budget, claiming).items():
            scoring.score([rows[name] for name in players], [task], engine, report, (interventions.FLIPPED,))
        scoring.check([rows[name] for name in claiming], work.ISOLATION, report)
    found = controls_check.check(out, benchmark, budget)
    path = controls_check.write(out, found)
    left_out = screen.shortfall()
    board.rescore(out, left_out)  # after the check, whose result is in the tables
    try:
        screen.print_table(_table(found))
        typer.echo(f"{scoring.seconds_played(requested):,.0f} seconds of play; {path}")
    finally:  # also where the reader of this output has left: the exit code is the answer
        if found.missed:
            raise CheckFailed(found.text)
    typer.echo(found.text)
    left_out.require_none()


def _table(found: ControlsCheck) -> rich.table.Table:
    import rich.box
    from rich.table import Table
    from rich.text import Text

    from understudy.leaderboard.controls_page import HEADINGS, line

    table = Table(title=f"{found.benchmark}, budget {found.budget}", box=rich.box.SIMPLE_HEAD)
    for heading in HEADINGS:
        table.add_column(heading)
    for result in found.as_json()["results"]:
        table.add_row(*map(Text, line(result)))
    return table
