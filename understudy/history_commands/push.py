"""`understudy histories push FOLDER USER/REPO`: lives published on the Hub, in one commit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from understudy.suite.histories.publishing import Publication
    from understudy.suite.hub.commits import Plan

COMMAND = typer.Typer()


@COMMAND.command("push")
def push(
    folder: Annotated[Path, typer.Argument(help="Lives as <benchmark>/<variant>/seed-<k>/history.parquet.")],
    repo: Annotated[str, typer.Argument(metavar="USER/REPO", help="A data set on the Hub; made if absent.")],
    private: Annotated[bool, typer.Option("--private", help="If the data set has to be made.")] = False,
    message: Annotated[str | None, typer.Option(help="Of the commit; default: how many lives.")] = None,
    tag: Annotated[str | None, typer.Option(help="A name for the commit, e.g. v1; it never moves.")] = None,
    replay: Annotated[bool, typer.Option("--replay", help="First play every move again.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be written, write nothing.")
    ] = False,
) -> None:
    """Publish lives on the Hub: one commit with a card and a manifest. Prints the pinned name."""
    from understudy.suite.errors import InputError
    from understudy.suite.histories import publishing
    from understudy.suite.hub import commits, locations

    location = locations.parse_repo(repo, "dataset")
    if location.revision is not None:
        raise InputError(
            f"{repo}: expected user/repo alone; a commit goes on top of the newest, --tag names it"
        )
    if tag is not None:
        locations.parse_repo(f"{repo}@{tag}", "dataset")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    publication = publishing.prepare(folder, location.repo)
    if replay:
        _require_replayed(folder, publication)
    planned = commits.plan(publication.contents, location)
    _show(publication, planned)
    if dry_run:
        return
    says = message or f"{len(publication.lives)} lives"
    published = commits.publish(publication.contents, location, says, private, tag)
    typer.echo(str(published))


def _show(publication: Publication, planned: Plan) -> None:
    """Say on standard error what a commit would do."""
    from understudy.suite.histories import publishing
    from understudy.suite.hub import client

    def say(line: str) -> None:
        typer.echo(line, err=True)

    if publication.left_out:
        first, *others = publication.left_out
        say(f"left out, no part of a life: {first}{f' and {len(others)} more' if others else ''}")
    if planned.empty:
        say("nothing to do: the Hub holds these very files")
        return
    say(
        f"{len(publication.lives)} lives under {publishing.LICENCE}: {len(planned.added)} files to add, "
        f"{len(planned.changed)} to change, {len(planned.removed)} to remove, "
        f"{client.size(planned.size_bytes)}{'; the data set is new' if planned.parent is None else ''}"
    )
    for path in planned.removed:
        say(f"removed there, not in the folder: {path}")


def _require_replayed(folder: Path, publication: Publication) -> None:
    from understudy import screen
    from understudy.suite.errors import CheckFailed
    from understudy.suite.histories import format as history_format
    from understudy.suite.histories import publishing, replay

    histories = [history_format.read(folder / life.name / publishing.HISTORY) for life in publication.lives]
    with screen.progress() as shown:
        found = replay.verify_lives(histories, report=lambda done, total: shown.report("replay", done, total))
    for life, difference in zip(publication.lives, found, strict=True):
        if difference:
            raise CheckFailed(f"{folder / life.name}: differs: {difference}; nothing was published")
