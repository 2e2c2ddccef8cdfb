"""Recompute a teacher's networks at any moves from the log of its run, without acting.

A DQN's updates follow from its observations and actions, its settings, its initial network and the replay
draws. The log gives the first two, its header the settings and the seed of the rest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from understudy.suite import draws, games
from understudy.suite.errors import InputError
from understudy.suite.histories import frame_store
from understudy.suite.histories.history_format import TEACHER, History
from understudy.suite.teachers import dqn
from understudy.suite.teachers.replay_memory import READ_MOVES, ReplayMemory

Tensors = dict[str, Tensor]  # of one teacher, as `dqn.DQNLearner.tensors` returns them
Report = Callable[[int, int], None]  # called with moves done and moves in all, of each run

MAX_MOVES = {"atari": 50_000}  # by family; Atari's updates are slow: a million moves take a day on one core


def checkpoints(
    histories: Sequence[History],
    moves: Sequence[int],
    report: Report = lambda done, total: None,
    begin: tuple[int, Sequence[Tensors]] | None = None,
) -> Iterator[tuple[int, list[Tensors]]]:
    """Yield (move, tensors of each teacher just before that move), in rising order of moves.

    The tensors are network, target (left out if equal), and Adam's averages and number of updates. On the
    same machine with the same versions they are the trained bytes, whichever runs are recomputed together.
    Otherwise the last bits differ. As the log is fixed the networks stay near, but not forever: Adam lets
    weights that hardly matter drift, on darkroom by up to a tenth in 2,000 moves.

    Args:
        histories: runs [S] of DQN teachers of one family with the same settings; their games may differ.
        moves: at which the tensors are taken; each before a move of every run.
        report: called after each recomputed move.
        begin: a move before all of `moves`, and each teacher's tensors [S] there, to start from.

    Raises:
        InputError: a run that is not a DQN's, settings or families that differ, or a move outside a run.
    """
    wanted = sorted(set(moves))
    recomputation = _Recomputation(histories, wanted)
    if begin is not None:
        recomputation.start_at(*begin)
    for move in wanted:
        with recomputation.training_arithmetic():
            while recomputation.move < move:
                recomputation.replay_move()
                report(recomputation.move, wanted[-1])
        yield move, [recomputation.learner.tensors(index) for index in range(len(histories))]


def settings_of(histories: Sequence[History]) -> dqn.DQNSettings:
    """Return the settings with which all of these teachers were trained; InputError if they differ."""
    found = [_settings(history) for history in histories]
    for history, settings in zip(histories, found, strict=True):
        differing = [name for name, value in vars(settings).items() if value != getattr(found[0], name)]
        if differing:
            raise InputError(
                f"{history.header.game}: this teacher was trained with another {differing[0]} "
                f"({getattr(settings, differing[0])}) than that of {histories[0].header.game} "
                f"({getattr(found[0], differing[0])}); take them one at a time"
            )
    return found[0]


def run_seed(history: History) -> int:
    """Return the seed of a teacher's run, from which its initial network and its draws derive."""
    return int(str(history.header.run["seed"]), 16)


