"""Teaching: DQN lives in lock-step, recorded from move 0, interruptible at any moment."""

from __future__ import annotations

import contextlib
import functools
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from understudy.suite import draws, exploration, files, games, interrupts
from understudy.suite.errors import InputError
from understudy.suite.histories import frames
from understudy.suite.histories.format import Header, History
from understudy.suite.histories.record import Life, Recorder, SegmentRule
from understudy.suite.protocols import Game
from understudy.suite.teachers import checkpoints, dqn, network, standing
from understudy.suite.teachers.checkpoints import CHECKPOINT, NETWORK, NETWORK_AT_W
from understudy.suite.teachers.memory import Memory
from understudy.suite.teachers.standing import HISTORY, Standing

LOCK = ".lock"  # of a life, while a process teaches it
REBUILDING = "rebuilding"  # below the first life: frames of the replay memories, until they are refilled


@dataclass(frozen=True)
class Lesson:
    """What is taught: one life a (game, seed), all of one family, in lock-step."""

    game_names: tuple[str, ...]  # [S], e.g. ("atari/breakout",)
    seeds: tuple[int, ...]  # [S], numbers of the teachers
    watched_moves: int  # W: the network at this move is kept
    segment_moves: int  # length of a history's segments
    settings: dqn.Settings
    threads: int = 1  # of the network; part of what determines the life's last bits
    device: str = "cpu"  # or "cuda", of network and replay memory; it determines last bits too
    precision: str = "float32"  # or "bfloat16", that convolutions over bytes multiply in

    def spec(self) -> dict[str, Any]:
        """Return all that determines the lives' bytes, as JSON."""
        return {**_plain(asdict(self)), "versions": versions()}


@dataclass(frozen=True)
class Progress:
    """What is reported while a lesson runs."""

    moves: int  # played so far, in each life
    target_moves: int
    exploration: float  # probability now
    skill: float  # points an episode, over the newest 20 ends of each life; nan before the first end
    disk_bytes: int = 0  # of all files of the lives, at the last checkpoint
    rebuilt: tuple[int, int] | None = None  # moves replayed, to replay: the replay memory is being rebuilt
    relearnt: tuple[int, int] | None = None  # moves relearnt, to relearn: there was no checkpoint


def life_folder(out: Path, game_name: str, seed: int) -> Path:
    """Return where a teacher's life is kept: `<out>/<variant>/seed-<k>`."""
    return out / game_name.partition("/")[2] / f"seed-{seed}"


def versions() -> dict[str, str]:
    """Return the versions of the packages that shape a teacher's bytes."""
    return {name: version(name) for name in ("understudy", "torch", "numpy")}


def teach(
    lesson: Lesson,
    out: Path,
    target_moves: int,
    checkpoint_moves: int = 24_000,
    report: Callable[[Progress], None] = lambda progress: None,
) -> list[Path]:
    """Play and learn until every life has `target_moves` moves; return the history files.

    A killed run goes on from its last checkpoint to the same bytes; Ctrl-C writes one before it stops. A
    finished life is carried on when `target_moves` grows. Reaching the target writes `history.parquet` and
    `checkpoint.safetensors`. Lessons of other lives may use the same `out`, also at the same time.

    Going on, the replay memory is rebuilt from the lives' own logs by all cores. Until that is done its
    frames lie compressed beside the first life (Breakout: 31 bytes a move); stopped, it goes on from there.
    Finished lives that come without their checkpoints are learnt again from their logs first.

    Raises:
        InputError: the lives in `out` were begun with other settings, threads, device or versions, are
            longer already, of different lengths, or only some of them are there; another process teaches
            one of them; or there is no such device.
    """
    _set_up(lesson)
    torch.set_flush_denormal(True)  # or a tenth of Adam's averages, of dead units, cost half of its time
    try:
        school = _School(lesson, out, target_moves, report)
        with _alone(school.folders):
            return _teach(school, checkpoint_moves)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; the same command goes on from {out}") from None
    finally:
        torch.set_flush_denormal(False)


def _teach(school: _School, checkpoint_moves: int) -> list[Path]:
    found = standing.of_lives(school.folders, school.target_moves, school.now)
    if found is not None and all(found.finished) and found.moves == school.target_moves:
        return [folder / HISTORY for folder in school.folders]
    school.open(found)
    with interrupts.put_off() as interrupted:
        while school.moves < school.target_moves:
            school.play_move()
            if school.moves % checkpoint_moves == 0 or interrupted:
                school.checkpoint()
            interrupts.answer(interrupted)
            school.report(school.progress())
    return school.finish()


