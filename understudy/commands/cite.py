"""`understudy cite [NAME]`: BibTeX of the suite, a release or a row, and a row's badge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy import arguments

if TYPE_CHECKING:
    from understudy.leaderboard.scores import ScoredRow

COMMAND = typer.Typer()


@COMMAND.command("cite")
def cite(
    name: Annotated[
        str | None, typer.Argument(parser=arguments.text, help="Of a row; without it: the suite.")
    ] = None,
    benchmark: Annotated[str | None, typer.Option(help="Of the row.")] = None,
    budget: Annotated[str | None, typer.Option(help="Of the row: full, tenth or quick.")] = None,
    release: Annotated[
        int | None, typer.Option(min=1, help="A frozen release, or a row as it froze.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(parser=arguments.folder, help="The rows; default: those of this checkout."),
    ] = None,
    badge: Annotated[
        Path | None,
        typer.Option(parser=arguments.file, help="Also write the row's answer to --task as an SVG badge."),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="First print a sentence that reports this answer: skill, improvement or transfer."),
    ] = None,
) -> None:
    """Print BibTeX for the suite, for a frozen release, or for one row with its answers.

    BibTeX takes text before an entry, as the sentence of --task, for a comment.
    """
    from understudy import screen
    from understudy.leaderboard import citations, releases, stored_rows
    from understudy.suite.errors import InputError

    chosen = stored_rows.RESULTS if results is None else results
    frozen = None if release is None else releases.load(release, releases.folder_of(chosen))
    of_row = {"--benchmark": benchmark, "--budget": budget}
    if name is None:
        given = [option for option, value in {**of_row, "--badge": badge, "--task": task}.items() if value]
        if given:
            raise InputError(f"{given[0]}: expected the NAME of a row before it; see: understudy cite --help")
        citation = citations.of_suite() if frozen is None else citations.of_release(frozen)
        typer.echo(str(citation), nl=False)
        return
    missing = [option for option, value in of_row.items() if not value]
    if missing:
        raise InputError(f"{name}: expected {missing[0]} too, which with the name says which row is meant")
    if badge is not None and task is None:
        raise InputError("--badge: expected --task too, which says what is on the badge")
    one = _scored(chosen, str(benchmark), str(budget), name)
    text = str(citations.of_row(one, frozen))
    if badge is not None:
        _write_badge(one, str(task), badge)
    if task is not None:
        screen.echo(citations.report(one, task))
        typer.echo()
    typer.echo(text, nl=False)


def _scored(results: Path, benchmark: str, budget: str, name: str) -> ScoredRow:
    """Return a row, scored by the present rules; InputError if there is none of this name."""
    from understudy.leaderboard import scores, stored_rows
    from understudy.suite import benchmarks, registry

    declared = benchmarks.load(benchmark)
    declared.budget(budget)
    every = stored_rows.every_row_in(results)
    rows = {row.name: row for row in every if (row.benchmark, row.budget) == (benchmark, budget)}
    registry.choose(name, rows, f"row at {benchmark}, budget {budget}:")
    return scores.score_row(results, rows[name])


def _write_badge(one: ScoredRow, task: str, path: Path) -> None:
    from understudy import screen
    from understudy.leaderboard import citations
    from understudy.suite.errors import InputError
    from understudy.suite.io import files

    if path.suffix.lower() != ".svg":
        raise InputError(f"{path}: expected a name ending in .svg; found {path.suffix!r}")
    files.write_atomically(path, citations.badge_of_row(one, task).encode())
    screen.echo(f"{path}: badge", err=True)
