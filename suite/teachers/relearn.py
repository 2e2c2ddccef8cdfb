"""Relearning: a teacher's networks at any moves, derived again from its life's own log, without acting.

A DQN's updates follow from what it saw and did, its settings, its first network and the replay draws. The
log holds the first two, its header the settings and the seed of the rest.
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
from understudy.suite.histories import frames
from understudy.suite.histories.format import History
from understudy.suite.teachers import dqn
from understudy.suite.teachers.memory import READ_MOVES, Memory

Tensors = dict[str, Tensor]  # what one teacher has learned, as `dqn.Learner.tensors` gives it
Report = Callable[[int, int], None]  # moves relearnt and to relearn, of each life

MOST_MOVES = {"atari": 50_000}  # of a family whose updates are slow: a million moves take a day on one core


def checkpoints(
    histories: Sequence[History],
    moves: Sequence[int],
    report: Report = lambda done, total: None,
    begin: tuple[int, Sequence[Tensors]] | None = None,
) -> Iterator[tuple[int, list[Tensors]]]:
    """Yield (move, what each teacher had learned when it was to make that move), in rising order of moves.

    Histories [S] are DQN teachers' lives of one family that learned by the same settings; their games may
    differ. Each yields network, target (left out where equal) and Adam's averages and step count.

    On the same machine with the same versions these are the bytes that were taught, whichever lives are side
    by side. Otherwise last bits differ. As the log is fixed the networks stay near, but not for ever: Adam
    lets weights that hardly matter drift, on darkroom by up to a tenth in 2,000 moves.

    `begin` is a move before them all, and what each had learned there: from there it goes on.

    Raises:
        InputError: a life that is no DQN's, settings or families that differ, or a move outside a life.
    """
    wanted = sorted(set(moves))
    relearning = _Relearning(histories, wanted)
    if begin is not None:
        relearning.go_on_from(*begin)
    for move in wanted:
        with relearning.as_taught():
            while relearning.move < move:
                relearning.learn_move()
                report(relearning.move, wanted[-1])
        yield move, [relearning.learner.tensors(index) for index in range(len(histories))]


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
        self.learner = dqn.Learner(lives, self.settings, seeds, precision=_precision(histories, wanted[-1]))
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

    def go_on_from(self, move: int, learned: Sequence[Tensors]) -> None:
        """Fill the memory up to a move, and take over what each teacher had learned there."""
        while self.move < move:
            self._remember_move()
        for index, tensors in enumerate(learned):
            self.learner.load_tensors(index, tensors)

    def learn_move(self) -> None:
        """Do what the school does after a move has been played."""
        settings = self.settings
        self._remember_move()
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

    def _remember_move(self) -> None:
        action, reward, terminated, truncated, _ = self.log
        self.memory.complete(*(column[self.move] for column in (action, reward, terminated, truncated)))
        self._see(self.move)

    def _see(self, move: int) -> None:
        if move % READ_MOVES == 0:
            stop = min(move + READ_MOVES, len(self.log[0]))
            self._read = np.stack([store[move:stop] for store in self.stores], axis=1)  # [moves, S, ...]
        self.memory.see(self._read[move % READ_MOVES], self.log[-1][move])


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


def _precision(histories: Sequence[History], before_move: int) -> str:
    """Return the precision in which all lives learned before a move; InputError where they differ."""
    stages = [stage for history in histories for stage in history.header.player.get("stages", [])]
    learned: set[str] = {
        stage.get("precision", "float32")
        for stage in stages
        if not stage["from_move"] or stage["from_move"] < before_move
    } or {"float32"}
    if len(learned) > 1:
        raise InputError(
            f"{histories[0].header.game}: learned in {' and '.join(sorted(learned))}; only what was learned "
            "in one precision is learnt again from the log"
        )
    return learned.pop()


def _require_moves(history: History, wanted: Sequence[int]) -> None:
    """Refuse moves before which the log shows no frame: the last update needs the frame after its moves."""
    if not wanted or wanted[0] < 0 or wanted[-1] >= history.num_moves:
        raise InputError(
            f"{history.header.game}: expected moves in [0, {history.num_moves}) of this life, "
            f"found {list(wanted)[-1:] or 'none'}; take a longer life"
        )
