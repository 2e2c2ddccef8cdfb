"""`understudy check SUBMISSION`: check whether a submission would be accepted, and if not, why."""

from __future__ import annotations

from typing import Annotated

import typer

from understudy import arguments

COMMAND = typer.Typer()


@COMMAND.command("check")
def check_submission(
    submission: Annotated[
        str | None,
        typer.Argument(
            parser=arguments.text,
            help="A submission's folder, hf://user/repo@<commit hash>, or the name of an entry.",
        ),
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(
            help="A benchmark's name; default: the one that it declares; of an architecture, darkroom-v1."
        ),
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PACKAGE.MODULE:OBJECT",
            help="Instead of a submission: run the conformance kit on an architecture.",
        ),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the architecture; may be repeated."),
    ] = None,
) -> None:
    """Check, without playing, whether a submission would be accepted, and if not, why.

    Or check an architecture: --architecture mylab.lstm:OBJECT.
    """
    from understudy import screen
    from understudy.submissions import check
    from understudy.suite.errors import InputError

    if (submission is None) == (architecture is None):
        raise InputError("expected a submission or --architecture, one of them; see: understudy check --help")
    if architecture is not None:
        numbers = arguments.numbers(setting or [])
        report = check.check_architecture(architecture, benchmark or "darkroom-v1", numbers)
        screen.echo(f"{report.name}: passes the conformance kit in {report.benchmark}")
    else:
        if setting:
            raise InputError("--set: a submission has its settings; give it with --architecture only")
        assert submission is not None
        report = check.check(submission, benchmark)
        screen.echo(f"{report.name}: would be accepted for {report.benchmark}")
    for name, value in report.facts:
        screen.echo(f"  {name}: {value}")
    for warning in (*report.warnings, *(f"{name} is not part of the submission" for name in report.surplus)):
        screen.echo(f"  warning: {warning}")
