"""Watched data: what may be trained on, and whether a declaration fits the teacher lives of this machine."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from understudy.submissions.format import DECLARATION, Submission, WatchedHistory
from understudy.suite import benchmarks, files, registry
from understudy.suite.benchmarks import Benchmark, TeacherLife
from understudy.suite.errors import InputError
from understudy.suite.histories import format as histories
from understudy.suite.histories.format import History


def sha256(history: History, moves: int) -> str:
    """Return the SHA-256 of a life's moves [0, moves): the game, the number, each column's bytes in order.

    It stays the same when the life is carried on beyond them, which `content_sha256` doesn't.
    """
    digest = hashlib.sha256(files.canonical_json([history.header.game, moves]).encode())
    for name, dtype in histories.COLUMNS.items():
        column = getattr(history, name)[:moves]
        digest.update(f"\n{name} {dtype}\n".encode())
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def declared(name: str, history: History, watched_moves: int) -> WatchedHistory:
    """Return a life's entry in `submission.json`: its first `watched_moves` moves, or what there is."""
    moves = min(watched_moves, history.num_moves)
    return WatchedHistory(name=name, moves=moves, sha256=sha256(history, moves))


def check(submission: Submission, benchmark: Benchmark, lives: Sequence[TeacherLife]) -> list[str]:
    """Return one line for each declared life that can't be checked here.

    Raises InputError if the data may not be watched in this benchmark and mode (a new game, another game
    outside of multi-game, moves beyond W), or if a life of this machine has other moves than declared.
    """
    path = submission.folder / DECLARATION
    here = {life.name: life for life in lives}
    unknown = []
    for entry in submission.declaration.watched.histories:
        _check_allowed(submission, entry, benchmark, path)
        if entry.name not in here:
            unknown.append(f"watched life {entry.name} is not on this machine: its hash is not checked")
            continue
        history = benchmarks.read(here[entry.name])
        if history.num_moves < entry.moves:
            unknown.append(
                f"watched life {entry.name} has {history.num_moves:,} of the declared {entry.moves:,} moves "
                "on this machine: its hash is not checked"
            )
        elif (own := _known_sha256(here[entry.name], history.content_sha256, entry.moves)) != entry.sha256:
            raise InputError(
                f"{path}: watched life {entry.name}: its first {entry.moves:,} moves have the SHA-256 "
                f"{own[:12]} here, found {entry.sha256[:12]} declared; it was trained on other data"
            )
    return unknown


@functools.lru_cache(maxsize=1024)
def _known_sha256(life: TeacherLife, content_sha256: str, moves: int) -> str:
    """Return a stored life's hash, worked out once in a process for each content."""
    return sha256(benchmarks.read(life), moves)


def _check_allowed(submission: Submission, entry: WatchedHistory, benchmark: Benchmark, path: Path) -> None:
    mode = submission.declaration.watched.mode
    variant = entry.name.partition("/")[0]
    game = f"{benchmark.family}/{variant}"
    registry.choose(game, benchmark.games, f"game of {benchmark.name} in {path}: watched life")
    if game in benchmark.new_games:
        raise InputError(
            f"{path}: watched life {entry.name}: {game} is a new game of {benchmark.name} and never watched; "
            "train without it"
        )
    if game in benchmark.extra_watchable_games and mode != "multi-game":
        raise InputError(
            f"{path}: watched life {entry.name}: {game} is watched in mode multi-game only; found mode {mode}"
        )
    if entry.moves > benchmark.watched_moves:
        raise InputError(
            f"{path}: watched life {entry.name}: expected at most W = {benchmark.watched_moves:,} moves, "
            f"found {entry.moves:,}; what follows is the continuation and is never watched"
        )