@contextlib.contextmanager
def _alone(folders: Sequence[Path]) -> Iterator[None]:
    """Hold the lives of these folders; InputError where another process does."""

    def refuse(folder: Path) -> None:
        raise InputError(f"{folder}: another process teaches this life; wait for it, or use another --out")

    files.allow_open_files(len(folders))
    with contextlib.ExitStack() as held:
        for folder in folders:
            held.enter_context(files.alone(folder / LOCK, functools.partial(refuse, folder)))
            files.drop_parts(folder)
        yield


class _School:
    """The moving parts of a lesson: recorder, memory, learner, exploration."""

    def __init__(
        self, lesson: Lesson, out: Path, target_moves: int, report: Callable[[Progress], None]
    ) -> None:
        self.lesson, self.out, self.target_moves = lesson, out, target_moves
        self.report = report
        self.now = {"from_move": 0, **lesson.spec()}  # of a stage that begins
        self.games = [games.load(name) for name in lesson.game_names]
        self.game = self.games[0]
        self.folders = [life_folder(out, *pair) for pair in zip(lesson.game_names, lesson.seeds, strict=True)]
        self.life_seeds = [
            draws.derive("teacher", *pair) for pair in zip(lesson.game_names, lesson.seeds, strict=True)
        ]
        self.learner = dqn.Learner(
            self.games, lesson.settings, self.life_seeds, lesson.device, lesson.precision
        )
        capacity = min(lesson.settings.memory_moves, target_moves)
        self.memory = Memory(self.game, len(self.games), capacity, lesson.device)
        self.legal = np.array([game.legal_actions for game in self.games])  # [S, A]
        self.explorer = exploration.Explorer(self.life_seeds, self.legal)
        self.draws = [draws.Uniforms(seed, "replay", lesson.settings.batch_size) for seed in self.life_seeds]
        self.returns: list[list[float]] = [[] for _ in self.games]
        self.episode_return = np.zeros(len(self.games))
        self.disk_bytes = 0

    @property
    def moves(self) -> int:
        return self.recorder.move

    def open(self, found: Standing | None) -> None:
        """Begin at move 0, or go on from the last checkpoint or the finished lives."""
        lesson = self.lesson
        rule = SegmentRule(lesson.segment_moves, (lesson.watched_moves - 5_000, lesson.watched_moves))
        self.stages = [[self.now] for _ in self.folders] if found is None else found.stages
        lives = [
            Life(folder / HISTORY, game, seed, self._header(game, number, seed, stages))
            for folder, game, number, seed, stages in zip(
                self.folders, self.games, lesson.seeds, self.life_seeds, self.stages, strict=True
            )
        ]
        self.recorder = Recorder(lives, rule, lesson.threads)
        if found is None:
            self.recorder.start()
            self._see()
        else:
            for life, finished in zip(lives, found.finished, strict=True):
                if finished and life.journal.exists:  # of a process killed as it began to carry it on
                    life.journal.remove()
            self._resume(lives, found.moves)
        self.checkpoint()  # from here on the files say whose lives these are

    def play_move(self) -> None:
        """Play one move in every life, and learn when it is time."""
        recorder = self.recorder
        epsilon = self.lesson.settings.exploration(recorder.move)
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
        if recorder.move == self.lesson.watched_moves:
            self._keep_networks()

    def checkpoint(self) -> None:
        """Commit everything up to this move; the small progress files, written last, are what counts.

        Killed between them, the lives go on from the checkpoint before, whose files are still there.
        """
        self.recorder.checkpoint()
        for seed_index, folder in enumerate(self.folders):
            path = checkpoints.numbered(folder, self.moves)
            self._write(path, self.learner.tensors(seed_index), seed_index)
        self._tell(finished=False)
        for folder in self.folders:
            for old in folder.glob("checkpoint-*.safetensors"):
                if old != checkpoints.numbered(folder, self.moves):
                    old.unlink()
        self.disk_bytes = sum(files.size_bytes(folder) for folder in self.folders)

    def finish(self) -> list[Path]:
        """Write histories and final checkpoints; the lives can be carried on from them."""
        self.checkpoint()
        for seed_index, folder in enumerate(self.folders):
            tensors = self.learner.tensors(seed_index)
            if self.moves == self.lesson.watched_moves:  # the network lies beside it, as that at W
                tensors = {name: each for name, each in tensors.items() if not name.startswith(NETWORK)}
            self._write(folder / CHECKPOINT, tensors, seed_index)
        paths = self.recorder.finish()
        self._tell(finished=True)
        for folder in self.folders:
            for old in folder.glob("checkpoint-*.safetensors"):
                old.unlink()
        return paths

    def _tell(self, *, finished: bool) -> None:
        for folder, stages in zip(self.folders, self.stages, strict=True):
            standing.tell(folder, self.moves, finished, stages)

    def progress(self) -> Progress:
        """Return where the lesson stands."""
        recent = [value for values in self.returns for value in values[-20:]]
        return Progress(
            self.moves,
            self.target_moves,
            self.lesson.settings.exploration(self.moves),
            float(np.mean(recent)) if recent else float("nan"),
            self.disk_bytes,
        )

    def _see(self) -> None:
        self.memory.see(self.game.newest_frame(self.recorder.observation), self.recorder.first)

    def _learn(self) -> None:
        """Do what is due after the newest move: an update, a new target network."""
        settings, moves = self.lesson.settings, self.moves
        if moves >= settings.learning_starts and moves % settings.update_every == 0:
            index = moves // settings.update_every
            self.learner.update(self.memory.draw(np.stack([stream.at(index) for stream in self.draws])))
        if moves % settings.target_every == 0:
            self.learner.copy_to_target()

    def _resume(self, lives: Sequence[Life], moves: int) -> None:
        histories = [life.recorded(moves) for life in lives]
        paths = [checkpoints.find(folder, moves) for folder in self.folders]
        whole = all(path.exists() for path in paths)
        if whole:
            learned = [checkpoints.read(path, life) for path, life in zip(paths, histories, strict=True)]
        else:
            learned = self._relearnt(histories)
        for seed_index, tensors in enumerate(learned):
            self.learner.load_tensors(seed_index, tensors)
        self.recorder.resume(histories)
        if 0 < moves < self.target_moves:
            self._rebuild_memory(histories)
        self._see()
        if not whole:
            self._learn()  # what the log's last move made due

    def _relearnt(self, histories: Sequence[History]) -> list[dict[str, torch.Tensor]]:
        """Return what the lives had learned before their last move, from their logs."""
        from understudy.suite.teachers import relearn

        progress, last = self.progress(), histories[0].num_moves - 1
        most = relearn.MOST_MOVES.get(self.game.family, last)
        if last > most or self.target_moves <= last + 1:
            raise InputError(
                f"{self.folders[0] / CHECKPOINT}: no such file, and it is needed here; fetch it, or make the "
                f"life anew (at most {most:,} moves of {self.game.family} are learnt again from a log)"
            )
        relearning = relearn.checkpoints(
            histories, [last], lambda done, total: self.report(replace(progress, relearnt=(done, total)))
        )
        return next(learned for _, learned in relearning)

    def _rebuild_memory(self, histories: Sequence[History]) -> None:
        """Replay what the memory holds into frame stores, all lives at once, and fill it from them."""
        cache = self.folders[0] / REBUILDING
        moves = histories[0].num_moves
        progress = self.progress()
        stores = frames.frames_of_lives(
            histories,
            self.memory.oldest(moves),
            moves,
            report=lambda done, total: self.report(replace(progress, rebuilt=(done, total))),
            cache=cache,
        )
        self.memory.restore(histories, stores)
        shutil.rmtree(cache, ignore_errors=True)

    def _header(self, game: Game, number: int, seed: int, stages: list[dict[str, Any]]) -> Header:
        lesson = self.lesson
        return Header(
            game=game.name,
            fingerprint=dict(game.fingerprint),
            player={
                "kind": "teacher",
                "algorithm": "dqn",
                "seed": number,
                "settings": _plain(asdict(lesson.settings)),
                "stages": stages,
            },
            life={
                "kind": "teacher",
                "seed": f"{seed:032x}",
                "watched_moves": lesson.watched_moves,
                "exploration": lesson.settings.exploration_end,
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
        """Write weights of a life as they are before the next move."""
        life_seed = f"{self.life_seeds[seed_index]:032x}"
        checkpoints.write(path, tensors, self.games[seed_index].name, life_seed, self.moves)

    def _note_returns(self, reward: np.ndarray, ended: np.ndarray) -> None:
        self.episode_return += reward
        for lane in np.flatnonzero(ended):
            self.returns[lane] = [*self.returns[lane][-19:], float(self.episode_return[lane])]
            self.episode_return[lane] = 0


def _set_up(lesson: Lesson) -> None:
    """Set torch's threads, and on CUDA the arithmetic that gives the same bytes again."""
    if lesson.device not in ("cpu", "cuda"):
        raise InputError(f"--device: expected cpu or cuda; found {lesson.device!r}")
    if lesson.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no CUDA device here; teach with --device cpu")
    if lesson.precision not in network.PRECISIONS:
        known = " or ".join(network.PRECISIONS)
        raise InputError(f"--precision: expected {known}; found {lesson.precision!r}")
    torch.set_num_threads(lesson.threads)
    if lesson.device == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = False  # float32 as on a CPU


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping as JSON would give it back: tuples become lists."""
    plain: dict[str, Any] = {k: list(v) if isinstance(v, tuple) else v for k, v in value.items()}
    return {k: _plain(v) if isinstance(v, dict) else v for k, v in plain.items()}
