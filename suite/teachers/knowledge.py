"""What teachers had learned at given moves, by their folders: kept, read from a checkpoint, or relearnt."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from understudy.suite import files, games
from understudy.suite.errors import InputError
from understudy.suite.histories import cache as caches
from understudy.suite.histories import format as history_format
from understudy.suite.histories.format import History
from understudy.suite.teachers import relearn, teach
from understudy.suite.teachers.relearn import Tensors

KEPT_FROM_MOVES = 50_000  # from here relearning takes a minute or more, and its result is kept on disk


def of_folders(folders: Sequence[Path], moves: Sequence[int]) -> list[dict[int, Tensors]]:
    """Return, for each teacher's folder, what it had learned at these moves, by move; to be read only.

    Results are kept in the process, and where relearning is long in the user's cache, beside the frames.
    Where a history ends with the one move asked for, the folder's `checkpoint.safetensors` is read.
    Raises InputError as `relearn.checkpoints` does, and where relearning would take hours.
    """
    distinct = tuple(dict.fromkeys(folders))
    states = tuple((folder, _file_state(folder / teach.HISTORY)) for folder in distinct)
    found = dict(zip(distinct, _of_folders(states, tuple(sorted(set(moves)))), strict=True))
    return [found[folder] for folder in folders]


def history_of(folder: Path) -> History:
    """Return the history in a teacher's folder, read once in a process as long as the file stays as it is."""
    return _read(folder, _file_state(folder / teach.HISTORY))


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
        for move, learned in relearn.checkpoints([histories[index] for index in missing], moves):
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
    most = relearn.MOST_MOVES.get(games.load(history.header.game).family)
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
