"""Rechecking a stored row with its submission: what `understudy verify ROW --recheck SUBMISSION` computes.

Nothing that is stored beside the runs is believed: the weights are loaded from the submission, which must be
the row's, trained parameters are trained anew, and windows are drawn here. The row is not changed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from understudy.leaderboard.stored_rows import RowFolder
    from understudy.suite.harness.jobs import PlannedJob
    from understudy.suite.harness.requests import PlayProgress, RequestedRow
    from understudy.suite.harness.row_files import RowPath
    from understudy.suite.scoring.verdicts import Verdict

RECHECK, ISOLATION = "recheck", "isolation"


@dataclass(frozen=True)
class JobCheck:
    """The result of one check of one job."""

    job: str  # its folder in the row's, e.g. `transfer@yoked/all`
    what: str  # RECHECK or ISOLATION
    moves: int  # that were compared, or of the windows in which batches were
    failure: str | None  # what does not hold; None: it holds
    player_process: str  # by what the player was confined, or `in-process`


@dataclass(frozen=True)
class RowCheck:
    """What a row's submission says of its runs, found in this run."""

    submission: str
    is_custom: bool  # whether the player's code is not this package's
    is_whole: bool  # whether all moves were given to it, from move 0; otherwise windows
    salt: str  # by which the windows were drawn
    checks: tuple[JobCheck, ...]
    not_trained: tuple[str, ...]  # jobs whose parameters are trained, which was not done
    # task -> stored answer and that of runs played anew; None: they were not played
    answers: dict[str, tuple[str | None, str | None]] | None

    @property
    def failures(self) -> list[str]:
        """What does not hold, a line each."""
        found = [f"{each.job}: {each.failure}" for each in self.checks if each.failure]
        for task, (stored, rerun) in (self.answers or {}).items():
            if stored != rerun:
                found.append(f"{task}: played again it answers {rerun}, stored is {stored}")
        return found

    @property
    def is_unconfined(self) -> bool:
        """Whether a stranger's code was asked where it can keep a memory beside its state, e.g. in a file."""
        from understudy.suite.harness import confinement

        return self.is_custom and any(each.player_process != confinement.BUBBLEWRAP for each in self.checks)

    @property
    def badges(self) -> list[str]:
        """What was earned here, besides `replayed`; docs/protocol.md says what each proves."""
        from understudy.suite.harness import interventions

        if any(each.failure for each in self.checks):
            return []
        jobs = {
            what: [each.job for each in self.checks if each.what == what] for what in (RECHECK, ISOLATION)
        }
        applied = {job.partition("/")[0].partition("@")[2] for job in jobs[RECHECK]}
        believed = not self.is_unconfined
        earned = {
            "rechecked": believed and bool(jobs[RECHECK]),
            "isolated": believed and bool(jobs[ISOLATION]),
            "retrained": not self.is_custom
            and applied.issuperset(each.name for each in interventions.RETRAINED),
            "rerun": not self.is_custom and bool(self.answers) and not self.failures,
        }
        return [name for name, is_earned in earned.items() if is_earned]

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values: a record with which the same windows can be drawn again."""
        return {
            "format": 2,
            "submission": self.submission,
            "custom_code": self.is_custom,
            "whole": self.is_whole,
            "salt": self.salt,
            "badges": self.badges,
            "checks": [vars(each) for each in self.checks],
            "not_trained": list(self.not_trained),
            "answers": self.answers,
        }


def check(
    row: RowFolder,
    submission: str,
    answers: dict[str, str | None],
    retrain: bool = False,
    rerun: Path | None = None,
    report: Callable[[PlayProgress], None] = lambda progress: None,
) -> RowCheck:
    """Give the runs of a row to its submission again.

    Args:
        row: the stored row.
        submission: its folder, name, or address on the Hub.
        answers: the row's, by task; with a yes among them all moves are rechecked, otherwise windows.
        retrain: whether the parameters of interventions that train are trained, and their runs rechecked;
            never those of custom code, which would run in this process and could say what is found.
        rerun: a new or empty folder in which the scored runs are played anew, unless by custom code; None:
            they are not.
        report: called now and then.

    Raises:
        CheckFailed: the submission is not that of the row.
        InputError: it cannot be loaded, a teacher's run is not here, or something is in `rerun`.
    """
    from understudy.suite.harness import drawn_windows

    if rerun is not None:
        require_new(rerun)
    salt = drawn_windows.new_salt()
    found: list[JobCheck] = []
    not_trained: list[str] = []
    is_custom = False
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="understudy-")))
        for requested, planned, folder in jobs(row, submission):
            is_custom = requested.entry.custom_code is not None
            if is_trained(planned) and (is_custom or not retrain):  # training runs in this process
                not_trained.append(planned.path)
                continue
            found += _job_checks(
                requested, planned, folder, None if is_whole(answers) else salt, salt, scratch, report
            )
    anew = None if rerun is None or is_custom else _rerun(row, submission, rerun, report)
    return RowCheck(submission, is_custom, is_whole(answers), salt, tuple(found), tuple(not_trained), anew)


def require_known(path: Path, submission: str) -> None:
    """Raise InputError unless a path is of one row, and a submission can be found and read."""
    from understudy.leaderboard import stored_rows
    from understudy.submissions import resolution
    from understudy.suite.errors import InputError

    _, rows = stored_rows.every_row_at(path)
    if len(rows) != 1:
        raise InputError(f"--recheck: expected the folder of one row, found {len(rows)} rows; give one")
    resolution.find(submission, rows[0].benchmark)


def require_new(folder: Path) -> None:
    """Raise InputError if something is in a folder: runs that are there already would not be played anew."""
    from understudy.suite.errors import InputError
    from understudy.suite.io import walks

    if not walks.is_empty(folder):
        raise InputError(
            "--rerun: expected a new or an empty folder, since runs that are there are not played again; "
            f"found something in {folder}; give another"
        )


def is_whole(answers: Mapping[str, str | None]) -> bool:
    """Return whether all moves of a row are rechecked, from move 0: where some answer, by task, is a yes."""
    from understudy.suite.scoring import verdicts

    return any(answer in (*verdicts.EVERY_YES, verdicts.ABOVE) for answer in answers.values())


def is_trained(planned: PlannedJob) -> bool:
    """Return whether a job is of an intervention whose parameters are trained."""
    from understudy.suite.harness import interventions

    applied = planned.job.intervention
    return applied is not None and applied.parameters in interventions.TRAINED


def _job_checks(
    requested: RequestedRow,
    planned: PlannedJob,
    folder: RowPath,
    recheck_salt: str | None,
    salt: str,
    scratch: Path,
    report: Callable[[PlayProgress], None],
) -> Iterator[JobCheck]:
    import torch

    from understudy.suite import devices
    from understudy.suite.errors import InputError
    from understudy.suite.harness import child_player
    from understudy.suite.harness.requests import PlayProgress
    from understudy.suite.harness.row_player import RowPlayer
    from understudy.suite.histories import history_format
    from understudy.suite.io import file_names

    job = planned.job
    report(PlayProgress(requested.entry.name, f"recheck {planned.path}", 0, job.moves))
    torch.set_num_threads(job.threads)
    player = RowPlayer(requested, report, scratch)
    lanes = [folder / f"lane-{index}" for index in range(len(job.lanes))]
    histories = [history_format.read(lane / file_names.HISTORY) for lane in lanes]
    confined = "not started"
    try:
        with devices.computing(planned.device), player.made(planned, in_child=True) as module:
            confined = child_player.confinement_of(module)
            drawn = player.windows(planned, module, salt)
            again = player.rechecked(planned, module, histories, recheck_salt)
            yield JobCheck(planned.path, RECHECK, again.found.moves, again.failure, confined)
            if job.intervention is None and job.kind != "start":
                apart = player.isolation(planned, module, histories, salt)
                moves = sum(end - begin for begin, end in drawn.spans) * len(histories)
                yield JobCheck(planned.path, ISOLATION, moves, _isolation_failure(apart), confined)
    except InputError as error:  # an answer that is not of the declared form
        yield JobCheck(planned.path, RECHECK, 0, str(error), confined)


def _isolation_failure(found: dict[str, Any]) -> str | None:
    if found["holds"]:
        return None
    return f"not isolated: in another batch it answers otherwise at move {found['differs_at']:,}"


def jobs(row: RowFolder, submission: str) -> Iterator[tuple[RequestedRow, PlannedJob, RowPath]]:
    """Yield each complete job of a row as it is planned for the submission, with its folder.

    Raises CheckFailed for another submission's row, and for a job that is not the planned one.
    """
    from understudy.leaderboard import stored_rows
    from understudy.suite import games
    from understudy.suite.errors import CheckFailed
    from understudy.suite.harness import interventions, records

    known: dict[tuple[Any, ...], RequestedRow] = {}
    for folder in stored_rows.job_folders(row):
        job = records.read_job(folder)
        key = len(job["lanes"]), job["threads"], job["round"], job["device"]
        if key not in known:
            known[key] = _requested(row, submission, job)
            _require_same(known[key], stored_rows.row_of(row), submission)
        requested = known[key]
        role, _, name = folder.parent.name.partition("@")
        applied = interventions.chosen([name])[0] if name else None
        planned = next(
            (each for each in requested.jobs(role, applied) if each.player.checkpoint == folder.name), None
        )
        spec = None if planned is None else {**planned.job.spec(), "labels": None, "versions": None}
        differing = games.differing_settings(spec or {}, {**job, "labels": None, "versions": None})
        if planned is None or differing:
            what = [*differing, "its checkpoint"][0][:200]
            raise CheckFailed(f"{folder}: not a job of {submission} ({what})")
        yield requested, planned, folder


def _requested(row: RowFolder, submission: str, job: dict[str, Any]) -> RequestedRow:
    from understudy.submissions import scoring
    from understudy.suite.harness import rounds
    from understudy.suite.harness.requests import Request

    (requested,) = scoring.rows_of(
        [
            Request(
                submission,
                row.benchmark,
                row.budget,
                row.path.parents[2],
                len(job["lanes"]),
                job["threads"],
                round=rounds.load(job["round"]),
                device=job["device"],
            )
        ]
    )
    return requested


def _require_same(requested: RequestedRow, stored: dict[str, Any], submission: str) -> None:
    """Raise CheckFailed unless a submission is the one whose row is stored, and the row says so of it."""
    from understudy.suite.errors import CheckFailed
    from understudy.suite.harness import work

    declared = work.declared(requested)
    key = differing_key(declared, stored)
    if key == "weights":
        raise CheckFailed(
            f"{submission}: the row {stored['name']} says that its weights are {stored[key]}; give that "
            "name, or take `weights` out of row.json if they are not there"
        )
    if key is not None:
        raise CheckFailed(
            f"{submission}: expected the submission of the row {stored['name']}, whose {key} is "
            f"{_shown(stored.get(key))}; found {_shown(declared.get(key))}; give the one that played it"
        )


def differing_key(declared: Mapping[str, Any], stored: Mapping[str, Any]) -> str | None:
    """Return the first key in which a row's `row.json` says other than its submission; None: there is none.

    Args:
        declared: what a row of the submission declares, by `work.declared`.
        stored: the content of the row's `row.json`. It may lack `facts`, as earlier rows do, and `weights`,
            where the submission was a folder; what it has of them must be the submission's.
    """
    for key in dict.fromkeys(("identity", *declared, *stored)):
        may_lack = key in ("facts", "weights") and stored.get(key) is None
        if not may_lack and declared.get(key) != stored.get(key):
            return key
    return None


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 240 else f"{text[:237]}..."


def _rerun(
    row: RowFolder,
    submission: str,
    out: Path,
    report: Callable[[PlayProgress], None],
) -> dict[str, tuple[str | None, str | None]]:
    """Play a row's scored runs anew, with its references, and return stored and new answers.

    Interventions are not played, so that only the contrasts are compared: a yes is one whatever conditions
    were measured, and failed.
    """
    from understudy.leaderboard import scores, stored_rows
    from understudy.submissions import scoring
    from understudy.suite.harness import records

    stored = {each.task: each for each in scores.score_row(row.path.parents[2], row).verdicts if each.answer}
    if not stored:
        return {}
    played: Sequence[RowPath] = stored_rows.job_folders(row)
    requested = _requested(row, submission, records.read_job(played[0]))
    again = scoring.rows_of([_with_results(requested, out)])
    scoring.score(again, list(stored), report=report)
    (folder,) = [each for each in stored_rows.rows_in(out) if each.path == again[0].folder]
    found = {each.task: each for each in scores.score_row(out, folder).verdicts}
    return {task: (contrasts_say(verdict), contrasts_say(found[task])) for task, verdict in stored.items()}


def contrasts_say(verdict: Verdict) -> str | None:
    """Return a verdict's answer before the conditions of a yes, which a rerun does not measure."""
    from understudy.suite.scoring import verdicts

    failed = verdict.answer == verdicts.UNDECIDED and verdict.reason in verdicts.CONDITIONS_FAILED
    return verdicts.YES if failed or verdict.answer in verdicts.EVERY_YES else verdict.answer


def _with_results(requested: RequestedRow, out: Path) -> Any:
    from dataclasses import replace

    return replace(requested.request, results=out)
