"""`understudy release NUMBER`: freeze rows, teacher data and protocol, or compare them with a release."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date as Date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy import arguments

if TYPE_CHECKING:
    from understudy.leaderboard.scores import ScoredRow

COMMAND = typer.Typer()


@COMMAND.command("release")
def release(
    number: Annotated[int, typer.Argument(min=1, help="Of the release: 1, 2, ...")],
    results: Annotated[
        Path | None,
        typer.Option(parser=arguments.folder, help="The rows; default: those of this checkout."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Say whether the present rows are still those of the release.")
    ] = False,
    date: Annotated[str | None, typer.Option(help="Of the release, YYYY-MM-DD; default: today.")] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Worker processes that replay; default: all cores.")
    ] = None,
) -> None:
    """Verify every row, and freeze rows, teacher data and protocol under a number that never changes.

    Rows that are not committed to git, cannot be read or fail verification are refused. With --check nothing
    is written, and the exit code is 1 if a frozen row is no longer what it was.
    """
    from understudy import screen
    from understudy.leaderboard import releases, scores, stored_rows

    day = _date(date)
    chosen = stored_rows.RESULTS if results is None else results
    folder = releases.folder_of(chosen)
    if check:
        releases.load(number, folder)  # before minutes of scoring
        _compare(number, folder, scores.score_all(chosen, screen.shortfall()))
        return
    releases.require_new(number, folder)
    releases.require_committed(chosen)
    _verify(chosen, processes)
    path = releases.freeze(number, scores.score_all(chosen), folder, day)
    screen.echo(f"{path}: release {number}, {day}; commit this file to git")


def _compare(number: int, folder: Path, scored: Sequence[ScoredRow]) -> None:
    """Print what the rows of a release are no longer; raise CheckFailed if there is something."""
    from understudy import screen
    from understudy.leaderboard import releases
    from understudy.suite.errors import CheckFailed

    found = releases.load(number, folder)
    differing = list(releases.differences(found, scored))
    for line in differing:
        screen.echo(line)
    added = releases.added(found, scored)
    since = f"; rows added since: {added}" if added else ""
    if differing:
        raise CheckFailed(f"release {number}: {len(differing)} differences, as named above{since}")
    screen.echo(f"release {number} of {found.date}: its {len(found.rows)} rows are what they were{since}")


def _date(text: str | None) -> Date:
    """Return the date of a text YYYY-MM-DD, or today; InputError for another text."""
    from understudy.suite.errors import InputError

    try:
        return Date.today() if text is None else Date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"--date: expected YYYY-MM-DD, found {text!r}") from error


def _verify(results: Path, processes: int | None) -> None:
    """Verify every row; raise CheckFailed with the first failure."""
    from understudy import screen
    from understudy.leaderboard import verification
    from understudy.suite.histories import replay_notes

    with screen.progress() as shown:
        findings = verification.verify(
            results,
            processes,
            lambda done, total: shown.report("replay", done, total),
            notes=replay_notes.of_this_user(again=False),
        )
    verification.require(findings)
