"""`understudy rounds draw`: draw the salt of the open round (for maintainers)."""

from __future__ import annotations

import typer

COMMAND = typer.Typer()


@COMMAND.command("draw")
def draw() -> None:
    """Draw the salt of the open round, from which its rows' seeds derive; no submission can join it then."""
    from understudy.suite.harness import rounds

    drawn = rounds.draw()
    typer.echo(f"round {drawn.name}: salt {drawn.salt}, drawn {drawn.drawn}")
    typer.echo(f"{rounds.ROUNDS}: commit this file to git; next: understudy score --round {drawn.name}")
