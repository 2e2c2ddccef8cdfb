"""`understudy instrument --benchmark B`: players with known answers must get them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import rich.table

    from understudy.leaderboard.instrument import Check

COMMAND = typer.Typer()
MIN_WIDTHS = {"player": 18, "question": 11, "expected": 8}
FILE_COLUMNS = 160  # of a table that isn't shown on a terminal


@COMMAND.command("instrument")
def instrument(
    benchmark: Annotated[str, typer.Option(help="As in: understudy benchmarks.")],
    out: Annotated[Path, typer.Option(help="The folder for the players' lives; those in it stay.")],
    budget: Annotated[str, typer.Option(help="full, tenth or quick.")] = "quick",
    threads: Annotated[int, typer.Option(min=1, max=1024, help="Of the players and the emulators.")] = 1,
    engine: Annotated[
        str, typer.Option(help="serial, or process: jobs side by side on all cores.")
    ] = "process",
    lanes: Annotated[
        int | None,
        typer.Option(
            help="Lives in lock-step; more tell smaller gains. Default: the budget's, and above quick at "
            "least one of each watched game."
        ),
    ] = None,
    known_only: Annotated[
        bool, typer.Option("--known-only", help="Leave out players that are measured, nothing expected.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Play their lives anew.")] = False,
) -> None:
    """Check the instrument: players with known answers must get them; exit code 1 if one does not."""
    from rich.console import Console

    from understudy import screen
    from understudy.leaderboard import instrument as checks
    from understudy.leaderboard import scores
    from understudy.submissions import requests, scoring
    from understudy.suite import benchmarks, probes
    from understudy.suite.errors import CheckFailed

    declared = benchmarks.load(benchmark)
    lanes = lanes or checks.lanes_of(declared, budget)
    players = checks.players_of(declared.family, declared.budget(budget).tasks, measured=not known_only)
    rows = {name: requests.Request(name, benchmark, budget, out, lanes, threads, restart) for name in players}
    with screen.progress() as shown:

        def report(at: requests.Progress) -> None:
            shown.report(f"{at.row} {at.role}", at.moves, at.target_moves)

        scoring.score(list(rows.values()), None, engine, report)
        gaining = checks.claiming_yes(out, benchmark, budget, players)
        for task, names in gaining.items():
            scoring.score(
                [rows[name] for name in names], [task], engine, report, (probes.YOKED, probes.BLANKED)
            )
        claiming = sorted({name for names in gaining.values() for name in names}, key=players.index)
        for task, names in checks.owing_flipped(out, benchmark, budget, claiming).items():
            scoring.score([rows[name] for name in names], [task], engine, report, (probes.FLIPPED,))
        scoring.check([rows[name] for name in claiming], scoring.ISOLATION, report)
    scores.rescore(out)
    found = checks.check(out, benchmark, budget)
    path = checks.write(out, found)
    console = Console()
    Console(width=None if console.is_terminal else FILE_COLUMNS).print(_table(found))
    typer.echo(f"{scoring.seconds_played(list(rows.values())):,.0f} seconds of play; {path}")
    if found.missed:
        raise CheckFailed(found.text)
    typer.echo(found.text)


def _table(found: Check) -> rich.table.Table:
    import rich.box
    from rich.table import Table
    from rich.text import Text

    from understudy.leaderboard.instrument_page import HEADINGS, line

    table = Table(title=f"{found.benchmark}, budget {found.budget}", box=rich.box.SIMPLE_HEAD)
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold", min_width=MIN_WIDTHS.get(heading))
    for finding in found.as_json()["findings"]:
        table.add_row(*map(Text, line(finding)))
    return table
