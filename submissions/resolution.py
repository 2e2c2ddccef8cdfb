"""Resolves a name or a folder to an entry, which has one form for submissions and controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.baselines import controls
from understudy.submissions import (
    checkpoint_source,
    free_names,
    hub_submissions,
    submission_format,
    tensors,
    watched,
)
from understudy.submissions.submission_format import Checkpoint, Submission
from understudy.suite import games, registry, stored_names, tasks
from understudy.suite.benchmarks import Benchmark, TeacherRun, pinned_runs, pins
from understudy.suite.benchmarks.pins import Pins
from understudy.suite.errors import InputError
from understudy.suite.harness.entry import Entry, Facts, Loader, Player, PlayerRequest
from understudy.suite.io import files
from understudy.suite.io.file_names import WEIGHTS
from understudy.suite.io.readable import StoredPath
from understudy.suite.reserved_names import DECLARATION, ENTRIES

if TYPE_CHECKING:
    from torch import nn


@hub_submissions.named
def resolve(name_or_path: str, benchmark: Benchmark, runs: Sequence[TeacherRun]) -> Entry:
    """Return the entry of a bare name or a folder's path; no player is made.

    Args:
        name_or_path: name of a control or of an entry that comes with the package, or a submission's folder.
        benchmark: for which it is scored.
        runs: the benchmark's pinned teacher runs on this machine; others are not looked at.

    No run is read, however many were watched.

    Raises:
        InputError: an unknown name (with a suggestion), a malformed submission or one for another benchmark,
            a watched run that may not be watched or is not the pinned one of its name, a run that primes it
            and is missing in `runs`, or no pinned run of a watched game.
    """
    submission = find(name_or_path, benchmark.name)
    by_name = {run.name: run for run in runs}
    pinned = pins.of(benchmark)
    usable = pinned.names(benchmark, benchmark.watched_games)
    if not usable:
        raise InputError(
            f"{benchmark.name}: no teacher run of a watched game is pinned in {pinned.path}; see: "
            f"understudy histories pin --benchmark {benchmark.name}"
        )
    if submission is None:
        return _control_entry(name_or_path, benchmark, by_name, pinned)
    watched.require(submission, benchmark)
    declaration = submission.declaration
    return Entry(
        name=declaration.name,
        benchmark=benchmark.name,
        identity=submission.identity,
        architecture=declaration.architecture,
        decoding=declaration.decoding,
        track=declaration.track,
        priming_moves=declaration.priming_moves,
        is_control=False,
        players=tuple(
            _submitted_player(submission, checkpoint, benchmark, by_name, usable)
            for checkpoint in declaration.checkpoints
        ),
        folder=submission.folder,
        weights=hub_submissions.pinned_name(name_or_path),
        watched=declaration.watched.mode,
        search_trials=declaration.search_trials,
        declaration=submission_format.declaration_hash(submission),
        custom_code=declaration.custom_code,
        training_targets=declaration.targets,
        facts=_facts(submission),
    )


def find(name_or_path: str, benchmark: str) -> Submission | None:
    """Return the submission of a name or path, or None for a control.

    A bare name is a control or an entry of the benchmark; `hf://user/repo@<commit hash>` is fetched. Anything
    else with a path separator, and an existing folder that has no such name, is a submission's folder. Raises
    as `resolve`, but checks no watched run.
    """
    if name_or_path in controls.names():
        return None
    folder = hub_submissions.fetched(name_or_path) or _folder(name_or_path, benchmark)
    submission = submission_format.read(folder)
    declaration = submission.declaration
    free_names.require(folder, declaration.name, [each.folder for each in declaration.checkpoints])
    declared = declaration.benchmark
    if declared != benchmark:
        raise InputError(
            f"{folder}: this submission is for {declared}, not for {benchmark}; give --benchmark {declared}, "
            "or another submission"
        )
    return submission


def _facts(submission: Submission) -> Facts:
    declaration = submission.declaration
    weights = [submission.folder / each.folder / WEIGHTS for each in declaration.checkpoints]
    histories = declaration.watched.histories
    return Facts(
        parameters=max(map(tensors.count, weights)),
        watched_runs=len(histories),
        watched_moves=sum(each.moves for each in histories),
        training=None if declaration.training is None else tuple(sorted(declaration.training.items())),
    )


def entries(benchmark: str) -> tuple[str, ...]:
    """Return the names of the submissions that come with the package for a benchmark, sorted."""
    declarations = (ENTRIES / benchmark).glob(f"*/{DECLARATION}")
    return tuple(sorted(path.parent.name for path in declarations))


def load_control(
    name: str,
    benchmark: Benchmark,
    teachers: Mapping[str, TeacherRun],
    new_teachers: Mapping[str, Sequence[StoredPath]],
    request: PlayerRequest,
) -> nn.Module:
    """Return a control's player; called by its `Loader`.

    Args:
        name: of the control, with its variant.
        benchmark: of its runs.
        teachers: the watched teachers' runs that are on this machine, by name.
        new_teachers: folders of the teachers' runs on each new game; the lanes of a game use them in turn.
        request: lanes and kind of run.

    Raises InputError if a lane's teacher is not on this machine, or is not the pinned run of its name.
    """
    control, variant = controls.load(name)
    if control.uses_teachers:
        pinned = pins.of(benchmark)
        for teacher in dict.fromkeys(lane.teacher for lane in request.lanes):
            if teacher not in teachers:
                raise InputError(
                    f"{name}: the teacher's run {teacher} is not on this machine; fetch it: understudy "
                    f"histories pull --benchmark {benchmark.name}"
                )
            pinned_runs.require(pinned, benchmark, teachers[teacher])
    on_new = (new_teachers.get(lane.game, ()) for lane in request.lanes)
    assignment = controls.Assignment(
        game=games.load(benchmark.watched_games[0]),
        watched_moves=benchmark.watched_moves,
        moves=request.run_moves,
        on_new_game=request.on_new_games,
        teachers=tuple(teachers[lane.teacher].folder for lane in request.lanes if control.uses_teachers),
        new_teachers=tuple(
            folders[lane.number % len(folders)] if folders else None
            for lane, folders in zip(request.lanes, on_new, strict=True)
        ),
        variant=variant,
        report=lambda done, total: request.report("recomputing its teachers", done, total),
    )
    return control.build_control(assignment).eval().requires_grad_(False)


def _folder(name_or_path: str, benchmark: str) -> Path:
    bare = Path(name_or_path).name == name_or_path and name_or_path not in (".", "..")
    known = entries(benchmark)
    if not bare or (name_or_path not in known and Path(name_or_path).is_dir()):
        return Path(name_or_path)
    choices = (*controls.names(), *known)
    if name_or_path not in choices:
        stored_names.refuse_former(name_or_path)
    registry.choose(name_or_path, choices, f"submission for {benchmark}")
    return ENTRIES / benchmark / name_or_path


def _control_entry(name: str, benchmark: Benchmark, runs: Mapping[str, TeacherRun], pinned: Pins) -> Entry:
    """Return a control's entry: its teachers are the pinned runs, whether they are here or not."""
    control, variant = controls.load(name)
    identity = _identity("control", f"{control.label}-{variant}" if variant else control.label)
    watched_names = pinned.names(benchmark, benchmark.watched_games)
    pinned_networks = ((name, pinned.of_run(name)[-1].network_at_w) for name in watched_names)
    networks = tuple((name, sha256) for name, sha256 in pinned_networks if sha256 is not None)
    teachers = {name: runs[name] for name in watched_names if name in runs}
    new_teachers = {
        game: [runs[name].folder for name in pinned.names(benchmark, [game]) if name in runs]
        for game in benchmark.new_games
    }
    player = Player(
        checkpoint="control",
        training_seed=None,
        teachers=watched_names,
        identity=identity,
        networks_at_w=networks,
        tasks=tasks.names() if control.tasks is None else control.tasks,
        load=Loader(f"{__name__}:load_control", (name, benchmark, teachers, new_teachers)),
    )
    return Entry(
        name=name,
        benchmark=benchmark.name,
        identity=identity,
        architecture=name,
        decoding=control.decoding,
        track=control.track,
        priming_moves=0,
        is_control=True,
        players=(player,),
    )


