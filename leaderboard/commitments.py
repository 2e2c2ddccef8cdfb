"""Review of a pull request that commits submissions to the open round; drawn rounds stay as they are."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from understudy.leaderboard.pull_request import PLAIN_FILE, REMOVED, PullRequest
from understudy.leaderboard.review import Review
from understudy.suite import benchmarks, reserved_names
from understudy.suite.errors import InputError
from understudy.suite.harness import rounds
from understudy.suite.harness.rounds import Committed, Round

PATH = "leaderboard/rounds.json"


def is_commitment(pull: PullRequest) -> bool:
    """Whether a pull request changes the file of the rounds and nothing else."""
    return [change.path for change in pull.changes()] == [PATH]


def review(pull: PullRequest) -> Review:
    """Review a pull request that changes nothing but the file of the rounds."""
    found = Review("a commitment to a round")
    (change,) = pull.changes()
    if change.kind == REMOVED or change.mode != PLAIN_FILE:
        found.refusals.append(f"{PATH}: expected a plain file, as on the target branch; take it back")
        return found
    try:
        before, after = _rounds(pull, pull.target), _rounds(pull, pull.head)
    except InputError as error:
        found.refusals.append(str(error))
        return found
    found.refusals += _refused(before, after)
    if not found.refusals:
        new = _new(before, after)
        found.refusals += [line for each in new for line in _refused_name(each)]
        found.refusals += [f"{PATH}: {each.name!r}: {why}" for each, why in _unfit(new, before, after)]
        for each in new:
            found.checked.append(
                (f"round {after[-1].name}", f"{each.name} on {each.benchmark}, {each.identity}")
            )
        found.not_checked.append(
            ("weights", "only their hash is committed; whose it is shows when the row comes")
        )
        if len(new) > 1:
            found.not_checked.append(
                ("choice", f"a row of one of these {len(new)}, without the others, is the best of {len(new)}")
            )
        found.next_steps.append(
            f"a maintainer merges it, and draws the salt of round {after[-1].name} when it closes; then "
            f"score the submission: understudy score SUBMISSION --round {after[-1].name}"
        )
    return found


def _rounds(pull: PullRequest, commit: str) -> list[Round]:
    """Return the rounds in a commit; InputError unless the file is well formed."""
    data = pull.read(commit, PATH)
    if data is None:
        return []
    with tempfile.TemporaryDirectory(prefix="understudy-review-") as folder:
        path = Path(folder) / "rounds.json"
        path.write_bytes(data)
        try:
            return rounds.read(path)
        except InputError as error:
            raise InputError(str(error).replace(str(path), PATH)) from error


def _refused(before: Sequence[Round], after: Sequence[Round]) -> Iterator[str]:
    """Yield why the rounds of the head do not follow from those of the target by commitments alone."""
    drawn = [each for each in before if each.salt is not None]
    if list(after[: len(drawn)]) != drawn:
        yield f"{PATH}: a drawn round differs from the target branch's; merge that branch, and commit again"
        return
    rest = after[len(drawn) :]
    if any(each.salt is not None for each in rest):
        yield f"{PATH}: a salt is drawn by a maintainer on the target branch, not in a pull request"
        return
    open_before = next((each.committed for each in before if each.salt is None), ())
    open_after = rest[0].committed if rest else ()
    if not set(open_before) <= set(open_after):
        yield f"{PATH}: a commitment of the open round is gone; merge the target branch, and commit again"
    elif open_before == open_after:
        yield f"{PATH}: nothing is committed; see: understudy rounds commit"


def _new(before: Sequence[Round], after: Sequence[Round]) -> list[Committed]:
    known = {each for found in before if found.salt is None for each in found.committed}
    return [each for each in after[-1].committed if each not in known]


def _unfit(
    new: Sequence[Committed], before: Sequence[Round], after: Sequence[Round]
) -> Iterator[tuple[Committed, str]]:
    """Yield the new submissions that the open round cannot have, and why."""
    together = after[-1].committed
    for each in new:
        earlier = together[: together.index(each)]
        if why := rounds.why_no_later(each, before) or rounds.why_not_beside(each, earlier):
            yield each, why


def _refused_name(committed: Committed) -> Iterator[str]:
    """Yield what keeps a committed submission from having a row."""
    if not reserved_names.NAME.fullmatch(committed.name):
        yield (
            f"{PATH}: expected a name of letters a-z, digits, '.', '_' and '-'; found {committed.name!r}; "
            f"change it in {reserved_names.DECLARATION}, and commit again"
        )
    elif reserved := reserved_names.why_reserved(committed.name):
        remedy = f"change it in {reserved_names.DECLARATION}, and commit again"
        yield f"{PATH}: {committed.name!r} is the name of {reserved}; {remedy}"
    try:
        benchmarks.load(committed.benchmark)
    except InputError as error:
        yield f"{PATH}: {error}"
