"""`understudy histories push FOLDER USER/REPO`: publish runs on the Hub, in one commit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy import arguments

if TYPE_CHECKING:
    from understudy.suite.histories.publishing import Publication

COMMAND = typer.Typer()


@COMMAND.command("push")
def push(
    folder: Annotated[
        Path,
        typer.Argument(
            parser=arguments.folder, help="Runs as <benchmark>/<variant>/seed-<k>/history.parquet."
        ),
    ],
    repo: Annotated[
        str, typer.Argument(metavar="USER/REPO", help="A dataset on the Hub; created if it doesn't exist.")
    ],
    private: Annotated[bool, typer.Option("--private", help="Create a private dataset.")] = False,
    message: Annotated[
        str | None, typer.Option(help="The commit message; default: the number of runs.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="A tag for the commit, e.g. v1; it never moves.")] = None,
    replay: Annotated[bool, typer.Option("--replay", help="Replay every move first.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be written; write nothing.")
    ] = False,
) -> None:
    """Publish runs on the Hub: one commit with a card and a manifest. Prints the pinned name."""
    from understudy import hub_publishing
    from understudy.suite.errors import InputError
    from understudy.suite.histories import publishing
    from understudy.suite.hub import commits

    location = hub_publishing.location(repo, "dataset", tag)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    publication = publishing.prepare(folder, location.repo)
    if replay:
        _require_replayed(folder, publication)
    planned = commits.plan(publication.contents, location)
    _show_left_out(publication)
    what = f"{len(publication.runs)} runs under {publishing.LICENCE}"
    hub_publishing.show(planned, what, location)
    if dry_run:
        return
    message = message or f"{len(publication.runs)} runs"
    published = commits.publish(publication.contents, location, message, private, tag)
    typer.echo(str(published))


def _show_left_out(publication: Publication) -> None:
    from understudy import screen

    if publication.left_out:
        first, *others = publication.left_out
        others_too = f" and {len(others)} more" if others else ""
        screen.echo(f"left out, not part of a run: {first}{others_too}", err=True)


def _require_replayed(folder: Path, publication: Publication) -> None:
    from understudy import screen
    from understudy.suite.errors import CheckFailed
    from understudy.suite.histories import history_format, replay

    histories = [history_format.read(run.history_in(folder)) for run in publication.runs]
    for history in histories:
        replay.require_comparable(history)
    with screen.progress() as shown:
        found = replay.verify_runs(histories, report=lambda done, total: shown.report("replay", done, total))
    for run, difference in zip(publication.runs, found, strict=True):
        if difference:
            raise CheckFailed(f"{folder / run.name}: differs: {difference}; nothing was published")
