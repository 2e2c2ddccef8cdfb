"""Review of a pull request that brings a row: what it changes, whether its runs replay, how it would stand.

The rows of the target branch and the new one are laid out in a temporary folder from git's objects, so the
review is the same on a maintainer's machine and in a workflow, whatever is in the working tree.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from understudy.leaderboard import cells, eligibility, scores, stored_rows, tables, verification
from understudy.leaderboard.pull_request import ADDED, PLAIN_FILE, REMOVED, Change, PullRequest
from understudy.leaderboard.stored_rows import RowFolder, Shortfall
from understudy.suite import benchmarks, escaping, reserved_names
from understudy.suite.errors import CheckFailed, InputError, MachineError
from understudy.suite.harness import records, rounds, row_archive
from understudy.suite.io import walks

RESULTS: Final = "leaderboard/results"
ENTRIES: Final = "submissions/entries"
TABLES: Final = (f"{RESULTS}/table.md", f"{RESULTS}/table.csv")
NEEDED: Final = (records.ROW, scores.SCORES, row_archive.ARCHIVE)
ROW_FILES: Final = (*NEEDED, records.TIMING, "leaks.json")
WEIGHTS: Final = "weights"  # as what is checked, or not
MAX_FILE_BYTES: Final = 100 * 2**20  # of one file; GitHub refuses larger ones

_NAME: Final = reserved_names.NAME.pattern
_IN_ROW: Final = re.compile(rf"{RESULTS}/({_NAME})/({_NAME})/({_NAME})/(.+)", re.DOTALL)
# Each part begins with a letter, a digit or `_`: a tree of git may hold `..`, and its files are written here.
_PART: Final = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_IN_ENTRY: Final = re.compile(rf"{ENTRIES}/({_NAME})/({_NAME})/((?:{_PART}/)*{_PART})")


@dataclass(frozen=True, order=True)
class Place:
    """Where a row stands."""

    benchmark: str
    budget: str
    name: str

    @property
    def row(self) -> str:
        """The row's folder in the repository."""
        return f"{RESULTS}/{self.benchmark}/{self.budget}/{self.name}"

    @property
    def entry(self) -> str:
        """The folder of its weights, where they are in the repository."""
        return f"{ENTRIES}/{self.benchmark}/{self.name}"


@dataclass(frozen=True)
class Rechecked:
    """Whether the weights of a submission choose the moves of its row."""

    holds: bool | None  # None: not rechecked
    said: str  # what was rechecked, or why it was not


Recheck = Callable[[RowFolder, str], Rechecked]  # of a row, with the folder or hf:// name of its submission


@dataclass
class Review:
    """What a review found; its texts may hold what a stranger wrote, and are escaped where they are shown."""

    subject: str  # what the pull request brings
    refusals: list[str] = field(default_factory=list)  # one line each; none: nothing is refused
    checked: list[tuple[str, str]] = field(default_factory=list)  # what, and the result
    not_checked: list[tuple[str, str]] = field(default_factory=list)  # what, and why
    table: str | None = None  # the present rows and the new one, as Markdown, escaped; None: there is none
    notes: list[str] = field(default_factory=list)  # on the row
    next_steps: list[str] = field(default_factory=list)


def review_row(
    pull: PullRequest, recheck: Recheck, processes: int | None = None, largest: int = MAX_FILE_BYTES
) -> Review:
    """Review a pull request that brings a row.

    Args:
        pull: the pull request.
        recheck: gives the row's logs to its weights; it raises InputError or CheckFailed for weights that are
            refused, and MachineError where they cannot be fetched.
        processes: that replay; None: as many as there are cores.
        largest: bytes of one file, at most.
    """
    changes = pull.changes()
    refusals = list(_refused_changes(pull, changes, largest))
    places = sorted({place for change in changes if (place := place_of(change.path))})
    if len(places) != 1:
        found = ", ".join(place.row for place in places) or "none"
        refusals.insert(0, f"expected one row, a folder {RESULTS}/<benchmark>/<budget>/<name>; found {found}")
        return Review("no single row", refusals)
    (place,) = places
    review = Review(f"{place.name} on {place.benchmark}, budget {place.budget}", refusals)
    if refusals:
        review.not_checked.append(("its runs", "the changes are refused, so nothing of them was read"))
        return review
    try:
        benchmarks.load(place.benchmark).budget(place.budget)
    except InputError as error:
        review.refusals.append(str(error))
        return review
    with tempfile.TemporaryDirectory(prefix="understudy-review-") as temporary:
        folder = Path(temporary).resolve()
        _review_files(review, pull, place, folder, recheck, processes)
        review.refusals[:] = [_in_repository(line, folder) for line in review.refusals]
        review.checked[:] = [(what, _in_repository(line, folder)) for what, line in review.checked]
        review.not_checked[:] = [(what, _in_repository(line, folder)) for what, line in review.not_checked]
    return review


