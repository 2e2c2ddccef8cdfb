"""Train teachers: DQN runs in lock-step, recorded from move 0, resumable after a kill at any moment."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from understudy.suite import draws, exploration, games
from understudy.suite.errors import InputError
from understudy.suite.histories import derived_segments, frame_cache, frame_store, run_archive
from understudy.suite.histories.history_format import TEACHER, Header, History
from understudy.suite.histories.recording import Recorder, Run
from understudy.suite.io import file_lock, files, interrupts, parts
from understudy.suite.io.file_names import CHECKPOINT, HISTORIES, HISTORY, LOCK, NETWORK_AT_W
from understudy.suite.protocols import Game
from understudy.suite.teachers import checkpoints, dqn, network, training_progress
from understudy.suite.teachers.checkpoints import NETWORK
from understudy.suite.teachers.replay_memory import ReplayMemory
from understudy.suite.teachers.training_progress import SavedProgress

REBUILDING = "rebuilding"  # in the first run's folder: frames of the replay memories while they are rebuilt
# Of a run's folder, written under its lock.
WRITTEN = (training_progress.PROGRESS, HISTORY, NETWORK_AT_W, CHECKPOINT, "checkpoint-*.safetensors")


@dataclass(frozen=True)
class TeacherTraining:
    """What to train: one run per (game, seed), all of one family, in lock-step."""

    game_names: tuple[str, ...]  # [S], e.g. ("atari/breakout",)
    seeds: tuple[int, ...]  # [S], numbers of the teachers
    watched_moves: int  # W: the network at this move is stored
    segment_moves: int  # length of a history's segments
    settings: dqn.DQNSettings
    threads: int = 1  # of torch; another number changes the last bits
    device: str = "cpu"  # or "cuda", for network and replay memory; it changes the last bits too
    precision: str = "float32"  # or "bfloat16", in which convolutions over bytes multiply

    def stage(self, index: int) -> dict[str, Any]:
        """Return everything that determines one run's bytes, as JSON.

        Of the runs beside it only the number is named, so that its size does not grow with them. On a CPU
        not even that number changes a byte.
        """
        return {
            **_plain(asdict(self)),
            "game_names": [self.game_names[index]],
            "seeds": [self.seeds[index]],
            "versions": versions(),
            training_progress.IN_LOCK_STEP: len(self.seeds),
        }


@dataclass(frozen=True)
class TeacherProgress:
    """Progress of a training, as reported after each move."""

    moves: int  # played so far, in each run
    target_moves: int
    exploration: float  # probability at this move
    skill: float  # points an episode, over the newest 20 ends of each run; nan before the first end
    disk_bytes: int = 0  # of all files of the runs, at the last checkpoint
    rebuilt: tuple[int, int] | None = None  # moves done, moves in all: the replay memory is being rebuilt
    recomputed: tuple[int, int] | None = None  # moves done, moves in all: a checkpoint is being recomputed


def run_folder(out: Path, game_name: str, seed: int) -> Path:
    """Return the folder of a teacher's run: `<out>/<variant>/seed-<k>`."""
    return out / game_name.partition("/")[2] / f"seed-{seed}"


def versions() -> dict[str, str]:
    """Return the versions of the packages that determine a teacher's bytes."""
    return {name: version(name) for name in ("understudy", "torch", "numpy")}


def train(
    training: TeacherTraining,
    out: Path,
    target_moves: int,
    checkpoint_moves: int = 24_000,
    report: Callable[[TeacherProgress], None] = lambda progress: None,
) -> list[Path]:
    """Train until every run has `target_moves` moves; return the history files.

    A killed run resumes from its last checkpoint and ends in the same bytes as an uninterrupted one. Ctrl-C
    writes a checkpoint before it stops. A finished run is extended when `target_moves` grows. At the target
    `history.parquet` and `checkpoint.safetensors` are written. Trainings of other runs may use the same
    `out`, also at the same time.

    On resuming, the replay memory is rebuilt from the runs' logs on all cores. Meanwhile its frames are
    stored compressed in the first run's folder (Breakout: 31 bytes a move), and an interrupted rebuild
    resumes from them. Missing checkpoints of finished runs are recomputed from the logs.

    Args:
        training: the runs and their settings.
        out: the parent folder of all runs; see `run_folder`.
        target_moves: length of each run.
        checkpoint_moves: moves between checkpoints.
        report: called after each move, and while a replay memory is rebuilt or a checkpoint recomputed.

    Raises:
        InputError: the runs in `out` were begun with other settings, threads, device or versions, are
            already longer, differ in length, are only some of these, or are packed; another process trains
            one of them; or the device does not exist.
    """
    _set_up(training)
    torch.set_flush_denormal(True)  # denormal averages of dead units would take half of Adam's time
    try:
        trainer = _Trainer(training, out, target_moves, report)
        _refuse_packed(trainer.folders, out)
        with _locked(trainer.folders):
            return _train(trainer, checkpoint_moves)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; the same command resumes from {out}") from None
    finally:
        torch.set_flush_denormal(False)


