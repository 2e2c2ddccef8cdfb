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
from understudy.suite.teachers.relearn import Report, Tensors

KEPT_FROM_MOVES = 5_000  # from here relearning takes seconds to minutes, and its result is kept on disk


def of_folders(
    folders: Sequence[Path], moves: Sequence[int], report: Report = lambda done, total: None
) -> list[dict[int, Tensors]]:
    """Return, for each teacher's folder, what it had learned at these moves, by move; to be read only.

    Results are kept in the process, and where relearning is long in the user's cache, beside the frames.
    Where a history ends with the one move asked for, the folder's `checkpoint.safetensors` is read.

    Args:
        folders: of teachers' lives; one may come several times.
        moves: at which the networks are taken.
        report: told how many moves are relearnt, and of how many.

    Raises InputError as `relearn.checkpoints` does, and where relearning would take hours.
    """
    wanted = tuple(sorted(set(moves)))
    lives = {folder: (folder, _file_state(folder / teach.HISTORY), wanted) for folder in folders}
    missing = [life for life in lives.values() if life not in _found and not _find(life)]
    if missing:
        first = _kept_file(_read(*missing[0][:2]), wanted)
        with files.alone(first.with_suffix(".lock"), lambda: report(0, wanted[-1])):
            _relearn([life for life in missing if not _find(life)], report)  # if nobody beside this one has
    return [_found[lives[folder]] for folder in folders]


def history_of(folder: Path) -> History:
    """Return the history in a teacher's folder, read once in a process as long as the file stays as it is."""
    return _read(folder, _file_state(folder / teach.HISTORY))


FileState = tuple[int, int]  # modified, nanoseconds; size, bytes
Life = tuple[Path, FileState, tuple[int, ...]]  # a folder, its history file, the moves asked for

_found: dict[Life, dict[int, Tensors]] = {}  # what this process knows


def _file_state(path: Path) -> FileState:
    try:
        stored = path.stat()
    except OSError as error:
        raise InputError(f"{path}: no such history file; the teacher's log is needed here") from error
    return stored.st_mtime_ns, stored.st_size


@functools.lru_cache(maxsize=256)
def _read(folder: Path, state: FileState) -> History:
    return history_format.read(folder / teach.HISTORY)


def _find(life: Life) -> bool:
    """Put what needs no relearning where this process finds it; return whether there was any."""
    folder, state, moves = life
    stored = _stored(folder, _read(folder, state), moves)
    if stored is not None:
        _found[life] = stored
    return stored is not None


def _relearn(lives: Sequence[Life], report: Report) -> None:
    """Relearn lives of the same moves side by side, which gives each the numbers that it gives alone."""
    if not lives:
        return
    histories = [_read(folder, state) for folder, state, _ in lives]
    by_move: list[dict[int, Tensors]] = [{} for _ in lives]
    for move, learned in relearn.checkpoints(histories, lives[0][2], report):
        for tensors, place in zip(learned, by_move, strict=True):
            place[move] = tensors
    for life, history, found in zip(lives, histories, by_move, strict=True):
        _keep(history, life[2], found)
        _found[life] = found


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
