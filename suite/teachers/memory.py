"""The replay memory: a view of the newest moves of each seed's life, every frame stored once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from understudy.suite.histories.format import History
from understudy.suite.protocols import Game


class Batch(NamedTuple):
    """Transitions drawn for one update, [S, B] in all lanes."""

    observations: np.ndarray  # [S, B, *observation_shape]
    actions: np.ndarray  # [S, B] int64
    rewards: np.ndarray  # [S, B] float32, raw points
    next_observations: np.ndarray  # [S, B, *observation_shape]
    terminated: np.ndarray  # [S, B] bool


class Memory:
    """Rings of `capacity` moves for S lives in lock-step.

    A move cut short by the cap has no successor in the log: it is neither bootstrapped nor taken for
    a terminal, it isn't drawn.
    """

    def __init__(self, game: Game, num_lives: int, capacity: int) -> None:
        self._game = game
        self._margin = game.stacked_frames + 1  # slots kept so that the oldest move still has its stack
        self._capacity = capacity
        self._slots = capacity + self._margin
        self.size = 0  # moves complete so far, in each life
        self._frames = np.empty((self._slots, num_lives, *game.frame_shape), game.observation_dtype)
        self._action = np.zeros((self._slots, num_lives), np.uint8)
        self._reward = np.zeros((self._slots, num_lives), np.float32)
        self._terminated = np.zeros((self._slots, num_lives), bool)
        self._episode_start = np.zeros((self._slots, num_lives), np.int64)  # the move's episode began there
        self._truncated = [np.empty(0, np.int64) for _ in range(num_lives)]  # moves of each life, rising
        self._lives = np.arange(num_lives)

    def see(self, frames: np.ndarray, first: np.ndarray) -> None:
        """Store the newest frames [S, *frame_shape] before move `size`, and which lives begin an episode."""
        slot = self.size % self._slots
        self._frames[slot] = frames
        previous = self._episode_start[(self.size - 1) % self._slots]
        self._episode_start[slot] = np.where(first, self.size, previous)

    def complete(
        self, actions: np.ndarray, rewards: np.ndarray, terminated: np.ndarray, truncated: np.ndarray
    ) -> None:
        """Store what move `size` did, [S] each; `see` the next frames before drawing."""
        slot = self.size % self._slots
        self._action[slot] = actions
        self._reward[slot] = rewards
        self._terminated[slot] = terminated
        for life in np.flatnonzero(truncated & ~terminated):
            held = self._truncated[life][self._truncated[life] >= self.size - self._capacity]
            self._truncated[life] = np.append(held, self.size)
        self.size += 1

    def draw(self, uniforms: np.ndarray) -> Batch:
        """Return the transitions that uniform numbers [S, B] in [0, 1) point at, evenly over each window."""
        moves = np.stack([self._moves(life, row) for life, row in enumerate(uniforms)])  # [S, B]
        lives = self._lives[:, None]
        slots = moves % self._slots
        return Batch(
            self._observations(moves),
            self._action[slots, lives].astype(np.int64),
            self._reward[slots, lives],
            self._observations(moves + 1),
            self._terminated[slots, lives],
        )

    def oldest(self, moves: int) -> int:
        """Return the first move whose frame is still held after `moves` moves."""
        return max(0, moves + 1 - self._slots)

    def restore(
        self, histories: Sequence[History], frames: Sequence[Iterable[tuple[int, np.ndarray]]]
    ) -> None:
        """Refill from the lives' own logs: histories [S] of one length, and their (move, frame) pairs."""
        self.size = histories[0].num_moves
        held = np.arange(self.oldest(self.size), self.size)
        slots = held % self._slots
        for life, (history, pairs) in enumerate(zip(histories, frames, strict=True)):
            self._action[slots, life] = history.action[held]
            self._reward[slots, life] = history.reward[held]
            self._terminated[slots, life] = history.terminated[held]
            starts = np.where(history.first, np.arange(self.size), 0)
            self._episode_start[slots, life] = np.maximum.accumulate(starts)[held]
            self._truncated[life] = np.flatnonzero(history.truncated & ~history.terminated)
            for move, frame in pairs:
                if move >= self.oldest(self.size):
                    self._frames[move % self._slots, life] = frame

    def _moves(self, life: int, uniforms: np.ndarray) -> np.ndarray:
        """Return one life's moves at these ranks, skipping truncated ones: [B] -> int64 [B]."""
        oldest = max(0, self.size - self._capacity)
        skipped = self._truncated[life]
        skipped = skipped[np.searchsorted(skipped, oldest) :]
        rank = oldest + (uniforms * (self.size - oldest - len(skipped))).astype(np.int64)
        passed = np.searchsorted(skipped - np.arange(len(skipped)), rank, side="right")
        found: np.ndarray = rank + passed
        return found

    def _observations(self, moves: np.ndarray) -> np.ndarray:
        """Return stacked observations before these moves [S, B]; frames before the episode are zero."""
        depth = self._game.stacked_frames
        lives = self._lives[:, None]
        if depth == 1:
            single: np.ndarray = self._frames[moves % self._slots, lives]
            return single
        wanted = moves[..., None] + np.arange(1 - depth, 1)  # [S, B, depth], oldest first
        stacked: np.ndarray = self._frames[wanted % self._slots, lives[..., None]]
        before = wanted < self._episode_start[moves % self._slots, lives][..., None]
        if before.any():
            stacked[before] = 0
        return stacked
