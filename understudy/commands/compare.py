"""`understudy compare A B [...]`: differences of rows, with intervals and the runs that would tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from understudy import arguments

if TYPE_CHECKING:
    from understudy.leaderboard.comparison import Comparison

COMMAND = typer.Typer()
SUFFIXES: Final = (".png", ".svg", ".pdf", ".md", ".csv", ".tex", ".json", ".html")


@COMMAND.command("compare")
def compare(
    rows: Annotated[list[str], typer.Argument(metavar="ROW ROW...", help="Names of two rows or more.")],
    results: Annotated[
        Path | None,
        typer.Option(
            parser=arguments.folder,
            help="A folder written by `understudy score`; default: the stored results.",
        ),
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="A benchmark's name; default: the one where all these rows are.")
    ] = None,
    budget: Annotated[str | None, typer.Option(help="Its budget; default: as for the benchmark.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task; may be repeated.")] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            parser=arguments.file,
            help="Also write a table (.md, .csv, .tex, .json, .html) or a picture (.png, .svg, .pdf); may be "
            "repeated.",
        ),
    ] = None,
) -> None:
    """Compare rows: differences with intervals, probabilities of improvement, runs that would tell.

    Rows are compared unit by unit where they share teacher runs or goals, otherwise as independent samples.
    """
    from understudy import screen
    from understudy.leaderboard import comparison, comparison_tables, named_rows, stored_rows
    from understudy.suite import benchmarks

    for path in out or ():
        _require_suffix(path)
    results = results or stored_rows.RESULTS
    folders = named_rows.find(results, rows, benchmark, budget)
    comparison.asked_tasks(benchmarks.load(folders[0].benchmark), folders[0].budget, task or ())
    left_out = screen.shortfall()
    found = comparison.compare(named_rows.score(results, folders, left_out), task or ())
    for table in comparison_tables.to_terminal(found):
        screen.print_table(table)
    for line in comparison_tables.notes(found):
        screen.echo(f"- {line}")
    for path in out or ():
        _write(found, path)
        screen.echo(path)
    left_out.require_none()


def _require_suffix(path: Path) -> None:
    from understudy.suite.errors import InputError

    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"--out {path}: expected a name ending in {', '.join(SUFFIXES)}; found {path.suffix!r}"
        )


def _write(found: Comparison, path: Path) -> None:
    from understudy.leaderboard import comparison_tables
    from understudy.leaderboard.figures import compared_rows, printing
    from understudy.suite.io import files

    suffix = path.suffix.lower()
    if suffix in printing.SUFFIXES:
        printing.write(compared_rows.compared_rows(found), path)
    elif suffix == ".json":
        files.write_json(path, found.as_json())
    elif suffix == ".html":
        svg = printing.picture(compared_rows.compared_rows(found), ".svg").decode("utf-8")
        page = comparison_tables.to_html(found, svg[svg.index("<svg") :])
        files.write_atomically(path, page.encode("utf-8"))
    else:
        write = {
            ".md": comparison_tables.to_markdown,
            ".csv": comparison_tables.to_csv,
            ".tex": comparison_tables.to_latex,
        }[suffix]
        files.write_atomically(path, write(found).encode("utf-8"))
