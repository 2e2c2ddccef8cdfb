"""Watched data: which runs may be watched, and whether a declaration fits the runs of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from understudy.baselines.training.settings import TrainingSettings
from understudy.submissions.submission_format import Submission, WatchedHistory
from understudy.suite import benchmarks, draws, registry
from understudy.suite.benchmarks import Benchmark, TeacherRun, pins
from understudy.suite.benchmarks.pins import Pins
from understudy.suite.errors import InputError
from understudy.suite.histories import moves_hash
from understudy.suite.histories.history_format import History
from understudy.suite.reserved_names import DECLARATION


def declared(name: str, history: History, watched_moves: int) -> WatchedHistory:
    """Return a run's item in `submission.json`: its first `watched_moves` moves, or all if it is shorter."""
    moves = min(watched_moves, history.num_moves)
    return WatchedHistory(name=name, moves=moves, sha256=moves_hash.sha256(history, moves))


def kept_from_updates(names: Sequence[str], settings: TrainingSettings) -> frozenset[str]:
    """Return the runs that a training of these settings keeps from its updates; InputError as below."""
    runs = held_out(names, settings.seed, settings.held_out)
    return runs | held_out_games(names, settings.seed, settings.held_out_games)


def held_out(names: Sequence[str], seed: int, count: int) -> frozenset[str]:
    """Return the `count` runs that a training keeps from its updates, for the validation loss.

    They are drawn by the seed from the names in any order; the choice among runs changes little with others
    beside them. Raises InputError unless at least one run is left to train on.
    """
    if count >= len(names):
        raise InputError(
            f"held_out: {count} held out of {len(names)} watched {'run' if len(names) == 1 else 'runs'} per "
            "checkpoint leave none to train on; watch more (--mode multi), or hold out fewer"
        )
    return frozenset(sorted(names, key=lambda name: draws.derive(seed, "held-out", name))[:count])


def held_out_games(names: Sequence[str], seed: int, count: int) -> frozenset[str]:
    """Return the runs of the `count` games that a training keeps from its updates, drawn as `held_out`."""
    games = sorted({name.partition("/")[0] for name in names})
    if count >= len(games):
        raise InputError(
            f"held_out_games: {count} held out of {len(games)} watched "
            f"{'game' if len(games) == 1 else 'games'} per checkpoint leave none to train on; watch more, or "
            "hold out fewer"
        )
    drawn = sorted(games, key=lambda game: draws.derive(seed, "held-out games", game))[:count]
    return frozenset(name for name in names if name.partition("/")[0] in drawn)


def useful_priming(reach_moves: int | None, watched_moves: int) -> int:
    """Return how many of the last watched moves can matter to an imitator that is primed with them.

    The first move of a run comes after them, so a reach of one move needs none.
    """
    if reach_moves is None:
        return watched_moves
    return min(watched_moves, reach_moves if reach_moves > 1 else 0)


def require(submission: Submission, benchmark: Benchmark) -> None:
    """Raise InputError unless the declared data may be watched, and pinned runs are declared as pinned.

    It may not be watched if it is of a new game, of an extra game outside mode multi-game, or beyond W.
    A declared run that is not pinned passes, whatever it holds: no score depends on it. `check` compares it
    with the run of this machine, if there is one.
    """
    path, pinned = submission.folder / DECLARATION, pins.of(benchmark)
    allowed = frozenset(benchmark.watched_games)
    for entry in submission.declaration.watched.histories:
        game = f"{benchmark.family}/{entry.name.partition('/')[0]}"
        if game not in allowed or entry.moves > benchmark.watched_moves:
            _check_allowed(submission, entry, benchmark, path)
        hashes = _pinned_hashes(pinned, entry)
        if hashes and entry.sha256 not in hashes:
            raise InputError(_other_data(path, entry, hashes[0]))


def check(submission: Submission, benchmark: Benchmark, runs: Sequence[TeacherRun]) -> list[str]:
    """Return lines on the declared runs that cannot be checked here, or that are pinned by another name.

    Raises InputError as `require`, and if a run of this machine has other moves than declared.
    """
    require(submission, benchmark)
    path = submission.folder / DECLARATION
    here = {run.name: run for run in runs}
    pinned = pins.of(benchmark)
    by_moves = {(pin.sha256, pin.moves): pin.run for pin in pinned.pins}
    lines = []
    absent = []
    for entry in submission.declaration.watched.histories:
        if _pinned_hashes(pinned, entry):
            continue
        same = by_moves.get((entry.sha256, entry.moves))
        if same is not None:
            lines.append(
                f"watched run {entry.name} has the moves of {same}, which "
                f"{benchmark.name} pins, and is that run: declare it by that name"
            )
        elif entry.name not in here:
            absent.append(entry.name)
        elif (history := benchmarks.read(here[entry.name])).num_moves < entry.moves:
            lines.append(
                f"watched run {entry.name} has {history.num_moves:,} of the declared {entry.moves:,} moves "
                "on this machine: its hash is not checked"
            )
        elif (own := moves_hash.sha256(history, entry.moves)) != entry.sha256:
            raise InputError(_other_data(path, entry, own))
    if absent:
        more = f" and {len(absent) - 1:,} more are" if len(absent) > 1 else " is"
        hashes = "its hash is" if len(absent) == 1 else "their hashes are"
        lines.append(f"watched run {absent[0]}{more} not on this machine: {hashes} not checked")
    return lines


def _pinned_hashes(pinned: Pins, entry: WatchedHistory) -> list[str]:
    return [pin.sha256 for pin in pinned.of_run(entry.name) if pin.moves == entry.moves]


def _other_data(path: Path, entry: WatchedHistory, sha256: str) -> str:
    return (
        f"{path}: watched run {entry.name}: its first {entry.moves:,} moves have the SHA-256 {sha256[:12]} "
        f"here, found {entry.sha256[:12]} declared; it was trained on other data"
    )


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
