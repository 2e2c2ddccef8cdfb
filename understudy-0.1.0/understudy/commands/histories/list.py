"""`understudy histories list WHERE`: list the runs of a folder or of a dataset on the Hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy import arguments
from understudy.suite.io import file_names

if TYPE_CHECKING:
    from understudy.suite.hub.locations import Location

COMMAND = typer.Typer()


@COMMAND.command("list")
def list_runs(
    where: Annotated[
        str,
        typer.Argument(
            parser=arguments.text, metavar="FOLDER|USER/REPO[@REVISION]", help="Or hf://datasets/..."
        ),
    ],
) -> None:
    """List the runs of a folder, or of a dataset on the Hub without downloading it."""
    from understudy.suite.hub import client, locations

    folder = Path(where)
    if not locations.names_hub(where) and folder.is_dir():
        _show_folder(folder)
        return
    named = locations.parse(where) if locations.names_hub(where) else _repo(where)
    location = client.resolve(named)
    typer.echo(str(location))
    here = client.cached(location)
    if here is not None:
        _show_folder(client.fetch(location))
    else:
        _show_remote(location)


def _repo(text: str) -> Location:
    from understudy.suite.errors import InputError
    from understudy.suite.hub import locations

    try:
        return locations.parse_repo(text, "dataset")
    except InputError as error:
        raise InputError(f"{text}: no such folder, and no user/repo[@revision] of the Hub") from error


def _show_folder(folder: Path) -> None:
    """Print a row for each run, read from its history."""
    from understudy.suite.histories import publishing
    from understudy.suite.histories.publishing import skill_text
    from understudy.suite.hub import client

    rows = [("run", "game", "seed", "moves", "episodes", "first skill", "last skill", "size", "content")]
    for run in publishing.survey(folder):
        skills = (skill_text(run.first_skill), skill_text(run.last_skill))
        counts = (str(run.seed), f"{run.moves:,}", f"{run.episodes:,}")
        rows.append(
            (run.name, run.game, *counts, *skills, client.size(run.size_bytes), run.content_sha256[:12])
        )
    _print(rows)


def _show_remote(location: Location) -> None:
    """Print the runs' names and sizes, as the Hub lists them; the rest needs the files."""
    from understudy.suite.errors import InputError
    from understudy.suite.histories import publishing
    from understudy.suite.hub import client

    listed = client.entries(location)
    names = [path.rpartition("/")[0] for path in sorted(listed) if path.endswith(f"/{file_names.HISTORY}")]
    archives = [path for path in sorted(listed) if path.endswith(f"/{file_names.HISTORIES}")]
    if not names and not archives:
        raise InputError(f"{location}: expected runs as {publishing.LAYOUT}, found none")
    rows = [("run", "size")]
    for name in names:
        size_bytes = sum(entry.size_bytes for path, entry in listed.items() if path.startswith(f"{name}/"))
        rows.append((name, client.size(size_bytes)))
    rows += [(path, client.size(listed[path].size_bytes)) for path in archives]
    _print(rows)
    total = client.size(sum(entry.size_bytes for entry in listed.values()))
    packed = f", {len(archives)} archive{'' if len(archives) == 1 else 's'} of runs" if archives else ""
    typer.echo(
        f"{len(names)} runs{packed}, {total} in all; moves and skills: understudy histories pull {location}",
        err=True,
    )


def _print(rows: Sequence[tuple[str, ...]]) -> None:
    """Print aligned columns; the first row is their headings."""
    from understudy import screen

    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        screen.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
