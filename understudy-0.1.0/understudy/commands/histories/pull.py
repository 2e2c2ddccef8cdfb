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
        str | None,
        typer.Argument(metavar="USER/REPO[@REVISION]", help="A dataset; a commit hash, tag or branch."),
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="Instead: the pinned runs of a benchmark that are not here yet.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=arguments.folder, help="Also copy the files to this folder, new or empty."),
    ] = None,
) -> None:
    """Download runs from the Hub and check them. Prints the pinned name."""
    from understudy import screen
    from understudy.suite.errors import InputError
    from understudy.suite.hub import client, folders, locations

    if (repo is None) == (benchmark is None):
        raise InputError(
            "expected a dataset or --benchmark, one of them; see: understudy histories pull --help"
        )
    if benchmark is not None:
        _pull_missing(benchmark)
        return
    assert repo is not None
    named = locations.parse(repo) if locations.names_hub(repo) else locations.parse_repo(repo, "dataset")
    location = client.resolve(named)
    if out is not None and folders.holds(out, location):
        screen.echo(f"{out}: already pulled, checked again", err=True)
    else:
        fetched = client.fetch(location, lambda line: screen.echo(line, err=True))
        if out is not None:
            folders.copy(fetched, location, out)
    screen.echo(str(location))


def _pull_missing(name: str) -> None:
    """Download the pinned runs of a benchmark that are not here; InputError if some are not published."""
    from understudy import screen
    from understudy.suite import benchmarks
    from understudy.suite.benchmarks import pinned_runs, pins
    from understudy.suite.errors import InputError
    from understudy.suite.hub import client, locations

    benchmark = benchmarks.load(name)
    pinned = pins.of(benchmark)
    missing = pinned_runs.missing(pinned, benchmark)
    sources = {pin.source for run in missing if (pin := pinned.longest_of(run))}
    for source in [each for each in pinned.published if each in sources]:
        client.fetch(locations.parse(source), lambda line: screen.echo(line, err=True))
        screen.echo(source)
    still = pinned_runs.missing(pinned, benchmark) if sources else missing
    total = len(pinned.names(benchmark, benchmark.games))
    if still:
        first = pinned.longest_of(still[0])
        remedy = {
            None: "it is not published yet: ask its maintainers, or take it from a checkout",
            pins.EMBEDDED: "it comes with the package: unset UNDERSTUDY_DATA, or install the package again",
        }.get(
            first.source if first else None,
            "it was fetched, but UNDERSTUDY_DATA names other folders: unset it",
        )
        raise InputError(
            f"{name}: {len(still)} of {total} pinned runs are missing; first {still[0]}; {remedy}"
        )
    screen.echo(f"{name}: all {total} pinned runs are here")
