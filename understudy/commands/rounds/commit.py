"""`understudy rounds commit SUBMISSION...`: add submissions to the open round (for maintainers)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from understudy import arguments

if TYPE_CHECKING:
    from understudy.submissions.submission_format import Submission
    from understudy.suite.harness.rounds import Committed

COMMAND = typer.Typer()


def committed(submission: Submission) -> Committed:
    """Return what is committed of a submission."""
    from understudy.submissions import submission_format
    from understudy.suite.harness import rounds

    declared = submission.declaration
    return rounds.Committed(
        submission.identity,
        declared.benchmark,
        declared.name,
        declared.decoding,
        declared.track,
        declared.priming_moves,
        submission_format.declaration_hash(submission),
    )


@COMMAND.command("commit")
def commit(
    submissions: Annotated[
        list[str], typer.Argument(parser=arguments.text, help="Submissions' folders, or names of entries.")
    ],
    benchmark: Annotated[str, typer.Option(help="A benchmark's name; see: understudy benchmarks.")],
) -> None:
    """Add submissions' identities to the open round; commit the file to git before the salt is drawn."""
    from understudy.submissions import resolution
    from understudy.suite import benchmarks
    from understudy.suite.errors import InputError
    from understudy.suite.harness import rounds

    benchmarks.load(benchmark)
    entries = []
    for name in submissions:
        found = resolution.find(name, benchmark)
        if found is None:
            raise InputError(f"{name} is a control, whose label is fixed: it needs no round; leave it out")
        entries.append(committed(found))
    added = rounds.commit(entries)
    for entry in entries:
        typer.echo(f"round {added.name}: {entry.identity[:12]}  {entry.benchmark} {entry.name}")
    typer.echo(f"{rounds.ROUNDS}: commit this file to git, then: understudy rounds draw")