class _Recomputation:
    """Replay memory and learner of S runs, fed from their logs."""

    def __init__(self, histories: Sequence[History], wanted: Sequence[int]) -> None:
        self.settings = settings_of(histories)
        runs = [games.load(history.header.game) for history in histories]
        if len({game.family for game in runs}) > 1:
            raise InputError(f"expected teachers of one family; found {runs[0].name} and {runs[-1].name}")
        for history in histories:
            _require_moves(history, wanted)
        seeds = [run_seed(history) for history in histories]
        self.learner = dqn.DQNLearner(runs, self.settings, seeds, precision=_precision(histories, wanted[-1]))
        self.memory = ReplayMemory(runs[0], len(runs), max(1, min(self.settings.memory_moves, wanted[-1])))
        self.draws = [draws.Uniforms(seed, "replay", self.settings.batch_size) for seed in seeds]
        self.stages = histories[0].header.player.get("stages", [])
        self.log = [
            np.stack([getattr(history, name)[: wanted[-1] + 1] for history in histories], axis=1)
            for name in ("action", "reward", "terminated", "truncated", "first")
        ]  # five columns, each [moves, S]
        self.stores = frame_store.open_stores(histories, 0, wanted[-1] + 1)
        self._see(0)

    @property
    def move(self) -> int:
        """Moves recomputed so far."""
        return self.memory.size

    def start_at(self, move: int, learned: Sequence[Tensors]) -> None:
        """Fill the memory up to a move, and load each teacher's tensors there."""
        while self.move < move:
            self._store_move()
        for index, tensors in enumerate(learned):
            self.learner.load_tensors(index, tensors)

    def replay_move(self) -> None:
        """Store the next move, and make the update and the copy to the target that are due after it."""
        settings = self.settings
        self._store_move()
        if self.move >= settings.learning_starts and self.move % settings.update_every == 0:
            index = self.move // settings.update_every
            self.learner.update(self.memory.draw(np.stack([stream.at(index) for stream in self.draws])))
        if self.move % settings.target_every == 0:
            self.learner.copy_to_target()

    @contextlib.contextmanager
    def training_arithmetic(self) -> Iterator[None]:
        """Set the threads of the run's present stage, and flush denormals as the training did."""
        threads = torch.get_num_threads()
        begun = [stage for stage in self.stages if stage["from_move"] <= self.move]
        torch.set_num_threads(begun[-1]["threads"] if begun else 1)
        torch.set_flush_denormal(True)
        try:
            yield
        finally:
            torch.set_flush_denormal(False)
            torch.set_num_threads(threads)

    def _store_move(self) -> None:
        action, reward, terminated, truncated, _ = self.log
        self.memory.complete(*(column[self.move] for column in (action, reward, terminated, truncated)))
        self._see(self.move)

    def _see(self, move: int) -> None:
        if move % READ_MOVES == 0:
            stop = min(move + READ_MOVES, len(self.log[0]))
            self._read = np.stack([store[move:stop] for store in self.stores], axis=1)  # [moves, S, ...]
        self.memory.see(self._read[move % READ_MOVES], self.log[-1][move])


def _settings(history: History) -> dqn.DQNSettings:
    player: Any = history.header.player
    if player.get("kind") != TEACHER or player.get("algorithm") != "dqn":
        raise InputError(
            f"{history.header.game}: expected a DQN teacher's run, found player.kind "
            f"{player.get('kind')!r}, algorithm {player.get('algorithm')!r}; no other run can be recomputed"
        )
    try:
        return dqn.DQNSettings(**player["settings"])
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{history.header.game}: its header's settings don't fit this version ({error})"
        ) from error


def _precision(histories: Sequence[History], before_move: int) -> str:
    """Return the precision in which all runs were trained up to a move; InputError if there are several."""
    stages = [stage for history in histories for stage in history.header.player.get("stages", [])]
    precisions: set[str] = {
        stage.get("precision", "float32")
        for stage in stages
        if not stage["from_move"] or stage["from_move"] < before_move
    } or {"float32"}
    if len(precisions) > 1:
        raise InputError(
            f"{histories[0].header.game}: trained in {' and '.join(sorted(precisions))}; only a training in "
            "one precision can be recomputed from the log"
        )
    return precisions.pop()


def _require_moves(history: History, wanted: Sequence[int]) -> None:
    """Raise InputError for a move past the log: the last update needs the frame after its moves."""
    if not wanted or wanted[0] < 0 or wanted[-1] >= history.num_moves:
        raise InputError(
            f"{history.header.game}: expected moves in [0, {history.num_moves}) of this run, "
            f"found {list(wanted)[-1:] or 'none'}; take a longer run"
        )
