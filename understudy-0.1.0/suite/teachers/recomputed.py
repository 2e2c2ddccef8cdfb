"""Teachers' tensors at given moves, by folder: cached, read from a checkpoint, or recomputed from the log."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from understudy.suite import draws, games
from understudy.suite.errors import InputError
from understudy.suite.histories import frame_cache, history_format
from understudy.suite.histories.history_format import History
from understudy.suite.io import file_lock, file_names, files
from understudy.suite.io.readable import StoredPath
from understudy.suite.teachers import (
    checkpoints,
    dqn,
    graphs,
    layers,
    network,
    recompute,
    replay_memory,
    train_teacher,
)
from understudy.suite.teachers.recompute import Report, Tensors

CACHED_FROM_MOVES = 5_000  # from here on recomputing takes seconds to minutes: the result is cached on disk
LEARNING_MODULES = (dqn, draws, graphs, layers, replay_memory, network, recompute)  # their code is in the key


def tensors_of(
    folders: Sequence[StoredPath], moves: Sequence[int], report: Report = lambda done, total: None
) -> list[dict[int, Tensors]]:
    """Return the tensors of each teacher's folder just before these moves, by move; do not modify them.

    Results are cached in the process, and on disk beside the frames where recomputing takes long. Where a
    history ends at a requested move, the folder's `checkpoint.safetensors` is read.

    Args:
        folders: of teachers' runs; one may occur several times.
        moves: at which the tensors are taken.
        report: called with the moves recomputed so far and in all.

    Raises InputError as `recompute.checkpoints` does, and where recomputing would take hours.
    """
    wanted = sorted(set(moves))
    runs = {folder: (folder, _file_state(folder / file_names.HISTORY)) for folder in folders}
    missing = [run for run in runs.values() if not _look_up(run, wanted)]
    if missing:
        lock = _cache_file(_read(*missing[0]), wanted[-1]).with_suffix(".lock")
        with file_lock.held(lock, lambda: report(0, wanted[-1])):
            missing = [run for run in missing if not _look_up(run, wanted)]  # others may have added it
            if missing:
                _recompute(missing, wanted, report)
    return [{move: _known[runs[folder]][move] for move in wanted} for folder in folders]


def history_of(folder: StoredPath) -> History:
    """Return the history in a teacher's folder; the file is read once per process unless it changes."""
    return _read(folder, _file_state(folder / file_names.HISTORY))


FileState = tuple[int, int]  # modified, nanoseconds; size, bytes
StoredRun = tuple[StoredPath, FileState]  # a folder and the state of its history file

_known: dict[StoredRun, dict[int, Tensors]] = {}  # this process's results, by move


def _file_state(path: StoredPath) -> FileState:
    try:
        stored = path.stat()
    except OSError as error:
        raise InputError(
            f"{path}: no such history file; the log of the teacher's run is needed here"
        ) from error
    return stored.st_mtime_ns, stored.st_size


@functools.lru_cache(maxsize=4096)
def _read(folder: StoredPath, state: FileState) -> History:
    return history_format.read(folder / file_names.HISTORY)


def _look_up(run: StoredRun, moves: Sequence[int]) -> bool:
    """Load into `_known` what a checkpoint or the disk cache holds; return whether that is all of `moves`.

    InputError where recomputing would take hours.
    """
    folder, history, known = run[0], _read(*run), _known.setdefault(run, {})
    checkpoint = folder / file_names.CHECKPOINT
    if history.num_moves in moves and history.num_moves not in known and checkpoint.exists():
        known[history.num_moves] = checkpoints.read(checkpoint, history)
    most = recompute.MAX_MOVES.get(games.load(history.header.game).family)
    if most is not None and any(move > most and move not in known for move in moves):
        raise InputError(
            f"{folder}: recomputing {moves[-1]:,} moves of {history.header.game} takes hours; expected a run "
            f"of {moves[-1]:,} moves with its {file_names.CHECKPOINT}, found one of {history.num_moves:,}"
        )
    for move in moves:
        if move not in known and (path := _cache_file(history, move)).exists():
            known[move] = _load(path)
    return all(move in known for move in moves)


def _recompute(runs: Sequence[StoredRun], moves: Sequence[int], report: Report) -> None:
    """Recompute runs in lock-step, which gives each the same bytes as by itself.

    It starts from the newest move at which all are known, before the first that is needed.
    """
    known = set.intersection(*(set(_known[run]) for run in runs))
    unknown = [move for move in moves if move not in known]
    begun = max((move for move in known if move < unknown[0]), default=0)
    histories = [_read(*run) for run in runs]
    begin = (begun, [_known[run][begun] for run in runs]) if begun else None
    for move, learned in recompute.checkpoints(histories, unknown, report, begin):
        for run, history, tensors in zip(runs, histories, learned, strict=True):
            _known[run][move] = tensors
            if move >= CACHED_FROM_MOVES:
                files.write_atomically(_cache_file(history, move), save(tensors))


def _cache_file(history: History, move: int) -> Path:
    """Return the cache file of this move: beside the run's frames, keyed by package versions and code."""
    key = files.text_sha256(files.canonical_json([train_teacher.versions(), _learning_code()]))
    return (
        frame_cache.store_folder(frame_cache.folder(), history) / f"recomputed-{key[:16]}-{move}.safetensors"
    )


@functools.cache
def _learning_code() -> dict[str, str]:
    return {module.__name__: files.sha256(Path(str(module.__file__))) for module in LEARNING_MODULES}


def _load(path: Path) -> Tensors:
    try:
        found: Tensors = load_file(path)
        return found
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({error}); remove or replace it") from error
