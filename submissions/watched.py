"""Watched data: which runs may be watched, and whether a declaration fits the runs of this machine."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from understudy.submissions.submission_format import DECLARATION, Submission, WatchedHistory
from understudy.suite import benchmarks, registry
from understudy.suite.benchmarks import Benchmark, TeacherRun, pins
from understudy.suite.errors import InputError
from understudy.suite.histories import moves_hash
from understudy.suite.histories.history_format import History


def declared(name: str, history: History, watched_moves: int) -> WatchedHistory:
    """Return a run's item in `submission.json`: its first `watched_moves` moves, or all if it is shorter."""
    moves = min(watched_moves, history.num_moves)
    return WatchedHistory(name=name, moves=moves, sha256=moves_hash.sha256(history, moves))


def check(submission: Submission, benchmark: Benchmark, runs: Sequence[TeacherRun]) -> list[str]:
    """Return one line for each declared run that cannot be checked here.

    Raises InputError if the data may not be watched in this benchmark and mode (a new game, an extra game
    outside mode multi-game, moves beyond W), or if a run of this machine has other moves than declared.
    """
    path = submission.folder / DECLARATION
    here = {run.name: run for run in runs}
    pinned = pins.of(benchmark)
    unknown = []
    for entry in submission.declaration.watched.histories:
        _check_allowed(submission, entry, benchmark, path)
        hashes = {pin.sha256 for pin in pinned.of_run(entry.name) if pin.moves == entry.moves}
        if hashes:  # nothing needs to be read
            if entry.sha256 not in hashes:
                raise InputError(_other_data(path, entry, hashes.pop()))
        elif entry.name not in here:
            unknown.append(f"watched run {entry.name} is not on this machine: its hash is not checked")
        elif (history := benchmarks.read(here[entry.name])).num_moves < entry.moves:
            unknown.append(
                f"watched run {entry.name} has {history.num_moves:,} of the declared {entry.moves:,} moves "
                "on this machine: its hash is not checked"
            )
        elif (own := _known_sha256(here[entry.name], history.content_sha256, entry.moves)) != entry.sha256:
            raise InputError(_other_data(path, entry, own))
    return unknown


def _other_data(path: Path, entry: WatchedHistory, sha256: str) -> str:
    return (
        f"{path}: watched run {entry.name}: its first {entry.moves:,} moves have the SHA-256 {sha256[:12]} "
        f"here, found {entry.sha256[:12]} declared; it was trained on other data"
    )


@functools.lru_cache(maxsize=1024)
def _known_sha256(run: TeacherRun, content_sha256: str, moves: int) -> str:
    """Return a stored run's hash, computed once in a process for each content."""
    return moves_hash.sha256(benchmarks.read(run), moves)


def _check_allowed(submission: Submission, entry: WatchedHistory, benchmark: Benchmark, path: Path) -> None:
    mode = submission.declaration.watched.mode
    variant = entry.name.partition("/")[0]
    game = f"{benchmark.family}/{variant}"
    registry.choose(game, benchmark.games, f"game of {benchmark.name} in {path}: watched run")
    if game in benchmark.new_games:
        raise InputError(
            f"{path}: watched run {entry.name}: {game} is a new game of {benchmark.name} and never watched; "
            "train without it"
        )
    if game in benchmark.extra_watchable_games and mode != "multi-game":
        raise InputError(
            f"{path}: watched run {entry.name}: {game} is watched in mode multi-game only; found mode {mode}"
        )
    if entry.moves > benchmark.watched_moves:
        raise InputError(
            f"{path}: watched run {entry.name}: expected at most W = {benchmark.watched_moves:,} moves, "
            f"found {entry.moves:,}; the moves after W are the continuation and are never watched"
        )
