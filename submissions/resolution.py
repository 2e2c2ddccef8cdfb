"""Resolves a name or a folder to an entry, which has one form for submissions and controls."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import understudy
from understudy.baselines import controls
from understudy.submissions import free_names, submission_format, watched
from understudy.submissions.checkpoint_source import CheckpointSource
from understudy.submissions.submission_format import Checkpoint, Submission
from understudy.suite import games, registry, stored_names, tasks
from understudy.suite.benchmarks import Benchmark, TeacherRun
from understudy.suite.errors import InputError
from understudy.suite.harness.entry import Entry, Loader, Player, PlayerRequest
from understudy.suite.io import files

if TYPE_CHECKING:
    from torch import nn

ENTRIES = Path(__file__).parent / "entries"  # <benchmark>/<name>/


def resolve(name_or_path: str, benchmark: Benchmark, runs: Sequence[TeacherRun]) -> Entry:
    """Return the entry of a bare name or a folder's path; no player is made.

    Args:
        name_or_path: name of a control or of an entry that comes with the package, or a submission's folder.
        benchmark: for which it is scored.
        runs: the benchmark's teacher runs on this machine.

    Raises:
        InputError: an unknown name (with a suggestion), a malformed submission or one for another benchmark,
            a watched run that is missing in `runs` or not as declared, or no run of a watched game.
    """
    submission = find(name_or_path, benchmark.name)
    by_name = {run.name: run for run in runs}
    on_watched = [run for run in runs if run.game in benchmark.watched_games]
    if not on_watched:
        raise InputError(
            f"no teacher run of a watched game of {benchmark.name} here; see: understudy benchmarks"
        )
    if submission is None:
        return _control_entry(name_or_path, benchmark, runs)
    watched.check(submission, benchmark, runs)
    declaration = submission.declaration
    return Entry(
        name=shown_name(submission),
        benchmark=benchmark.name,
        sha256=submission.sha256,
        architecture=declaration.architecture,
        decoding=declaration.decoding,
        track=declaration.track,
        priming_moves=declaration.priming_moves,
        is_control=False,
        players=tuple(
            _submitted_player(submission, checkpoint, benchmark, by_name)
            for checkpoint in declaration.checkpoints
        ),
        folder=submission.folder,
        stored_name=declaration.name,
        watched=declaration.watched.mode,
        search_trials=declaration.search_trials,
    )


def find(name_or_path: str, benchmark: str) -> Submission | None:
    """Return the submission of a name or path, or None for a control.

    A bare name is a control or an entry of the benchmark. Anything with a path separator, and an existing
    folder that has no such name, is a submission's folder. Raises as `resolve`, but checks no watched run.
    """
    if name_or_path.startswith("hf://"):
        raise InputError(
            f"{name_or_path}: hf:// cannot be fetched yet; download that commit and give its folder"
        )
    if name_or_path in controls.names():
        return None
    folder = _folder(name_or_path, benchmark)
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


def entries(benchmark: str) -> tuple[str, ...]:
    """Return the names of the submissions that come with the package for a benchmark, sorted."""
    declarations = (ENTRIES / benchmark).glob(f"*/{submission_format.DECLARATION}")
    return tuple(sorted(path.parent.name for path in declarations))


def load_control(
    name: str,
    benchmark: Benchmark,
    teachers: Mapping[str, Path],
    new_teachers: Mapping[str, Sequence[Path]],
    request: PlayerRequest,
) -> nn.Module:
    """Return a control's player; called by its `Loader`.

    Args:
        name: of the control, with its variant.
        benchmark: of its runs.
        teachers: folder of each watched teacher's run, by name.
        new_teachers: folders of the teachers' runs on each new game; the lanes of a game use them in turn.
        request: lanes and kind of run.

    Raises InputError if a teacher's folder lacks what the player needs.
    """
    control, variant = controls.load(name)
    on_new = (new_teachers.get(lane.game, ()) for lane in request.lanes)
    assignment = controls.Assignment(
        game=games.load(benchmark.watched_games[0]),
        watched_moves=benchmark.watched_moves,
        moves=request.run_moves,
        on_new_game=request.on_new_games,
        teachers=tuple(teachers[lane.teacher] for lane in request.lanes),
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
    choices, now = (*controls.names(), *known), stored_names.current(name_or_path)
    if name_or_path not in choices and now in choices:
        raise InputError(f"{name_or_path!r} is called {now!r} now; give that name")
    registry.choose(name_or_path, choices, f"submission for {benchmark}")
    return ENTRIES / benchmark / name_or_path


def _control_entry(name: str, benchmark: Benchmark, runs: Sequence[TeacherRun]) -> Entry:
    control, _ = controls.load(name)
    sha256 = _sha256("control", stored_names.stored(name), understudy.__version__)
    on_watched = {run.name: run for run in runs if run.game in benchmark.watched_games}
    networks = tuple(
        (run.name, files.sha256(run.network_path)) for run in on_watched.values() if run.network_path
    )
    teachers = {name: run.folder for name, run in on_watched.items()}
    new_teachers = {game: [run.folder for run in runs if run.game == game] for game in benchmark.new_games}
    player = Player(
        checkpoint="control",
        training_seed=None,
        teachers=tuple(on_watched),
        sha256=sha256,
        networks_at_w=networks,
        tasks=tasks.names() if control.tasks is None else control.tasks,
        load=Loader(f"{__name__}:load_control", (name, benchmark, teachers, new_teachers)),
    )
    return Entry(
        name=name,
        benchmark=benchmark.name,
        sha256=sha256,
        architecture=name,
        decoding=control.decoding,
        track=control.track,
        priming_moves=0,
        is_control=True,
        players=(player,),
        stored_name=stored_names.stored(name),
    )


def _submitted_player(
    submission: Submission, checkpoint: Checkpoint, benchmark: Benchmark, runs: Mapping[str, TeacherRun]
) -> Player:
    watched_here = [
        history.name
        for history in submission.declaration.watched.histories
        if _game(history.name, benchmark) in benchmark.watched_games
    ]
    teachers = (checkpoint.teacher,) if checkpoint.teacher else tuple(watched_here)
    for teacher in teachers:
        if teacher not in runs:
            raise InputError(
                f"{submission.folder}: its teacher {teacher} is not on this machine, so it cannot be primed "
                f"and scored; fetch that run of {benchmark.name}"
            )
    hashes = [pair for pair in submission.file_hashes if pair[0].startswith(f"{checkpoint.folder}/")]
    sha256 = _sha256("checkpoint", hashes)
    names = [history.name for history in submission.declaration.watched.histories]
    trained_on = teachers if checkpoint.teacher else tuple(names)
    source = CheckpointSource(
        submission, checkpoint, sha256, benchmark, trained_on, {n: runs[n] for n in trained_on if n in runs}
    )
    return Player(
        checkpoint=checkpoint.folder,
        training_seed=checkpoint.training_seed,
        teachers=teachers,
        sha256=sha256,
        networks_at_w=(),
        tasks=tasks.names(),
        load=Loader("understudy.submissions.parameters:load_player", (source,)),
    )


def shown_name(submission: Submission) -> str:
    """Return a submission's name; entries of the package are named by their folders."""
    declared = submission.declaration.name
    ours = submission.folder.resolve().is_relative_to(ENTRIES.resolve())
    return stored_names.current(declared) if ours else declared


def _game(run_name: str, benchmark: Benchmark) -> str:
    return f"{benchmark.family}/{run_name.partition('/')[0]}"


def _sha256(*parts: object) -> str:
    return hashlib.sha256(files.canonical_json(parts).encode()).hexdigest()