def _train(trainer: _Trainer, checkpoint_moves: int) -> list[Path]:
    found = training_progress.read(trainer.folders, trainer.target_moves, trainer.new_stages)
    if found is not None and all(found.finished) and found.moves == trainer.target_moves:
        return [folder / HISTORY for folder in trainer.folders]
    trainer.open(found)
    with interrupts.deferred_interrupts() as interrupted:
        while trainer.moves < trainer.target_moves:
            trainer.play_move()
            if trainer.moves % checkpoint_moves == 0 or interrupted:
                trainer.checkpoint()
            interrupts.raise_if_interrupted(interrupted)
            trainer.report(trainer.progress())
    return trainer.finish()


def _refuse_packed(folders: Sequence[Path], out: Path) -> None:
    """Raise InputError if a run is in the archive in `out`: it would be trained anew, beside itself."""
    archive = out / HISTORIES
    packed = {archive.parent / path.inner.parent for path in run_archive.histories(archive)}
    for folder in folders:
        if folder in packed:
            raise InputError(
                f"{archive}: holds the run {folder.relative_to(out)}, and a packed run is not continued; "
                "unpack the archive and move it away, or use another --out"
            )


@contextlib.contextmanager
def _locked(folders: Sequence[Path]) -> Iterator[None]:
    """Lock the folders of these runs; InputError if another process holds one."""

    def refuse(folder: Path) -> None:
        raise InputError(f"{folder}: another process trains this run; wait for it, or use another --out")

    files.allow_open_files(len(folders))
    with contextlib.ExitStack() as held:
        for folder in folders:
            held.enter_context(file_lock.held(folder / LOCK, functools.partial(refuse, folder)))
            parts.drop(folder, WRITTEN)
        yield


