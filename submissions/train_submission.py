"""From watched histories to a submission: trains an architecture by the one loop and writes the folder."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from understudy import baselines
from understudy.baselines.training import loop, settings
from understudy.baselines.training.loop import Machine
from understudy.baselines.training.reports import TrainingReport
from understudy.baselines.training.settings import TrainingSettings
from understudy.submissions import (
    architectures,
    loading,
    setting_lists,
    submission_format,
    training_fit,
    training_log,
    watched,
)
from understudy.submissions.submission_format import (
    Checkpoint,
    Config,
    Declaration,
    Submission,
    WatchedHistory,
)
from understudy.suite import benchmarks, custom_code, devices, games, registry
from understudy.suite.benchmarks import Benchmark, TeacherRun
from understudy.suite.errors import InputError
from understudy.suite.harness import engines
from understudy.suite.histories import frame_store
from understudy.suite.histories.frame_store import FrameStore
from understudy.suite.histories.windows import CHOSEN, WatchedRuns
from understudy.suite.io import files
from understudy.suite.protocols import Game, Imitator
from understudy.suite.reserved_names import DECLARATION

MODES = ("single", "multi", "multi-game")
DEFAULT_MODES = {"darkroom": "multi"}  # of a family; single in all others
DECODINGS = ("greedy", "sample")
REPLAYING = "replaying watched runs"
SAVE_EVERY_UPDATES = 200
Report = Callable[[str, int, int, str], None]  # what is being done, how much is done, of how much, a note
Log = Callable[[str, Sequence[TrainingReport]], None]  # a checkpoint's folder, and new reports


@dataclass(frozen=True)
class TrainingRequest:
    """What is trained, and how; the teacher runs come beside it."""

    architecture: str  # a name, or package.module:OBJECT
    benchmark: Benchmark
    mode: str  # single: one checkpoint a run; otherwise one checkpoint of all of them
    name: str
    decoding: str = "greedy"
    priming_moves: int | None = None  # K; None: as many moves as can matter to the architecture
    settings: Mapping[str, float | str] | None = None  # of training and architecture, where not the defaults
    machine: Machine = loop.ON_CPU  # where it is computed
    num_seeds: int = 1  # models of each data, with the training seeds s, s + 1, ...; s is in the settings
    search_trials: int | None = None  # settings that were tried to choose these; declared


def train(
    request: TrainingRequest,
    runs: Sequence[TeacherRun],
    out: Path,
    report: Report = lambda what, done, total, note: None,
    log: Log = lambda checkpoint, reports: None,
    engine: str = "serial",
) -> tuple[Submission, list[training_fit.Fit]]:
    """Train on the watched moves of `runs`, write the submission to `out`, and return it with its fits.

    The losses go to `training.csv` in `out`, and each report to `log` as well; of a resumed training, those
    of before come first.
    An interrupted training is resumed from `out` and ends in the bytes of an uninterrupted one; a finished
    one is returned as it is, without fits. Nor is there a fit where every watched move was explored. Runs
    shorter than W are watched to their end, and declared so. With the `engine` process, checkpoints are
    trained side by side, to the same bytes.
    Raises InputError for unknown or unfit settings, runs that this mode may not watch, or another
    submission in `out`.
    """
    training = _Training(request, runs)
    finished = _finished(out, training.declaration)
    if finished is not None:
        return finished, []
    checkpoints = training.declaration.checkpoints
    engines.require_engine(engine)
    for checkpoint in checkpoints:
        training.split(checkpoint)  # raises before anything is written
    if engine != "serial" and len(checkpoints) > 1:
        work = [
            _Work(request, tuple(runs), out, each.folder, torch.get_num_threads()) for each in checkpoints
        ]
        engines.run(engine, work, _train_checkpoint, lambda note: report(*note))
    source_runs = training.open_stores(lambda done, total: report(REPLAYING, done, total, ""))
    trained: dict[str, tuple[Config, bytes]] = {}
    fits = []
    resume_files = []
    lines: list[training_log.Line] = []

    def note(checkpoint: str, reports: Sequence[TrainingReport]) -> None:
        lines.extend((checkpoint, each) for each in reports)
        training_log.write(out, lines)
        log(checkpoint, reports)

    for checkpoint in checkpoints:
        resume_files.append(training.resume_file(out, checkpoint))
        module = training.train(
            checkpoint,
            source_runs,
            resume_files[-1],
            lambda *done, at=checkpoint: report(at.folder, *done),
            functools.partial(note, checkpoint.folder),
        )
        trained[checkpoint.folder] = training.config, loading.weights_bytes(module)
        fit = training_fit.measure(
            module,
            checkpoint.folder,
            training.source(training.split(checkpoint)[0], source_runs),
            training.of_seed(checkpoint.training_seed),
            training.kept(lines, checkpoint.folder),
        )
        fits += [fit] if fit else []
    submission = submission_format.write(out, training.declaration, trained)
    for path in resume_files:
        path.unlink(missing_ok=True)
    return submission, fits


def chosen_runs(
    benchmark: Benchmark,
    mode: str,
    runs: Sequence[TeacherRun],
    names: Sequence[str] | None = None,
    every: bool = False,
    seeds: range | None = None,
) -> list[TeacherRun]:
    """Return the runs with these names; without names the first one in mode single, else all.

    With `every`, all runs that the mode may watch, in mode single too; with `seeds`, those of these teachers'
    seeds.
    Raises InputError for an unknown name, or where there is no run to watch.
    """
    allowed = benchmark.watched_games
    if mode == "multi-game":
        allowed += benchmark.extra_watchable_games
    watchable = {run.name: run for run in runs if run.game in allowed}
    if not watchable:
        raise InputError(
            f"no teacher run of a game that {benchmark.name} watches on this machine; "
            f"make one: understudy train-teacher {benchmark.name}"
        )
    if seeds is not None:
        for game in dict.fromkeys(run.game for run in watchable.values()):
            missing = set(seeds) - {run.seed for run in watchable.values() if run.game == game}
            if missing:
                raise InputError(
                    f"no run of {game} with seed {min(missing)} on this machine; choose other seeds, or make "
                    f"it: understudy train-teacher {benchmark.name}"
                )
        return [run for run in watchable.values() if run.seed in seeds]
    if names is None:
        return list(watchable.values())[: 1 if mode == "single" and not every else None]
    wanted = dict.fromkeys(names)
    for name in [name for name in wanted if name not in watchable]:
        registry.choose(name, watchable, f"run that {benchmark.name} may watch in mode {mode}:")
    return [run for name, run in watchable.items() if name in wanted]


class _Training:
    """A training request with its settings checked, its histories read and its declaration built."""

    def __init__(self, request: TrainingRequest, runs: Sequence[TeacherRun]) -> None:
        benchmark = request.benchmark
        self.game = games.load(benchmark.watched_games[0])
        found = architectures.find(request.architecture)
        self.architecture, self.custom_code = found.architecture, found.code
        self.parameters, self.settings = _settings(self.architecture, self.game, request.settings or {})
        self.histories = [benchmarks.read(run) for run in runs]
        self.watched = [
            watched.declared(run.name, history, benchmark.watched_moves)
            for run, history in zip(runs, self.histories, strict=True)
        ]
        _refuse_equal(self.watched, runs)
        self.watched_moves = benchmark.watched_moves
        self.machine = request.machine
        self.config = Config(
            architecture=self.architecture.name, family=benchmark.family, parameters=self.parameters
        )
        self.declaration = self._declaration(request)

    def of_seed(self, seed: int) -> TrainingSettings:
        """Return the settings of the training with this seed."""
        return replace(self.settings, seed=seed)

    def open_stores(self, report: Callable[[int, int], None]) -> list[FrameStore]:
        """Return the frame store of each run, after replaying what it lacks of the watched moves."""
        return frame_store.open_stores(self.histories, 0, self.watched_moves, report=report)

    def source(self, indices: Sequence[int], stores: Sequence[FrameStore]) -> WatchedRuns:
        """Return the runs of these numbers as a source of windows."""
        return WatchedRuns(
            [self.histories[i] for i in indices],
            [stores[i] for i in indices],
            self.watched_moves,
            self.settings.episode_stride,
            self.settings.last_moves,
        )

    def resume_file(self, out: Path, checkpoint: Checkpoint) -> Path:
        """Return where the training of a checkpoint is saved; its name says what is watched."""
        used, held_out = self.split(checkpoint)
        return out / checkpoint.folder / f"training-{self.identity(sorted([*used, *held_out]))}.safetensors"

    def train(
        self,
        checkpoint: Checkpoint,
        stores: Sequence[FrameStore],
        resume_file: Path,
        progress: Callable[[int, int, str], None],
        report: Callable[[Sequence[TrainingReport]], None],
    ) -> nn.Module:
        """Return a trained module; `progress` gets the updates done, those to do and a note."""
        used, held_out = self.split(checkpoint)
        with self._own_or_a_strangers_code():
            return loop.train(
                self.architecture,
                self.parameters,
                self.game,
                self.source(used, stores),
                self.of_seed(checkpoint.training_seed),
                held_out=self.source(held_out, stores) if held_out else None,
                machine=self.machine,
                resume_file=resume_file,
                save_every_updates=SAVE_EVERY_UPDATES,
                progress=lambda at: progress(at.updates_done, at.updates, f"loss {at.loss:.3f}"),
                report=report,
            )

    def _own_or_a_strangers_code(self) -> AbstractContextManager[None]:
        """Return a context in which an error of custom code is the user's, and one of ours a bug."""
        return custom_code.calling(self.architecture.name) if self.custom_code else nullcontext()

    def split(self, checkpoint: Checkpoint) -> tuple[list[int], list[int]]:
        """Return the runs that the updates of a checkpoint use, and those held out, by number."""
        names = [run.name for run in self.watched if checkpoint.teacher in (None, run.name)]
        drawn = watched.kept_from_updates(names, self.of_seed(checkpoint.training_seed))
        numbers = range(len(self.watched))
        used = [i for i in numbers if self.watched[i].name in set(names) - drawn]
        return used, [i for i in numbers if self.watched[i].name in drawn]

    def kept(self, lines: Sequence[training_log.Line], checkpoint: str) -> TrainingReport | None:
        """Return the report whose weights a checkpoint has: with `patience` the best, else the last."""
        own = [line for folder, line in lines if folder == checkpoint]
        if self.settings.patience:
            return min(own, key=lambda line: line.validation_loss or 0.0, default=None)
        return own[-1] if own else None

    def identity(self, chosen: Sequence[int]) -> str:
        """Return a short name for what is watched, so that no run goes on with other data."""
        entries = [self.watched[i].model_dump() for i in chosen]
        return hashlib.sha256(files.canonical_json(entries).encode()).hexdigest()[:12]

    def _declaration(self, request: TrainingRequest) -> Declaration:
        names = [entry.name for entry in self.watched]
        teachers = names if request.mode == "single" else [None]
        first = self.settings.seed
        seeds = range(first, first + request.num_seeds)
        return submission_format.declare(
            {
                "format": submission_format.FORMAT,
                "name": request.name,
                "benchmark": request.benchmark.name,
                "architecture": self.architecture.name,
                "decoding": request.decoding,
                "track": "frozen",
                "priming_moves": self._priming_moves(request),
                "watched": {"mode": request.mode, "histories": tuple(e.model_dump() for e in self.watched)},
                "checkpoints": tuple(
                    {
                        "folder": _folder(teacher, seed if request.num_seeds > 1 else None),
                        "teacher": teacher,
                        "training_seed": seed,
                    }
                    for teacher in teachers
                    for seed in seeds
                ),
                "search_trials": request.search_trials,
                "training": settings.declared(self.settings),
                "training_targets": None if self.settings.targets == CHOSEN else self.settings.targets,
                "custom_code": self.custom_code,
            }
        )

    def _priming_moves(self, request: TrainingRequest) -> int:
        """Return K: as chosen, or the moves that can matter, as far as every run has them."""
        if request.priming_moves is not None:
            return request.priming_moves
        with self._own_or_a_strangers_code():
            reach = cast(Imitator, self.architecture.build(self.parameters, self.game)).reach_moves
        return watched.useful_priming(reach, min(entry.moves for entry in self.watched))


