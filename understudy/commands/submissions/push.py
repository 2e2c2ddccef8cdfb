"""`understudy submissions push FOLDER USER/REPO`: publish a submission on the Hub, in one commit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy import arguments

if TYPE_CHECKING:
    from understudy.submissions.hub_results import PublishedRow
    from understudy.submissions.publishing import Publication

COMMAND = typer.Typer()


@COMMAND.command("push")
def push(
    folder: Annotated[Path, typer.Argument(parser=arguments.folder, help="A submission's folder.")],
    repo: Annotated[
        str, typer.Argument(metavar="USER/REPO", help="A model on the Hub; created if it doesn't exist.")
    ],
    results: Annotated[
        Path | None,
        typer.Option(
            parser=arguments.folder,
            help="Publish its results too: a results folder, or the folder of one of its rows.",
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--licence",
            "--license",
            help="The Hub's identifier of a licence, e.g. mit; default: none stated.",
        ),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Create a private model.")] = False,
    message: Annotated[str | None, typer.Option(help="The commit message; default: its name.")] = None,
    tag: Annotated[str | None, typer.Option(help="A tag for the commit, e.g. v1; it never moves.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be written; write nothing.")
    ] = False,
) -> None:
    """Check a submission and publish it on the Hub: one commit with a card. Prints the pinned name."""
    from understudy import hub_publishing
    from understudy.submissions import check, publishing
    from understudy.suite.hub import commits

    location = hub_publishing.location(repo, "model", tag)
    report = check.check(os.path.join(os.curdir, folder))  # a folder, also if it is named like an entry
    rows = [] if results is None else _rows(results, report.name, report.benchmark)
    publication = publishing.prepare(report, folder, location, licence, rows)
    publishing.refuse_other_kind(location)
    planned = commits.plan(publication.contents, location)
    _show(publication, report.warnings, results is not None)
    hub_publishing.show(
        planned, f"{report.name}{f' under {licence}' if licence else ', no licence stated'}", location
    )
    if dry_run:
        return
    typer.echo(str(commits.publish(publication.contents, location, message or report.name, private, tag)))


def _rows(results: Path, name: str, benchmark: str) -> list[PublishedRow]:
    """Return a submission's rows; InputError if there are none."""
    from understudy.leaderboard import eligibility, stored_rows
    from understudy.submissions.hub_results import PublishedRow
    from understudy.suite import benchmarks
    from understudy.suite.errors import InputError

    _, rows = stored_rows.every_row_at(results)
    found = [row for row in rows if (row.name, row.benchmark) == (name, benchmark)]
    if not found:
        raise InputError(
            f"{results}: no row of {name} on {benchmark}; score it: understudy score FOLDER --benchmark "
            f"{benchmark} --out RESULTS"
        )
    budgets = [each.name for each in benchmarks.load(benchmark).budgets]
    return [
        PublishedRow(row.path, row.budget, eligibility.unranked_because_stored(row))
        for row in sorted(found, key=lambda row: budgets.index(row.budget))
    ]


def _show(publication: Publication, warnings: tuple[str, ...], has_results: bool) -> None:
    """Print on standard error what the check warned of, and what is not published."""
    from understudy import screen

    for name in publication.left_out:
        screen.echo(f"left out, not part of the submission: {name}", err=True)
    for warning in warnings:
        screen.echo(f"warning: {warning}", err=True)
    if has_results and not publication.datasets:
        screen.echo(
            "results go into the card only: .eval_results has to name a dataset on the Hub, and no run that "
            "it watched is known to be in one",
            err=True,
        )
