"""Entrants: whoever is scored, by name or folder; submissions and controls look alike here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import understudy
from understudy import baselines
from understudy.submissions import format as submissions
from understudy.submissions import watched
from understudy.submissions.format import Checkpoint, Submission
from understudy.suite import files, games, registry, tasks
from understudy.suite.benchmarks import Benchmark, TeacherLife
from understudy.suite.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from understudy.suite.places import Lane

ENTRIES = Path(__file__).parent / "entries"  # <benchmark>/<name>/
Decoding = Literal["greedy", "sample"]
Track = Literal["frozen", "learning"]


@dataclass(frozen=True)
class Player:
    """One set of weights of an entrant, and the teacher lives that it is primed with and ruled by."""

    checkpoint: str  # folder of the checkpoint; "control" for a control
    training_seed: int | None  # None: not trained
    teachers: tuple[str, ...]  # names of the watched game's lives that it watched, e.g. ("breakout/seed-0",)
    sha256: str  # of the checkpoint's files; for a control, of its name and the package's version
    networks_at_w: tuple[
        tuple[str, str], ...
    ]  # (teacher, SHA-256) that a control plays; none of a submission
    tasks: tuple[str, ...]  # that it can be asked
    # Returns the imitator of these lanes in evaluation mode, given whether they are of a new game, N of the
    # budget, and who is told how far the making is; a control may play each lane otherwise. InputError if it
    # can't be had.
    load: Callable[[Sequence[Lane], bool, int, Callable[[int, int], None]], nn.Module]


@dataclass(frozen=True)
class Entrant:
    """What enters a benchmark under one name."""

    name: str
    benchmark: str
    sha256: str  # the submission's hash; for a control, of its name and the package's version
    decoding: Decoding
    track: Track
    priming_moves: int  # K
    submission: Submission | None  # None for a control

    @property
    def folder(self) -> Path | None:
        """The submission's folder; None for a control."""
        return self.submission.folder if self.submission else None

    @property
    def is_control(self) -> bool:
        """True for a player with a known answer that comes with the package."""
        return self.submission is None

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """The submission's declared checkpoints; none for a control."""
        return self.submission.declaration.checkpoints if self.submission else ()

    def players(self, benchmark: Benchmark, teacher_lives: Sequence[TeacherLife]) -> list[Player]:
        """Return the players in order of checkpoint; one for a control.

        Raises InputError if a watched life isn't among `teacher_lives` or isn't as declared, or if there
        is no life of a watched game at all. Nothing is loaded before `Player.load` is called.
        """
        lives = {life.name: life for life in teacher_lives if life.game in benchmark.watched_games}
        if not lives:
            raise InputError(
                f"no teacher life of a watched game of {benchmark.name} here; see: understudy benchmarks"
            )
        if self.submission is None:
            return [_control_player(self.name, benchmark, teacher_lives)]
        watched.check(self.submission, benchmark, teacher_lives)
        return [
            _submitted_player(self.submission, checkpoint, benchmark, lives)
            for checkpoint in self.checkpoints
        ]


def resolve(name_or_path: str, benchmark: str) -> Entrant:
    """Return the entrant that a bare name or a folder's path stands for.

    A bare name is a control or an entry of the benchmark; anything with a path separator, or an existing
    folder that no such name hides, is a submission's folder. Raises InputError for a malformed submission,
    one for another benchmark, or an unknown name (with the nearest).
    """
    if name_or_path.startswith("hf://"):
        raise InputError(
            f"{name_or_path}: hf:// can't be fetched yet; download that commit and give its folder"
        )
    if name_or_path in controls():
        return _control(name_or_path, benchmark)
    folder = _folder(name_or_path, benchmark)
    submission = submissions.read(folder)
    declaration = submission.declaration
    if declaration.benchmark != benchmark:
        raise InputError(
            f"{folder}: this submission is for {declaration.benchmark}, not for {benchmark}; give "
            f"--benchmark {declaration.benchmark}, or another submission"
        )
    return Entrant(
        name=declaration.name,
        benchmark=benchmark,
        sha256=submission.sha256,
        decoding=declaration.decoding,
        track=declaration.track,
        priming_moves=declaration.priming_moves,
        submission=submission,
    )


def controls() -> tuple[str, ...]:
    """Return the controls' names, sorted."""
    return baselines.control_names()