def _submitted_player(
    submission: Submission,
    checkpoint: Checkpoint,
    benchmark: Benchmark,
    runs: Mapping[str, TeacherRun],
    usable: tuple[str, ...],
) -> Player:
    """Return a checkpoint's player; it is primed with, and compared with, pinned runs only.

    These are the pinned ones that it watched, of those in `usable`; all of these if it watched none of them.
    """
    if checkpoint.teacher:
        teachers: tuple[str, ...] = (checkpoint.teacher,)
        if checkpoint.teacher not in usable:
            raise InputError(
                f"{submission.folder}: in mode single the teacher is a pinned run of {benchmark.name}; found "
                f"{checkpoint.teacher}; train on one of {usable[0]} ... {usable[-1]}, or in mode multi"
            )
    else:
        names = {name for name, _, _ in submission.watched}  # the benchmark's order counts, not the declared
        teachers = tuple(name for name in usable if name in names) or usable
    if submission.declaration.priming_moves:
        for teacher in teachers:
            if teacher not in runs:
                raise InputError(
                    f"{submission.folder}: its teacher {teacher} is not on this machine, so it cannot be "
                    f"primed and scored; fetch it: understudy histories pull --benchmark {benchmark.name}"
                )
    source = checkpoint_source.source_of(submission, checkpoint, benchmark)
    return Player(
        checkpoint=checkpoint.folder,
        training_seed=checkpoint.training_seed,
        teachers=teachers,
        identity=source.identity,
        networks_at_w=(),
        tasks=tasks.names(),
        load=Loader("understudy.submissions.parameters:load_player", (source,)),
        load_in_child=Loader("understudy.submissions.parameters:load_in_child", (source,)),
    )


def _identity(*parts: object) -> str:
    return files.text_sha256(files.canonical_json(parts))
