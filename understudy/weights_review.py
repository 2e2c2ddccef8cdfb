"""Weights in a review: gives them the logs of a stored row, and says whether they choose its moves.

A review takes any function of this form, see `leaderboard.review.Recheck`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from understudy.leaderboard.review import Rechecked
    from understudy.leaderboard.stored_rows import RowFolder
    from understudy.suite.harness.jobs import PlannedJob
    from understudy.suite.harness.requests import RequestedRow

MAX_SECONDS: Final = 900.0  # of a recheck in a review; what takes longer is left to a maintainer


def recheck(row: RowFolder, submission: str, most_seconds: float = MAX_SECONDS) -> Rechecked:
    """Give all logs of a row's scored runs to a submission; stored results of earlier rechecks do not count.

    Args:
        row: the row. Its folder is written to: its runs are unpacked, and results stored beside them.
        submission: a folder, or hf://user/repo@<commit hash>.
        most_seconds: a recheck that is expected to take longer here is not made.

    Raises:
        InputError: a malformed submission, or one that is not the row's.
        MachineError: the Hub cannot be reached.
    """
    from understudy.leaderboard import scores, stored_rows
    from understudy.leaderboard.review import Rechecked
    from understudy.submissions import expected_time, scoring
    from understudy.suite import devices
    from understudy.suite.harness import records, work

    if stored_rows.row_of(row).get("custom_code"):
        return Rechecked(
            None, "their architecture does not come with this package, and its code is not run here"
        )
    played_on = {records.read_job(folder)["device"] for folder in stored_rows.job_folders(row)}
    if played_on != {devices.CPU}:
        found = ", ".join(sorted(played_on))
        return Rechecked(None, f"played on {found}, and rechecked there, as other devices round otherwise")
    requested = _requested(row, submission)
    planned = _planned(requested)
    moves = sum(each.job.moves for each in planned)
    expected = moves * expected_time.seconds_a_move(planned[-1], requested)
    if expected > most_seconds:
        return Rechecked(None, f"giving them the logs takes {expected_time.text(expected)}")
    scoring.check([requested], work.RECHECK)
    holds = bool(scores.rechecked(row))
    said = "chose the moves of the logs" if holds else "chose other moves than the logs'"
    logged = sum(each.job.moves * len(each.job.lanes) for each in planned)
    named = submission if requested.entry.weights else "those in the pull request"
    return Rechecked(holds, f"{named} {said}, in all {logged:,} moves")


def _requested(row: RowFolder, submission: str) -> RequestedRow:
    """Return the row as it was asked for; InputError unless the submission is the one that it declares."""
    from understudy.leaderboard import stored_rows
    from understudy.submissions import scoring
    from understudy.suite.errors import InputError
    from understudy.suite.harness import records, rounds
    from understudy.suite.harness.requests import Request

    declared = stored_rows.row_of(row)
    job = records.read_job(stored_rows.job_folders(row)[0])
    request = Request(
        _of_this_checkout(row, submission),
        row.benchmark,
        row.budget,
        row.path.parents[2],
        lanes=len(job["lanes"]),
        threads=job["threads"],
        restart=True,  # a result that came with the row shows nothing
        round=rounds.load(declared["round"]),
    )
    (requested,) = scoring.rows_of([request])
    entry = requested.entry
    for key, found in (
        ("name", entry.name),
        ("identity", entry.identity),
        ("declaration", entry.declaration),
    ):
        if found != declared[key]:
            raise InputError(
                f"{submission}: expected the submission of the row, whose {key} is {declared[key]}; found "
                f"{found}; publish the row's weights, or score a row of these"
            )
    return requested


def _of_this_checkout(row: RowFolder, submission: str) -> str:
    """Return this checkout's entry in place of a copy of it, whose name would be taken by that entry."""
    from pathlib import Path

    from understudy.submissions import submission_format
    from understudy.suite import reserved_names
    from understudy.suite.hub import locations

    own = reserved_names.ENTRIES / row.benchmark / row.name
    if locations.names_hub(submission) or not reserved_names.is_entry(row.benchmark, row.name):
        return submission
    is_copy = submission_format.read(own).identity == submission_format.read(Path(submission)).identity
    return str(own) if is_copy else submission


def _planned(row: RequestedRow) -> list[PlannedJob]:
    """Return the jobs of a row that were played, without interventions; the last one has the longest runs."""
    from understudy.suite.harness import work

    items = work.check_items(row, work.RECHECK)
    return sorted((each for item in items for each in row.jobs(item.role)), key=lambda each: each.job.moves)
