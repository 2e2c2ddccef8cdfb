"""Prepare a submission for publication on the Hub: its files, a card, results, and a manifest."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from understudy.submissions import hub_card, hub_results, submission_format
from understudy.submissions.check import Report
from understudy.submissions.hub_results import Answer, PublishedRow
from understudy.submissions.submission_format import Submission
from understudy.suite import benchmarks
from understudy.suite.benchmarks import data_folders, pins
from understudy.suite.errors import InputError
from understudy.suite.hub import locations, manifest
from understudy.suite.hub.failures import ask
from understudy.suite.hub.locations import Location
from understudy.suite.io import files
from understudy.suite.io.file_names import CARD

_LICENCE: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")  # an identifier of the Hub, e.g. cc-by-4.0


@dataclass(frozen=True)
class Publication:
    """The content of one commit."""

    submission: Submission
    contents: Mapping[str, Path | bytes]  # by path in the repository
    left_out: tuple[str, ...]  # files of the folder that are not part of the submission
    datasets: tuple[Location, ...]  # on the Hub that hold runs that it watched
    answers: tuple[Answer, ...]  # of the rows that are published with it


def prepare(
    report: Report,
    folder: Path,
    location: Location,
    licence: str | None = None,
    rows: Sequence[PublishedRow] = (),
) -> Publication:
    """Return what to publish of a submission; its folder is not changed.

    Args:
        report: of the check that it passed.
        folder: of the submission.
        location: of the repository.
        licence: the Hub's identifier of a licence; None: none is stated.
        rows: those of its rows whose results are published too.

    Raises InputError for a malformed licence, and as `submission_format.read` and `hub_results.read`.
    """
    if licence is not None and not _LICENCE.fullmatch(licence):
        raise InputError(
            f"{licence}: expected a licence as the Hub names it, e.g. mit, apache-2.0 or cc-by-4.0"
        )
    submission = submission_format.read(folder)
    if ("identity", submission.identity) not in report.facts:
        raise InputError(f"{folder}: changed since it was checked; start again")
    answers = tuple(answer for row in rows for answer in hub_results.read(row, submission))
    datasets = published_data(submission)
    contents: dict[str, Path | bytes] = {
        name: folder / name for name in submission_format.files_of(submission.declaration)
    }
    if datasets and any(answer.metrics for answer in answers):
        contents[hub_results.EVAL_RESULTS] = hub_results.eval_results(answers, datasets[0])
    digests = {
        name: manifest.bytes_sha256(data) if isinstance(data, bytes) else files.sha256(data)
        for name, data in contents.items()
    }
    card = hub_card.text(submission, report.facts, location, licence, datasets, answers)
    contents[CARD] = card.encode()
    contents[manifest.NAME] = manifest.text(digests).encode()
    own_card = (CARD,) if (folder / CARD).exists() else ()
    left_out = (*submission_format.surplus_files(submission), *own_card)
    return Publication(submission, contents, tuple(sorted(left_out)), datasets, answers)


def published_data(submission: Submission) -> tuple[Location, ...]:
    """Return the pinned datasets on the Hub that hold runs that a submission watched, each once.

    These are the sources of pinned runs, and datasets that the user has chosen as data folders. `check` has
    compared the hashes of the runs in them.
    """
    benchmark = benchmarks.load(submission.declaration.benchmark)
    pinned = pins.of(benchmark)
    found: dict[Location, None] = {}
    for name, _, sha256 in submission.watched:
        for pin in pinned.of_run(name):
            if pin.sha256 == sha256 and pin.source is not None and locations.names_hub(pin.source):
                found[locations.parse(pin.source)] = None
    watched_names = {name for name, _, _ in submission.watched}
    for location, root in data_folders.on_the_hub():
        if watched_names & {run.name for run in benchmarks.teacher_runs(benchmark, [root])}:
            found[location] = None
    return tuple(found)


def refuse_other_kind(location: Location) -> None:
    """Raise InputError if there is a dataset but no model of this name on the Hub."""
    from huggingface_hub import HfApi

    def exists(repo_type: locations.RepoType) -> bool:
        return bool(ask(location, lambda: HfApi().repo_exists(location.repo, repo_type=repo_type)))

    if not exists("model") and exists("dataset"):
        raise InputError(
            f"{location.repo}: expected a model on the Hub or a new name, found a dataset; choose another"
        )