def place_of(path: str) -> Place | None:
    """Return the row to which a path in the repository belongs; None for another file."""
    found = _IN_ROW.fullmatch(path)
    return Place(*found.groups()[:3]) if found else None


def _refused_changes(pull: PullRequest, changes: Sequence[Change], largest: int) -> Iterator[str]:
    """Yield one line for each folder or file that a submission may not change."""
    new = {place for change in changes if (place := place_of(change.path)) and not _stands(pull, place)}
    others = {place for change in changes if (place := place_of(change.path))} - new
    for place in sorted(each for each in new if reserved_names.is_control(each.name)):
        yield (
            f"{place.row}: a control's row, whose answer is known and which maintainers play and add "
            "themselves; leave it out, and give a row of yours another name"
        )
    for place in sorted(others):
        yield (
            f"{place.row}: this row is on the target branch already, and a pull request leaves others' rows "
            "as they are; give yours a name of its own, or ask a maintainer to change the row"
        )
    entries = {place.entry for place in new}
    for change in changes:
        row, entry = _IN_ROW.fullmatch(change.path), _IN_ENTRY.fullmatch(change.path)
        if row and row[4] not in ROW_FILES:
            yield f"{change.path}: no file of a row, which are {', '.join(ROW_FILES)}; remove it"
        elif not row and change.path in TABLES:
            yield (
                f"{change.path}: the tables are written after the merge; take this file back: git checkout "
                f"{pull.target[:12]} -- {change.path}"
            )
        elif not row and not (entry and f"{ENTRIES}/{entry[1]}/{entry[2]}" in entries):
            yield f"{change.path}: outside of the row's folder; make it a pull request of its own"
        elif entry and change.kind != ADDED:
            yield f"{change.path}: a file of an entry that is there already; it stays as it is"
        elif change.kind != REMOVED and change.mode != PLAIN_FILE:
            yield f"{change.path}: expected a plain file, found a link or a program (mode {change.mode})"
        elif change.size_bytes > largest:
            yield f"{change.path}: {change.size_bytes:,} bytes, more than {largest:,}"


def _stands(pull: PullRequest, place: Place) -> bool:
    """Whether a row is on the target branch, or was where the pull request left it."""
    return any(pull.files_below(commit, place.row) for commit in (pull.target, pull.base))


def _review_files(
    review: Review,
    pull: PullRequest,
    place: Place,
    folder: Path,
    recheck: Recheck,
    processes: int | None,
) -> None:
    """Add to a review what its row's files, runs and weights show; they are laid out below `folder`."""
    row = _lay_out(pull, place, folder)
    missing = [name for name in NEEDED if not (row.path / name).is_file()]
    if missing:
        review.refusals.append(
            f"{place.row}: {', '.join(missing)} missing; score it again, which packs its runs: understudy "
            "score"
        )
        return
    try:
        declared = stored_rows.row_of(row)
    except InputError as error:
        review.refusals.append(str(error))
        return
    if declared["name"] != place.name:  # before anything shows it
        review.refusals.append(
            f"{row.path / records.ROW}: the row of {declared['name']!r} in the folder of {place.name!r}; "
            "rename the submission, and score it again"
        )
        return
    review.checked.append(
        ("files", f"{_count(len(walks.unfollowed(row.path)), 'file')}, each as docs/row-format.md has it")
    )
    _review_replay(review, row, processes)
    _review_round(review, declared)
    _review_weights(review, row, declared, folder / place.entry, recheck)
    _review_standing(review, row)
    _say_what_else_is_not_checked(review, row, declared)
    review.next_steps += _next_steps(review, declared, pull)


def _lay_out(pull: PullRequest, place: Place, folder: Path) -> RowFolder:
    """Write the target's rows of a benchmark and budget, and the new row with its entry, below a folder."""
    present = f"{RESULTS}/{place.benchmark}/{place.budget}"
    written = [*pull.files_below(pull.target, present)]
    written += [*pull.files_below(pull.head, place.row), *pull.files_below(pull.head, place.entry)]
    for change in written:
        if change.mode == PLAIN_FILE:
            path = folder / change.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pull.content(change))
    return RowFolder(folder / place.row, place.benchmark, place.budget, place.name)


def _review_replay(review: Review, row: RowFolder, processes: int | None) -> None:
    (finding,) = verification.verify(row.path, processes)
    review.refusals += finding.failures
    played = f"{_count(finding.runs, 'run')} of {finding.moves:,} moves"
    found = (
        f"{_count(len(finding.failures), 'difference')}, see above" if finding.failures else "no difference"
    )
    review.checked.append(
        ("replay", f"{played} through the emulator; seeds, lanes, segments, records, scores.json: {found}")
    )
    for task in finding.not_played:
        review.not_checked.append((task, "its runs were not played"))