@dataclass(frozen=True)
class _Work:
    """A checkpoint's training, for a process of its own."""

    request: TrainingRequest
    runs: tuple[TeacherRun, ...]
    out: Path
    checkpoint: str
    threads: int  # of torch


def _train_checkpoint(work: _Work, report: Callable[[tuple[str, int, int, str]], None]) -> None:
    """Train one checkpoint up to its resume file, from which the submission is made."""
    training = _Training(work.request, work.runs)
    (checkpoint,) = (each for each in training.declaration.checkpoints if each.folder == work.checkpoint)
    stores = training.open_stores(lambda done, total: report((REPLAYING, done, total, "")))
    with devices.threads(work.threads):
        training.train(
            checkpoint,
            stores,
            training.resume_file(work.out, checkpoint),
            lambda done, total, note: report((checkpoint.folder, done, total, note)),
            lambda reports: None,
        )


def _folder(teacher: str | None, seed: int | None) -> str:
    """Return the name of a checkpoint's folder; with the training seed if there are several."""
    watching = teacher.replace("/", "-") if teacher else "all"
    return watching if seed is None else f"{watching}-training-{seed}"


def _settings(
    architecture: baselines.Architecture, game: Game, chosen: Mapping[str, float | str]
) -> tuple[dict[str, Any], TrainingSettings]:
    """Return the architecture's config and the training's settings; a chosen name belongs to one of them."""
    of_training = {field.name for field in fields(TrainingSettings)}
    of_architecture = setting_lists.names_of(architecture, game)
    for name in chosen:
        settings.choose(
            name, of_training | of_architecture, f"setting of {architecture.name} or its training"
        )
    parameters = architecture.config(game, **{k: v for k, v in chosen.items() if k in of_architecture})
    training = settings.settings_from({k: v for k, v in chosen.items() if k in of_training})
    return parameters, training


def _refuse_equal(entries: Sequence[WatchedHistory], runs: Sequence[TeacherRun]) -> None:
    """Raise InputError for two runs with the same moves, which are one run under two names."""
    first: dict[str, TeacherRun] = {}
    for entry, run in zip(entries, runs, strict=True):
        other = first.setdefault(entry.sha256, run)
        if other is not run:
            raise InputError(
                f"{run.folder}: its moves are those of {other.folder}, so the two are one run; train on one "
                "of them: --teacher, or another data folder"
            )


def _finished(out: Path, declaration: Declaration) -> Submission | None:
    """Return the submission in `out` if it is this one, None if there is none; InputError if another."""
    if not (out / DECLARATION).exists():
        return None
    submission = submission_format.read(out)
    if submission.declaration != declaration:
        raise InputError(f"{out}: holds a submission made with other settings or data; give another --out")
    return submission
