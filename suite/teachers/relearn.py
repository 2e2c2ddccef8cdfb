"""Relearning: a teacher's networks at any moves, derived again from its life's own log, without acting.

A DQN's updates follow from what it saw and did, its settings, its first network and the replay draws. The
log holds the first two, its header the settings and the seed of the rest.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from understudy.suite import draws, files, games
from understudy.suite.errors import InputError
from understudy.suite.histories import cache as caches
from understudy.suite.histories import format as history_format
from understudy.suite.histories import frames
from understudy.suite.histories.format import History
from understudy.suite.teachers import dqn, teach
from understudy.suite.teachers.memory import READ_MOVES, Memory

Tensors = dict[str, Tensor]  # what one teacher has learned, as `dqn.Learner.tensors` gives it
Report = Callable[[int, int], None]  # moves relearnt and to relearn, of each life

KEPT_FROM_MOVES = 50_000  # from here relearning takes a minute or more, and its result is kept on disk
MOST_MOVES = {"atari": 50_000}  # of a family whose updates are slow: a million moves take a day on one core


def checkpoints(
    histories: Sequence[History], moves: Sequence[int], report: Report = lambda done, total: None
) -> Iterator[tuple[int, list[Tensors]]]:
    """Yield (move, what each teacher had learned when it was to make that move), in rising order of moves.

    Histories [S] are DQN teachers' lives of one family that learned by the same settings; their games may
    differ. Each yields network, target (left out where equal) and Adam's averages and step count.

    The lives of one lesson, side by side as they were, give the bytes that were taught, on the same machine
    with the same versions. Otherwise last bits differ. As the log is fixed the networks stay near, but not
    for ever: Adam lets weights that hardly matter drift, on darkroom by up to a tenth in 2,000 moves.

    Raises:
        InputError: a life that is no DQN's, settings or families that differ, or a move outside a life.
    """
    wanted = sorted(set(moves))
    relearning = _Relearning(histories, wanted)
    for move in wanted:
        with relearning.as_taught():
            while relearning.move < move:
                relearning.learn_move()
                report(relearning.move, wanted[-1])
        yield move, [relearning.learner.tensors(index) for index in range(len(histories))]


def of_folders(folders: Sequence[Path], moves: Sequence[int]) -> list[dict[int, Tensors]]:
    """Return, for each teacher's folder, what it had learned at these moves, by move; to be read only.

    Results are kept in the process, and where relearning is long in the user's cache, beside the frames.
    Where a history ends with the one move asked for, the folder's `checkpoint.safetensors` is read.
    Raises InputError as `checkpoints` does, and where relearning would take hours.
    """
    distinct = tuple(dict.fromkeys(folders))
    states = tuple((folder, _file_state(folder / teach.HISTORY)) for folder in distinct)
    found = dict(zip(distinct, _of_folders(states, tuple(sorted(set(moves)))), strict=True))
    return [found[folder] for folder in folders]


def history_of(folder: Path) -> History:
    """Return the history in a teacher's folder, read once in a process as long as the file stays as it is."""
    return _read(folder, _file_state(folder / teach.HISTORY))


def settings_of(histories: Sequence[History]) -> dqn.Settings:
    """Return the settings that all of these teachers learned by; InputError if they differ."""
    found = [_settings(history) for history in histories]
    for history, settings in zip(histories, found, strict=True):
        differing = [name for name, value in vars(settings).items() if value != getattr(found[0], name)]
        if differing:
            raise InputError(
                f"{history.header.game}: this teacher learned with another {differing[0]} "
                f"({getattr(settings, differing[0])}) than that of {histories[0].header.game} "
                f"({getattr(found[0], differing[0])}); take them one at a time"
            )
    return found[0]


def life_seed(history: History) -> int:
    """Return the seed of a teacher's life, from which its first network and its draws derive."""
    return int(str(history.header.life["seed"]), 16)


class _Relearning:
    """Replay memory and learner of S lives, fed by their logs."""

    def __init__(self, histories: Sequence[History], wanted: Sequence[int]) -> None:
        self.settings = settings_of(histories)
        lives = [games.load(history.header.game) for history in histories]
        if len({game.family for game in lives}) > 1:
            raise InputError(f"expected teachers of one family; found {lives[0].name} and {lives[-1].name}")
        for history in histories:
            _require_moves(history, wanted)
        seeds = [life_seed(history) for history in histories]
        self.learner = dqn.Learner(lives, self.settings, seeds)
        self.memory = Memory(lives[0], len(lives), max(1, min(self.settings.memory_moves, wanted[-1])))
        self.draws = [draws.Uniforms(seed, "replay", self.settings.batch_size) for seed in seeds]
        self.stages = histories[0].header.player.get("stages", [])
        self.log = [
            np.stack([getattr(history, name)[: wanted[-1] + 1] for history in histories], axis=1)
            for name in ("action", "reward", "terminated", "truncated", "first")
        ]  # five columns, each [moves, S]
        self.stores = frames.frames_of_lives(histories, 0, wanted[-1] + 1)
        self._see(0)

    @property
    def move(self) -> int:
        """Moves relearnt so far."""
        return self.memory.size

    def learn_move(self) -> None:
        """Do what the school does after a move has been played."""
        settings = self.settings
        action, reward, terminated, truncated, _ = self.log
        self.memory.complete(*(column[self.move] for column in (action, reward, terminated, truncated)))
        self._see(self.move)
        if self.move >= settings.learning_starts and self.move % settings.update_every == 0:
            index = self.move // settings.update_every
            self.learner.update(self.memory.draw(np.stack([stream.at(index) for stream in self.draws])))
        if self.move % settings.target_every == 0:
            self.learner.copy_to_target()

    @contextlib.contextmanager
    def as_taught(self) -> Iterator[None]:
        """Use the threads of the life's present stage, and treat the smallest numbers as teaching does."""
        threads = torch.get_num_threads()
        begun = [stage for stage in self.stages if stage["from_move"] <= self.move]
        torch.set_num_threads(begun[-1]["threads"] if begun else 1)
        torch.set_flush_denormal(True)
        try:
            yield
        finally:
            torch.set_flush_denormal(False)
            torch.set_num_threads(threads)

    def _see(self, move: int) -> None:
        if move % READ_MOVES == 0:
            stop = min(move + READ_MOVES, len(self.log[0]))
            self._read = np.stack([store[move:stop] for store in self.stores], axis=1)  # [moves, S, ...]
        self.memory.see(self._read[move % READ_MOVES], self.log[-1][move])