def _review_round(review: Review, declared: dict[str, Any]) -> None:
    if declared["round"] == rounds.DEV:
        review.not_checked.append(
            (
                "round",
                "its seeds are of the round dev, whose salt everyone knows: self-reported, and not ranked",
            )
        )
        return
    drawn = {each.name: each.drawn for each in rounds.read()}.get(declared["round"])
    if drawn:  # a row of another round, or without a commitment, is a difference of the replay
        review.checked.append(
            ("round", f"round {declared['round']}, whose salt was drawn on {drawn}, after its commitments")
        )


def _review_weights(
    review: Review, row: RowFolder, declared: dict[str, Any], entry: Path, recheck: Recheck
) -> None:
    """Add whether the weights are where the row says, of its identity, and choose its moves."""
    submission = str(entry) if (entry / reserved_names.DECLARATION).is_file() else declared.get("weights")
    if submission is None:
        why = f"a model in memory, {declared['in_memory']}" if declared.get("in_memory") else "nowhere named"
        review.refusals.append(
            f"{row.path / records.ROW}: expected weights that others can fetch; found {why}; publish them "
            "(understudy submissions push) and score again by the name hf://user/repo@<commit hash> that it "
            f"prints, which plays nothing again; or add {ENTRIES}/{row.benchmark}/{row.name}"
        )
        return
    if review.refusals:
        review.not_checked.append((WEIGHTS, "not given the logs, since these do not hold"))
        return
    try:
        found = recheck(row, submission)
    except (InputError, CheckFailed) as error:
        review.refusals.append(f"weights: {error}")
    except MachineError as error:
        review.not_checked.append((WEIGHTS, str(error)))
    else:
        if found.holds is None:
            review.not_checked.append((WEIGHTS, found.said))
        else:
            review.checked.append((WEIGHTS, found.said))
        if found.holds is False:
            review.refusals.append(f"weights: {found.said}; the row is not of these weights")


def _review_standing(review: Review, row: RowFolder) -> None:
    """Add the table of the present imitators with the new row, and what there is to know of it."""
    results = row.path.parents[2]
    left_out = Shortfall(lambda line: None)
    rows = [each for each in stored_rows.rows_in(results, left_out) if _is_shown(each, row)]
    scored = scores.score_rows(results, rows, left_out)
    mine = [one for one in scored if one.folder == row]
    if not mine:
        review.not_checked.append(("its place in the table", left_out.rows.get(row, "it cannot be scored")))
        return
    shown = tables.imitators_markdown(cells.frame(scored), None)
    name = escaping.markdown(row.name)
    review.table = shown.replace(f"\n| {name} |", f"\n| **{name}** |")
    frame = cells.frame(mine)
    reasons = eligibility.unranked_because(mine[0])
    review.notes.append(_rank_note(review, reasons))
    review.notes += [*tables.remarks(frame), *tables.reasons(frame), *tables.teacher_lines(frame)]


def _rank_note(review: Review, reasons: Sequence[str]) -> str:
    """Return whether the row may be ranked: not on the word of its logs alone, which can be written."""
    if reasons:
        return f"not ranked: {'; '.join(reasons)}"
    if review.refusals:
        return "not ranked: it is refused"
    if not any(what == WEIGHTS for what, _ in review.checked):
        return (
            "not to be ranked yet: the weights were not asked whether they choose these moves; a maintainer "
            "must recheck the row first"
        )
    return "may be ranked"


def _is_shown(each: RowFolder, row: RowFolder) -> bool:
    return each == row or not stored_rows.row_of(each)["control"]


def _say_what_else_is_not_checked(review: Review, row: RowFolder, declared: dict[str, Any]) -> None:
    folders = stored_rows.job_folders(row)
    if any("@" in folder.parent.name for folder in folders):
        review.not_checked.append(
            (
                "interventions",
                "their runs replay; that these weights, or retrained ones, played them is not shown",
            )
        )
    if any((folder / records.ISOLATION).exists() for folder in folders):
        review.not_checked.append(("isolation", "the stored result is the submitter's"))
    review.not_checked.append(
        ("training", f"that it watched what it declares ({declared['watched']}), and nothing else")
    )


def _next_steps(review: Review, declared: dict[str, Any], pull: PullRequest) -> Iterator[str]:
    if review.refusals:
        yield "change what the refusals name, commit and push: this review is made again"
        yield f"the same review on your machine: python -m understudy.review {pull.target[:12]}"
        return
    if declared["round"] == rounds.DEV:
        yield "for a row that is ranked, commit the submission to the next round: docs/submitting.md"
    if any(what == WEIGHTS for what, _ in review.not_checked):
        yield (
            "before the merge a maintainer gives the logs to the weights: understudy verify ROW --recheck "
            "SUBMISSION"
        )
    yield "a maintainer reads it, merges it, and writes the tables: understudy rescore leaderboard/results"


def _in_repository(line: str, folder: Path) -> str:
    """Return a line in which paths are those of the repository, not of the temporary folder."""
    return line.replace(f"{folder}/", "")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
