"""Weights in a review: gives them the logs of a stored row, and says whether they choose its moves.

A review takes any function of this form, see `leaderboard.review.Recheck`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from understudy.suite import reserved_names
from understudy.suite.errors import CheckFailed
from understudy.suite.hub import locations

if TYPE_CHECKING:
    from understudy.leaderboard.review import Rechecked
    from understudy.leaderboard.stored_rows import RowFolder

MAX_SECONDS: Final = 900.0  # of a recheck in a review; what takes longer is left to a maintainer
WINDOWS_SHARE: Final = 0.1  # of the time of playing, which windows take at most (docs/protocol.md)


def recheck(row: RowFolder, submission: str, most_seconds: float = MAX_SECONDS) -> Rechecked:
    """Give a row's logs to a submission, as `understudy verify ROW --recheck SUBMISSION` does.

    Args:
        row: the row; it is not changed.
        submission: a folder, or hf://user/repo@<commit hash>.
        most_seconds: a recheck that is expected to take longer here is not made.

    Raises:
        CheckFailed: the submission is not the row's.
        InputError: a malformed submission.
        MachineError: the Hub cannot be reached.
    """
    from understudy import rechecking
    from understudy.leaderboard import scores, stored_rows
    from understudy.leaderboard.review import Rechecked
    from understudy.submissions import expected_time
    from understudy.suite import devices
    from understudy.suite.harness import records

    if stored_rows.row_of(row).get("custom_code"):
        return Rechecked(
            None, "their architecture does not come with this package, and its code is not run here"
        )
    played_on = {records.read_job(folder)["device"] for folder in stored_rows.job_folders(row)}
    if played_on != {devices.CPU}:
        found = ", ".join(sorted(played_on))
        return Rechecked(
            None,
            f"not asked: the row says that it was played on {found}, and is rechecked there, as other "
            "devices round otherwise",
        )
    named = _of_this_checkout(row, submission)
    answers = {each.task: each.answer for each in scores.score_row(row.path.parents[2], row).verdicts}
    try:
        expected = _seconds(row, named, rechecking.is_whole(answers))
    except CheckFailed as error:  # named as the pull request names it
        raise CheckFailed(str(error).replace(named, submission)) from error
    if expected > most_seconds:
        return Rechecked(None, f"giving them the logs takes {expected_time.text(expected)}")
    checked = rechecking.check(row, named, answers)
    if checked.failures:
        return Rechecked(False, "; ".join(checked.failures))
    moves = sum(each.moves for each in checked.checks if each.what == rechecking.RECHECK)
    where = "all of them from move 0" if checked.is_whole else "in windows that were drawn for this review"
    shown = submission if locations.names_hub(submission) else "those in the pull request"
    return Rechecked(True, f"{shown} chose the moves of the logs: {moves:,} moves, {where}")


def _seconds(row: RowFolder, submission: str, is_whole: bool) -> float:
    """Return what a recheck is expected to take, from the first moves of one of the row's longest jobs."""
    from understudy import rechecking
    from understudy.submissions import expected_time

    jobs = [(planned, requested) for requested, planned, _ in rechecking.jobs(row, submission)]
    jobs = [(planned, requested) for planned, requested in jobs if not rechecking.is_trained(planned)]
    longest, requested = max(jobs, key=lambda each: each[0].job.moves)
    moves = sum(planned.job.moves for planned, _ in jobs)
    share = 1.0 if is_whole else WINDOWS_SHARE
    return share * moves * expected_time.seconds_a_move(longest, requested)


def _of_this_checkout(row: RowFolder, submission: str) -> str:
    """Return this checkout's entry in place of a copy of it, whose name would be taken by that entry."""
    from understudy.submissions import submission_format

    own = reserved_names.ENTRIES / row.benchmark / row.name
    if locations.names_hub(submission) or not reserved_names.is_entry(row.benchmark, row.name):
        return submission
    is_copy = submission_format.read(own).identity == submission_format.read(Path(submission)).identity
    return str(own) if is_copy else submission
