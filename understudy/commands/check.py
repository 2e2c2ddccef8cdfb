"""`understudy check SUBMISSION`: would it be accepted, and why not."""

from __future__ import annotations

from typing import Annotated

import typer

COMMAND = typer.Typer()


@COMMAND.command("check")
def check(
    submission: Annotated[str, typer.Argument(help="A submission's folder, or the name of an entry.")],
    benchmark: Annotated[
        str | None, typer.Option(help="As in: understudy benchmarks; default: the one it declares.")
    ] = None,
) -> None:
    """Check a submission in seconds: would it be accepted, and why not."""
    from understudy.submissions.check import check as look

    report = look(submission, benchmark)
    typer.echo(f"{report.entrant.name}: would be accepted for {report.entrant.benchmark}")
    for name, value in report.facts:
        typer.echo(f"  {name}: {value}")
    for warning in report.warnings:
        typer.echo(f"  warning: {warning}")
