"""Exports: scored rows in the formats that others read, as files by their place in a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from understudy.suite.errors import InputError
from understudy.suite.io import files, parts, walks

if TYPE_CHECKING:
    from understudy.leaderboard.scores import ScoredRow
    from understudy.submissions.hub_results import Answer
    from understudy.suite.hub.locations import Location

MODEL_INDEX: Final = "model-index.yaml"


@dataclass(frozen=True)
class Export:
    """What is written of some rows."""

    contents: Mapping[str, bytes]  # by path in the folder
    left_out: tuple[str, ...]  # why rows are not in it, a line a row


def dataset(text: str) -> Location:
    """Return the dataset that a user names; InputError unless it is pinned by a commit hash."""
    from understudy.suite.hub import locations

    found = locations.parse(text)
    if found.repo_type != "dataset" or not found.pinned:
        raise InputError(f"--dataset {text}: expected hf://datasets/user/repo@<commit hash>")
    return found


def require_empty(out: Path) -> None:
    """Raise InputError unless a folder is absent or empty: no file of an earlier export stays."""
    if not walks.is_empty(out):
        raise InputError(f"{out}: expected a new or empty folder, found other content; choose another --out")


def write(made: Export, out: Path) -> None:
    """Write an export to `out`, which must be absent or empty, completely or not at all."""
    part = parts.beside(out)
    part.mkdir(parents=True)  # it is new, so it is removed here and by nobody else
    try:
        for name, data in made.contents.items():
            files.write_atomically(part / name, data)
        os.replace(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def every_eval_ever(scored: Sequence[ScoredRow], watched: Location | None = None) -> Export:
    """Return a record of Every Eval Ever a row, in the folders that its data has.

    Args:
        scored: the rows; one without a number is left out.
        watched: has to be None.

    Raises InputError if a row does not say when it was played.
    """
    from understudy.leaderboard import every_eval_ever

    _refuse_dataset(watched, "every-eval-ever")
    kept = [one for one in scored if every_eval_ever.measured(one)]
    left_out = [f"{one.folder.place}: left out, nothing was measured" for one in scored if one not in kept]
    contents = {every_eval_ever.path(one): every_eval_ever.to_bytes(one) for one in kept}
    return Export(contents, tuple(left_out))


def eval_results(scored: Sequence[ScoredRow], watched: Location | None = None) -> Export:
    """Return a file of the Hub's `.eval_results` for each submission.

    Args:
        scored: the rows; controls are left out, for they are no submissions.
        watched: a dataset on the Hub, pinned, whose runs were watched; an entry has to name one.
    """
    from understudy.submissions import hub_results

    if watched is None:
        raise InputError(
            "--format eval-results: expected --dataset hf://datasets/user/repo@<commit hash> too; each entry "
            "names the dataset whose runs were watched"
        )
    named = watched

    def content(_: str, answers: Sequence[Answer]) -> bytes:
        return hub_results.eval_results(answers, named)

    return _by_submission(scored, hub_results.EVAL_RESULTS, content)


def model_index(scored: Sequence[ScoredRow], watched: Location | None = None) -> Export:
    """Return the `model-index` of a model card for each submission.

    Args:
        scored: the rows; controls are left out, for they are no submissions.
        watched: has to be None.
    """
    from understudy.submissions import hub_card

    _refuse_dataset(watched, "model-index")
    return _by_submission(scored, MODEL_INDEX, hub_card.model_index)


FORMATS: Final[Mapping[str, Callable[[Sequence[ScoredRow], Location | None], Export]]] = {
    "every-eval-ever": every_eval_ever,
    "eval-results": eval_results,
    "model-index": model_index,
}


def _by_submission(
    scored: Sequence[ScoredRow], name: str, content: Callable[[str, Sequence[Answer]], bytes]
) -> Export:
    """Return one file a submission, with the answers of its rows at all budgets."""
    from understudy.leaderboard import citations, eligibility, scores
    from understudy.submissions import hub_results

    contents, left_out = {}, []
    answers: dict[tuple[str, str, str], list[Answer]] = {}
    for one in scored:
        if one.row["control"]:
            left_out.append(f"{one.folder.place}: left out, a control is no submission")
            continue
        key = one.folder.benchmark, one.row["name"], one.row["identity"]
        answers.setdefault(key, []).extend(
            hub_results.answers(
                one.row, scores.scores_of(one), one.folder.budget, eligibility.unranked_because(one)
            )
        )
    for (benchmark, row, identity), found in answers.items():
        if any(answer.metrics for answer in found):
            contents[f"{benchmark}/{row}-{identity[: citations.SHORT]}/{name}"] = content(row, found)
        else:
            left_out.append(f"{benchmark}/{row}: left out, nothing was measured")
    return Export(contents, tuple(left_out))


def _refuse_dataset(watched: Location | None, name: str) -> None:
    if watched is not None:
        raise InputError(f"--dataset: expected only with --format eval-results; found --format {name}")
