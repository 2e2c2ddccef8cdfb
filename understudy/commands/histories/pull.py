"""`understudy histories pull USER/REPO[@REVISION]`: download runs from the Hub, pinned and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from understudy import arguments

COMMAND = typer.Typer()


@COMMAND.command("pull")
def pull(
    repo: Annotated[
        str, typer.Argument(metavar="USER/REPO[@REVISION]", help="A dataset; a commit hash, tag or branch.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(parser=arguments.folder, help="Also copy the files to this folder, new or empty."),
    ] = None,
) -> None:
    """Download runs from the Hub and check them. Prints the pinned name."""
    from understudy import screen
    from understudy.suite.hub import client, folders, locations

    named = locations.parse(repo) if locations.names_hub(repo) else locations.parse_repo(repo, "dataset")
    location = client.resolve(named)
    if out is not None and folders.holds(out, location):
        typer.echo(f"{out}: already pulled, checked again", err=True)
    else:
        fetched = client.fetch(location, lambda line: screen.echo(line, err=True))
        if out is not None:
            folders.copy(fetched, location, out)
    typer.echo(str(location))