def entries(benchmark: str) -> tuple[str, ...]:
    """Return the names of the submissions that come with the package for a benchmark, sorted."""
    return tuple(
        sorted(path.parent.name for path in (ENTRIES / benchmark).glob(f"*/{submissions.DECLARATION}"))
    )


def _folder(name_or_path: str, benchmark: str) -> Path:
    bare = Path(name_or_path).name == name_or_path and name_or_path not in (".", "..")
    known = entries(benchmark)
    if not bare or (name_or_path not in known and Path(name_or_path).is_dir()):
        return Path(name_or_path)
    registry.choose(name_or_path, (*controls(), *known), f"submission for {benchmark}")
    return ENTRIES / benchmark / name_or_path


def _control(name: str, benchmark: str) -> Entrant:
    control, _ = baselines.load_control(name)
    return Entrant(
        name=name,
        benchmark=benchmark,
        sha256=_control_sha256(name),
        decoding=cast(Decoding, control.decoding),
        track=cast(Track, control.track),
        priming_moves=0,
        submission=None,
    )


def _control_player(name: str, benchmark: Benchmark, lives: Sequence[TeacherLife]) -> Player:
    control, variant = baselines.load_control(name)
    watched_lives = {life.name: life for life in lives if life.game in benchmark.watched_games}
    networks = tuple(
        (life.name, files.sha256(life.network_path)) for life in watched_lives.values() if life.network_path
    )

    def load(
        lanes: Sequence[Lane], on_new_game: bool, moves: int, report: Callable[[int, int], None]
    ) -> nn.Module:
        assignment = baselines.Assignment(
            game=games.load(benchmark.watched_games[0]),
            watched_moves=benchmark.watched_moves,
            moves=moves,
            on_new_game=on_new_game,
            teachers=tuple(watched_lives[lane.teacher].folder for lane in lanes),
            new_teachers=tuple(_new_teacher(lane, benchmark, lives) for lane in lanes),
            variant=variant,
            report=report,
        )
        return control.build_control(assignment).eval().requires_grad_(False)

    return Player(
        checkpoint="control",
        training_seed=None,
        teachers=tuple(watched_lives),
        sha256=_control_sha256(name),
        networks_at_w=networks,
        tasks=control.tasks,
        load=load,
    )


def _new_teacher(lane: Lane, benchmark: Benchmark, lives: Sequence[TeacherLife]) -> Path | None:
    """Return the folder of a teacher's life on a lane's game, where that is a new one; lanes take turns."""
    found = [life.folder for life in lives if life.game == lane.game and life.game in benchmark.new_games]
    return found[lane.number % len(found)] if found else None


def _submitted_player(
    submission: Submission, checkpoint: Checkpoint, benchmark: Benchmark, lives: dict[str, TeacherLife]
) -> Player:
    histories = submission.declaration.watched.histories
    watched_here = [
        history.name for history in histories if _game(history.name, benchmark) in benchmark.watched_games
    ]
    teachers = (checkpoint.teacher,) if checkpoint.teacher else tuple(watched_here)
    for teacher in teachers:
        if teacher not in lives:
            raise InputError(
                f"{submission.folder}: its teacher {teacher} is not on this machine, so it can't be primed "
                f"and ruled; fetch that life of {benchmark.name}"
            )
    hashes = [pair for pair in submission.file_hashes if pair[0].startswith(f"{checkpoint.folder}/")]

    def load(
        lanes: Sequence[Lane], on_new_game: bool, moves: int, report: Callable[[int, int], None]
    ) -> nn.Module:
        from understudy.submissions import loading

        game = games.load(benchmark.watched_games[0])
        return loading.load(submission, checkpoint, game, benchmark.state_cap_bytes)

    return Player(
        checkpoint=checkpoint.folder,
        training_seed=checkpoint.training_seed,
        teachers=teachers,
        sha256=_sha256("checkpoint", hashes),
        networks_at_w=(),
        tasks=tasks.names(),
        load=load,
    )


def _game(life_name: str, benchmark: Benchmark) -> str:
    return f"{benchmark.family}/{life_name.partition('/')[0]}"


def _control_sha256(name: str) -> str:
    """Return what a control's seeds derive from; not its networks, so that more lives leave them alone."""
    return _sha256("control", name, understudy.__version__)


def _sha256(*parts: object) -> str:
    return hashlib.sha256(files.canonical_json(parts).encode()).hexdigest()
