"""`understudy check SUBMISSION`: check whether a submission would be accepted, and if not, why."""

from __future__ import annotations

from typing import Annotated

import typer

from understudy import arguments

COMMAND = typer.Typer()


@COMMAND.command("check")
def check_submission(
    submission: Annotated[
        str,
        typer.Argument(
            parser=arguments.text,
            help="A submission's folder, hf://user/repo@<commit hash>, or the name of an entry.",
        ),
    ],
    benchmark: Annotated[
        str | None, typer.Option(help="A benchmark's name; default: the one that it declares.")
    ] = None,
) -> None:
    """Check, without playing, whether a submission would be accepted, and if not, why."""
    from understudy import screen
    from understudy.submissions import check

    report = check.check(submission, benchmark)
    screen.echo(f"{report.name}: would be accepted for {report.benchmark}")
    for name, value in report.facts:
        screen.echo(f"  {name}: {value}")
    for warning in report.warnings:
        screen.echo(f"  warning: {warning}")