FileState = tuple[int, int]  # modified, nanoseconds; size, bytes


def _file_state(path: Path) -> FileState:
    try:
        stored = path.stat()
    except OSError as error:
        raise InputError(f"{path}: no such history file; the teacher's log is needed here") from error
    return stored.st_mtime_ns, stored.st_size


@functools.lru_cache(maxsize=256)
def _read(folder: Path, state: FileState) -> History:
    return history_format.read(folder / teach.HISTORY)


@functools.lru_cache(maxsize=4)
def _of_folders(
    states: tuple[tuple[Path, FileState], ...], moves: tuple[int, ...]
) -> list[dict[int, Tensors]]:
    histories = [_read(*state) for state in states]
    found: dict[int, dict[int, Tensors]] = {}
    for index, ((folder, _), history) in enumerate(zip(states, histories, strict=True)):
        stored = _stored(folder, history, moves)
        if stored is not None:
            found[index] = stored
    missing = [index for index in range(len(histories)) if index not in found]
    if missing:
        relearnt: list[dict[int, Tensors]] = [{} for _ in missing]
        for move, learned in checkpoints([histories[index] for index in missing], moves):
            for tensors, place in zip(learned, relearnt, strict=True):
                place[move] = tensors
        for index, tensors_by_move in zip(missing, relearnt, strict=True):
            _keep(histories[index], moves, tensors_by_move)
            found[index] = tensors_by_move
    return [found[index] for index in range(len(histories))]


def _stored(folder: Path, history: History, moves: tuple[int, ...]) -> dict[int, Tensors] | None:
    """Return what needs no relearning, or None; InputError where relearning would take hours."""
    if moves == (history.num_moves,) and (folder / teach.CHECKPOINT).exists():
        return {moves[0]: _load(folder / teach.CHECKPOINT)}
    most = MOST_MOVES.get(games.load(history.header.game).family)
    if most is not None and moves[-1] > most:
        raise InputError(
            f"{folder}: relearning {moves[-1]:,} moves of {history.header.game} takes hours; expected a life "
            f"of {moves[-1]:,} moves with its {teach.CHECKPOINT}, found one of {history.num_moves:,}"
        )
    path = _kept_file(history, moves)
    if moves[-1] < KEPT_FROM_MOVES or not path.exists():
        return None
    by_move: dict[int, Tensors] = {move: {} for move in moves}
    for name, tensor in _load(path).items():
        move, _, rest = name.partition(".")
        by_move[int(move)][rest] = tensor
    return by_move


def _keep(history: History, moves: tuple[int, ...], by_move: dict[int, Tensors]) -> None:
    if moves[-1] >= KEPT_FROM_MOVES:
        flat = {f"{move}.{name}": tensor for move, each in by_move.items() for name, tensor in each.items()}
        files.write_atomically(_kept_file(history, moves), save(flat))


def _kept_file(history: History, moves: tuple[int, ...]) -> Path:
    """Return where these moves' result is kept: with the life's frames, by the versions that shape it."""
    key = hashlib.sha256(files.canonical_json([moves, teach.versions()]).encode()).hexdigest()
    return caches.store_folder(caches.folder(), history) / f"relearnt-{key[:16]}.safetensors"


def _load(path: Path) -> Tensors:
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({error}); remove or replace it") from error


def _settings(history: History) -> dqn.Settings:
    player: Any = history.header.player
    if player.get("kind") != "teacher" or player.get("algorithm") != "dqn":
        raise InputError(
            f"{history.header.game}: expected a DQN teacher's life, found player.kind "
            f"{player.get('kind')!r}, algorithm {player.get('algorithm')!r}; only such a one is relearnt"
        )
    try:
        return dqn.Settings(**player["settings"])
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{history.header.game}: its header's settings are not this version's ({error})"
        ) from error


def _require_moves(history: History, wanted: Sequence[int]) -> None:
    """Refuse moves before which the log shows no frame: the last update needs the frame after its moves."""
    if not wanted or wanted[0] < 0 or wanted[-1] >= history.num_moves:
        raise InputError(
            f"{history.header.game}: expected moves in [0, {history.num_moves}) of this life, "
            f"found {list(wanted)[-1:] or 'none'}; take a longer life"
        )