class _Trainer:
    """The state of a training: recorder, replay memory, learner, exploration."""

    def __init__(
        self,
        training: TeacherTraining,
        out: Path,
        target_moves: int,
        report: Callable[[TeacherProgress], None],
    ) -> None:
        self.training, self.out, self.target_moves = training, out, target_moves
        self.report = report
        self.new_stages = [{"from_move": 0, **training.stage(index)} for index in range(len(training.seeds))]
        self.games = [games.load(name) for name in training.game_names]
        self.game = self.games[0]
        self.folders = [
            run_folder(out, *pair) for pair in zip(training.game_names, training.seeds, strict=True)
        ]
        self.run_seeds = [
            draws.derive("teacher", *pair) for pair in zip(training.game_names, training.seeds, strict=True)
        ]
        self.learner = dqn.DQNLearner(
            self.games, training.settings, self.run_seeds, training.device, training.precision
        )
        capacity = min(training.settings.memory_moves, target_moves)
        self.memory = ReplayMemory(self.game, len(self.games), capacity, training.device)
        self.legal = np.array([game.legal_actions for game in self.games])  # [S, A]
        self.explorer = exploration.Explorer(self.run_seeds, self.legal)
        self.draws = [draws.Uniforms(seed, "replay", training.settings.batch_size) for seed in self.run_seeds]
        self.returns: list[list[float]] = [[] for _ in self.games]
        self.episode_return = np.zeros(len(self.games))
        self.disk_bytes = 0

    @property
    def moves(self) -> int:
        return self.recorder.move

    def open(self, found: SavedProgress | None) -> None:
        """Begin at move 0, or resume from the last checkpoint or the finished runs."""
        training = self.training
        rule = derived_segments.teacher_rule(training.segment_moves, training.watched_moves)
        self.stages = [[stage] for stage in self.new_stages] if found is None else found.stages
        runs = [
            Run(folder / HISTORY, game, seed, self._header(game, number, seed, stages))
            for folder, game, number, seed, stages in zip(
                self.folders, self.games, training.seeds, self.run_seeds, self.stages, strict=True
            )
        ]
        self.recorder = Recorder(runs, rule, training.threads)
        if found is None:
            self.recorder.start()
            self._see()
        else:
            for run, finished in zip(runs, found.finished, strict=True):
                if finished and run.journal.exists:  # left by a process killed as it began to extend the run
                    run.journal.remove()
            self._resume(runs, found.moves)
        self.checkpoint()  # from here on the progress files say which runs these are

    def play_move(self) -> None:
        """Play one move in every run, and make the update that is due after it."""
        recorder = self.recorder
        epsilon = self.training.settings.exploration(recorder.move)
        if epsilon < 1:
            chosen = exploration.greedy_actions(self.learner.act(recorder.observation), self.legal)
        else:
            chosen = np.zeros(len(self.games), np.int64)
        actions, explored = self.explorer.execute(recorder.move, chosen, epsilon)
        reward, terminated, truncated = recorder.step(actions, explored)
        self._note_returns(reward, terminated | truncated)
        self.memory.complete(actions, reward, terminated, truncated)
        self._see()
        self._learn()
        if recorder.move == self.training.watched_moves:
            self._keep_networks()

    def checkpoint(self) -> None:
        """Write everything up to this move to disk; the progress files, written last, commit it.

        If the process is killed before that, the runs resume from the checkpoint before, which is deleted
        afterwards.
        """
        self.recorder.checkpoint()
        for seed_index, folder in enumerate(self.folders):
            path = checkpoints.numbered(folder, self.moves)
            self._write(path, self.learner.tensors(seed_index), seed_index)
        self._write_progress(finished=False)
        for folder in self.folders:
            for old in checkpoints.every_numbered(folder):
                if old != checkpoints.numbered(folder, self.moves):
                    old.unlink()
        self.disk_bytes = sum(files.size_bytes(folder) for folder in self.folders)

    def finish(self) -> list[Path]:
        """Write the histories and final checkpoints, from which the runs can be extended."""
        self.checkpoint()
        for seed_index, folder in enumerate(self.folders):
            tensors = self.learner.tensors(seed_index)
            if self.moves == self.training.watched_moves:  # the file of the network at W holds the same
                tensors = {name: each for name, each in tensors.items() if not name.startswith(NETWORK)}
            self._write(folder / CHECKPOINT, tensors, seed_index)
        paths = self.recorder.finish()
        self._write_progress(finished=True)
        for folder in self.folders:
            for old in checkpoints.every_numbered(folder):
                old.unlink()
        return paths

    def _write_progress(self, *, finished: bool) -> None:
        for folder, stages in zip(self.folders, self.stages, strict=True):
            training_progress.write(folder, self.moves, finished, stages)

    def progress(self) -> TeacherProgress:
        """Return the present progress."""
        recent = [value for values in self.returns for value in values[-20:]]
        return TeacherProgress(
            self.moves,
            self.target_moves,
            self.training.settings.exploration(self.moves),
            float(np.mean(recent)) if recent else float("nan"),
            self.disk_bytes,
        )

    def _see(self) -> None:
        self.memory.see(self.game.newest_frame(self.recorder.observation), self.recorder.first)

    def _learn(self) -> None:
        """Make the update and the copy to the target network that are due after the newest move."""
        settings, moves = self.training.settings, self.moves
        if moves >= settings.learning_starts and moves % settings.update_every == 0:
            index = moves // settings.update_every
            self.learner.update(self.memory.draw(np.stack([stream.at(index) for stream in self.draws])))
        if moves % settings.target_every == 0:
            self.learner.copy_to_target()

    def _resume(self, runs: Sequence[Run], moves: int) -> None:
        histories = [run.recorded(moves) for run in runs]
        paths = [checkpoints.find(folder, moves) for folder in self.folders]
        whole = all(path.exists() for path in paths)
        if whole:
            learned = [checkpoints.read(path, run) for path, run in zip(paths, histories, strict=True)]
        else:
            learned = self._recomputed(histories)
        for seed_index, tensors in enumerate(learned):
            self.learner.load_tensors(seed_index, tensors)
        self.recorder.resume(histories)
        if 0 < moves < self.target_moves:
            self._rebuild_memory(histories)
        self._see()
        if not whole:
            self._learn()  # recomputed networks lack what is due after the log's last move

    def _recomputed(self, histories: Sequence[History]) -> list[dict[str, torch.Tensor]]:
        """Return each run's learner tensors before its last move, recomputed from the logs."""
        from understudy.suite.teachers import recompute

        progress, last = self.progress(), histories[0].num_moves - 1
        most = recompute.MAX_MOVES.get(self.game.family, last)
        if last > most or self.target_moves <= last + 1:
            raise InputError(
                f"{self.folders[0] / CHECKPOINT}: no such file, and it is needed here; fetch it, or train "
                f"the run again (at most {most:,} moves of {self.game.family} are recomputed from a log)"
            )
        recomputing = recompute.checkpoints(
            histories, [last], lambda done, total: self.report(replace(progress, recomputed=(done, total)))
        )
        return next(learned for _, learned in recomputing)

    def _rebuild_memory(self, histories: Sequence[History]) -> None:
        """Replay the moves that the memory holds into frame stores, all runs at once, and refill it."""
        cache = self.folders[0] / REBUILDING
        moves = histories[0].num_moves
        progress = self.progress()
        stores = frame_store.open_stores(
            histories,
            self.memory.oldest(moves),
            moves,
            report=lambda done, total: self.report(replace(progress, rebuilt=(done, total))),
            cache=cache,
        )
        self.memory.restore(histories, stores)
        del stores  # which are in use until then
        frame_cache.remove(cache)

    def _header(self, game: Game, number: int, seed: int, stages: list[dict[str, Any]]) -> Header:
        training = self.training
        return Header(
            game=game.name,
            fingerprint=dict(game.fingerprint),
            player={
                "kind": TEACHER,
                "algorithm": "dqn",
                "seed": number,
                "settings": _plain(asdict(training.settings)),
                "stages": stages,
            },
            run={
                "kind": "teacher",
                "seed": f"{seed:032x}",
                "watched_moves": training.watched_moves,
                "exploration": training.settings.exploration_end,
            },
            segments=(),
            versions=versions(),
        )

    def _keep_networks(self) -> None:
        for seed_index, folder in enumerate(self.folders):
            tensors = self.learner.tensors(seed_index)
            at_w = {k.removeprefix(NETWORK): v for k, v in tensors.items() if k.startswith(NETWORK)}
            self._write(folder / NETWORK_AT_W, at_w, seed_index)

    def _write(self, path: Path, tensors: Mapping[str, torch.Tensor], seed_index: int) -> None:
        """Write tensors of a run, stamped with the present move."""
        run_seed = f"{self.run_seeds[seed_index]:032x}"
        checkpoints.write(path, tensors, self.games[seed_index].name, run_seed, self.moves)

    def _note_returns(self, reward: np.ndarray, ended: np.ndarray) -> None:
        self.episode_return += reward
        for lane in np.flatnonzero(ended):
            self.returns[lane] = [*self.returns[lane][-19:], float(self.episode_return[lane])]
            self.episode_return[lane] = 0


def _set_up(training: TeacherTraining) -> None:
    """Set torch's threads, and on CUDA reproducible arithmetic; InputError for an unknown setting."""
    if training.device not in ("cpu", "cuda"):
        raise InputError(f"--device: expected cpu or cuda; found {training.device!r}")
    if training.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no CUDA device here; train with --device cpu")
    if training.precision not in network.PRECISIONS:
        known = " or ".join(network.PRECISIONS)
        raise InputError(f"--precision: expected {known}; found {training.precision!r}")
    torch.set_num_threads(training.threads)
    if training.device == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = False  # float32 as on a CPU


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping with its tuples as lists, as JSON reads them back."""
    plain: dict[str, Any] = {k: list(v) if isinstance(v, tuple) else v for k, v in value.items()}
    return {k: _plain(v) if isinstance(v, dict) else v for k, v in plain.items()}
