"""`understudy rounds commit SUBMISSION...`: add submissions to the open round (for maintainers)."""

from __future__ import annotations

from typing import Annotated

import typer

from understudy import arguments

COMMAND = typer.Typer()


@COMMAND.command("commit")
def commit(
    submissions: Annotated[
        list[str],
        typer.Argument(
            parser=arguments.text,
            help="Submissions' folders, hf://user/repo@<commit hash>, or names of entries.",
        ),
    ],
    benchmark: Annotated[str, typer.Option(help="A benchmark's name; see: understudy benchmarks.")],
) -> None:
    """Add submissions' identities to the open round; commit the file to git before the salt is drawn."""
    from understudy.submissions import resolution
    from understudy.suite import benchmarks
    from understudy.suite.errors import InputError
    from understudy.suite.harness import rounds

    declared = benchmarks.load(benchmark)
    runs = benchmarks.teacher_runs(declared)
    entries = []
    for name in submissions:
        committed = resolution.resolve(name, declared, runs).committed
        if committed is None:
            raise InputError(f"{name} is a control, whose label is fixed: it needs no round; leave it out")
        entries.append(committed)
    added = rounds.commit(entries)
    for entry in entries:
        typer.echo(f"round {added.name}: {entry.identity[:12]}  {entry.benchmark} {entry.name}")
    typer.echo(f"{rounds.ROUNDS}: commit this file to git, then: understudy rounds draw")
