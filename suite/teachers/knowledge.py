"""What teachers had learned at given moves, by their folders: kept, read from a checkpoint, or relearnt."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from understudy.suite import draws, files, games
from understudy.suite.errors import InputError
from understudy.suite.histories import cache as caches
from understudy.suite.histories import format as history_format
from understudy.suite.histories.format import History
from understudy.suite.teachers import (
    checkpoints,
    dqn,
    graphs,
    layers,
    memory,
    network,
    relearn,
    standing,
    teach,
)
from understudy.suite.teachers.relearn import Report, Tensors

KEPT_FROM_MOVES = 5_000  # from here relearning takes seconds to minutes, and its result is kept on disk
LEARNING = (dqn, draws, graphs, layers, memory, network, relearn)  # their code shapes what is learnt


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
    wanted = sorted(set(moves))
    lives = {folder: (folder, _file_state(folder / standing.HISTORY)) for folder in folders}
    missing = [life for life in lives.values() if not _find(life, wanted)]
    if missing:
        lock = _kept_file(_read(*missing[0]), wanted[-1]).with_suffix(".lock")
        with files.alone(lock, lambda: report(0, wanted[-1])):
            still = [life for life in missing if not _find(life, wanted)]  # if nobody beside this one has
            if still:
                _relearn(still, wanted, report)
    return [{move: _found[lives[folder]][move] for move in wanted} for folder in folders]


def history_of(folder: Path) -> History:
    """Return the history in a teacher's folder, read once in a process as long as the file stays as it is."""
    return _read(folder, _file_state(folder / standing.HISTORY))


FileState = tuple[int, int]  # modified, nanoseconds; size, bytes
Life = tuple[Path, FileState]  # a folder and its history file

_found: dict[Life, dict[int, Tensors]] = {}  # what this process knows, by move


def _file_state(path: Path) -> FileState:
    try:
        stored = path.stat()
    except OSError as error:
        raise InputError(f"{path}: no such history file; the teacher's log is needed here") from error
    return stored.st_mtime_ns, stored.st_size


@functools.lru_cache(maxsize=4096)
def _read(folder: Path, state: FileState) -> History:
    return history_format.read(folder / standing.HISTORY)


def _find(life: Life, moves: Sequence[int]) -> bool:
    """Put what needs no relearning where this process finds it; return whether that is all of it.

    InputError where relearning would take hours.
    """
    folder, history, known = life[0], _read(*life), _found.setdefault(life, {})
    checkpoint = folder / checkpoints.CHECKPOINT
    if history.num_moves in moves and history.num_moves not in known and checkpoint.exists():
        known[history.num_moves] = checkpoints.read(checkpoint, history)
    most = relearn.MOST_MOVES.get(games.load(history.header.game).family)
    if most is not None and any(move > most and move not in known for move in moves):
        raise InputError(
            f"{folder}: relearning {moves[-1]:,} moves of {history.header.game} takes hours; expected a life "
            f"of {moves[-1]:,} moves with its {checkpoints.CHECKPOINT}, found one of {history.num_moves:,}"
        )
    for move in moves:
        if move not in known and (path := _kept_file(history, move)).exists():
            known[move] = _load(path)
    return all(move in known for move in moves)


def _relearn(lives: Sequence[Life], moves: Sequence[int], report: Report) -> None:
    """Relearn lives side by side, which gives each the numbers that it gives alone.

    It goes on from the newest move that all of them are known at, before the first that is needed.
    """
    known = set.intersection(*(set(_found[life]) for life in lives))
    unknown = [move for move in moves if move not in known]
    begun = max((move for move in known if move < unknown[0]), default=0)
    histories = [_read(*life) for life in lives]
    begin = (begun, [_found[life][begun] for life in lives]) if begun else None
    for move, learned in relearn.checkpoints(histories, unknown, report, begin):
        for life, history, tensors in zip(lives, histories, learned, strict=True):
            _found[life][move] = tensors
            if move >= KEPT_FROM_MOVES:
                files.write_atomically(_kept_file(history, move), save(tensors))


def _kept_file(history: History, move: int) -> Path:
    """Return where this move's result is kept: with the life's frames, by versions and code that shape it."""
    key = files.text_sha256(files.canonical_json([teach.versions(), _learning_code()]))
    return caches.store_folder(caches.folder(), history) / f"relearnt-{key[:16]}-{move}.safetensors"


@functools.cache
def _learning_code() -> dict[str, str]:
    return {module.__name__: files.sha256(Path(str(module.__file__))) for module in LEARNING}


def _load(path: Path) -> Tensors:
    try:
        found: Tensors = load_file(path)
        return found
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({error}); remove or replace it") from error
