"""`understudy rounds list`: the rounds, their salts and the submissions committed to them."""

from __future__ import annotations

import typer

COMMAND = typer.Typer()


@COMMAND.command("list")
def list_rounds() -> None:
    """List the rounds with their salts, dates and submissions."""
    from understudy.suite.harness import rounds

    for each in rounds.read():
        drawn = f"drawn {each.drawn}, salt {each.salt}" if each.salt else "open"
        typer.echo(f"round {each.name}: {drawn}")
        for entry in each.committed:
            typer.echo(f"  {entry.identity[:12]}  {entry.benchmark} {entry.name}")
