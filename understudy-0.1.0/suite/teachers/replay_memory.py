"""The replay memory: the newest moves of each seed's run, every frame stored once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from understudy.suite.histories.history_format import History
from understudy.suite.protocols import Game

READ_MOVES = 4096  # frames read from a store at once


class FrameSource(Protocol):
    """A run's frames by move: `source[start:stop]` is [T, *frame_shape]."""

    def __getitem__(self, moves: slice, /) -> np.ndarray:
        """Return the frames before the moves [start, stop)."""


class Batch(NamedTuple):
    """Transitions [S, B] drawn for one update; valid until the next draw."""

    frames: Tensor  # [S, B, D + 1, *frame_shape], oldest first: D before the move, one after
    actions: Tensor  # [S, B] int64
    rewards: Tensor  # [S, B] float32, raw points
    terminated: Tensor  # [S, B] bool

    @property
    def observations(self) -> Tensor:
        """The observations before the moves, [S, B, *observation_shape]."""
        return self.frames[:, :, :-1] if self.frames.shape[2] > 2 else self.frames[:, :, 0]

    @property
    def next_observations(self) -> Tensor:
        """The observations after the moves, [S, B, *observation_shape]; meaningless where terminated."""
        return self.frames[:, :, 1:] if self.frames.shape[2] > 2 else self.frames[:, :, 1]


class ReplayMemory:
    """Ring buffers of `capacity` moves for S runs in lock-step; the frames are on the network's device.

    A move that is truncated by the cap has no successor in the log. It is never drawn, as it can neither be
    bootstrapped nor counted as terminal.
    """

    def __init__(self, game: Game, num_runs: int, capacity: int, device: str = "cpu") -> None:
        self._depth = game.stacked_frames
        self._capacity = capacity
        self._slots = capacity + self._depth + 1  # so that the oldest move still has its stack
        self.size = 0  # completed moves of each run
        dtype = getattr(torch, game.observation_dtype)
        self._frames = torch.empty((self._slots, num_runs, *game.frame_shape), dtype=dtype, device=device)
        self._host_frames = self._frames.numpy() if device == "cpu" else None  # numpy writes a frame faster
        self._action = np.zeros((self._slots, num_runs), np.uint8)
        self._reward = np.zeros((self._slots, num_runs), np.float32)
        self._terminated = np.zeros((self._slots, num_runs), bool)
        self._episode_start = np.zeros((self._slots, num_runs), np.int64)  # first move of the move's episode
        self._truncated = [np.empty(0, np.int64) for _ in range(num_runs)]  # moves of each run, rising
        self._runs = np.arange(num_runs)
        self._batch: Batch | None = None  # overwritten by each draw

    def see(self, frames: np.ndarray, first: np.ndarray) -> None:
        """Store the newest frames [S, *frame_shape] before move `size`; `first` [S]: an episode begins."""
        slot = self.size % self._slots
        if self._host_frames is not None:
            self._host_frames[slot] = frames
        else:
            self._frames[slot].copy_(torch.from_numpy(frames))
        previous = self._episode_start[(self.size - 1) % self._slots]
        self._episode_start[slot] = np.where(first, self.size, previous)

    def complete(
        self, actions: np.ndarray, rewards: np.ndarray, terminated: np.ndarray, truncated: np.ndarray
    ) -> None:
        """Store the outcome of move `size`, [S] each; call `see` with the next frames before `draw`."""
        slot = self.size % self._slots
        self._action[slot] = actions
        self._reward[slot] = rewards
        self._terminated[slot] = terminated
        for run in np.flatnonzero(truncated & ~terminated):
            held = self._truncated[run][self._truncated[run] >= self.size - self._capacity]
            self._truncated[run] = np.append(held, self.size)
        self.size += 1

    def draw(self, uniforms: np.ndarray) -> Batch:
        """Return transitions for uniform numbers [S, B] in [0, 1), spread evenly over the moves held."""
        moves = np.stack([self._moves(run, row) for run, row in enumerate(uniforms)])  # [S, B]
        runs = self._runs[:, None]
        slots = moves % self._slots
        if self._batch is None or self._batch.actions.shape != moves.shape:
            self._batch = self._empty_batch(*moves.shape)
        batch = self._batch
        self._draw_frames(moves, self._episode_start[slots, runs], batch.frames)
        batch.actions.copy_(torch.from_numpy(self._action[slots, runs]))
        batch.rewards.copy_(torch.from_numpy(self._reward[slots, runs]))
        batch.terminated.copy_(torch.from_numpy(self._terminated[slots, runs]))
        return batch

    def oldest(self, moves: int) -> int:
        """Return the first move whose frame is still held after `moves` moves."""
        return max(0, moves + 1 - self._slots)

    def restore(self, histories: Sequence[History], frames: Sequence[FrameSource]) -> None:
        """Refill from the runs' logs: histories [S] of one length, and their frames from `oldest` on."""
        self.size = histories[0].num_moves
        held = np.arange(self.oldest(self.size), self.size)
        slots = held % self._slots
        for run, (history, stored) in enumerate(zip(histories, frames, strict=True)):
            self._action[slots, run] = history.action[held]
            self._reward[slots, run] = history.reward[held]
            self._terminated[slots, run] = history.terminated[held]
            starts = np.where(history.first, np.arange(self.size), 0)
            self._episode_start[slots, run] = np.maximum.accumulate(starts)[held]
            self._truncated[run] = np.flatnonzero(history.truncated & ~history.terminated)
            for begin in range(self.oldest(self.size), self.size, READ_MOVES):
                end = min(begin + READ_MOVES, self.size)
                ring = torch.from_numpy(np.arange(begin, end) % self._slots).to(self._frames.device)
                self._frames[ring, run] = torch.from_numpy(stored[begin:end]).to(self._frames.device)

    def _moves(self, run: int, uniforms: np.ndarray) -> np.ndarray:
        """Return one run's moves at uniform numbers [B], truncated ones skipped: int64 [B]."""
        oldest = max(0, self.size - self._capacity)
        skipped = self._truncated[run]
        skipped = skipped[np.searchsorted(skipped, oldest) :]
        rank = oldest + (uniforms * (self.size - oldest - len(skipped))).astype(np.int64)
        passed = np.searchsorted(skipped - np.arange(len(skipped)), rank, side="right")
        found: np.ndarray = rank + passed
        return found

    def _empty_batch(self, num_runs: int, batch_size: int) -> Batch:
        shape = (num_runs, batch_size)
        frames = self._frames.new_empty((*shape, self._depth + 1, *self._frames.shape[2:]))
        dtypes = (torch.int64, torch.float32, torch.bool)
        return Batch(frames, *(torch.empty(shape, dtype=dtype, device=frames.device) for dtype in dtypes))

    def _draw_frames(self, moves: np.ndarray, starts: np.ndarray, out: Tensor) -> None:
        """Write the frames around moves [S, B] to `out`; frames before their episode's `starts` are zero."""
        wanted = moves[..., None] + np.arange(1 - self._depth, 2)  # [S, B, D + 1]
        rows = wanted % self._slots * len(self._runs) + self._runs[:, None, None]
        rows_on_device = torch.from_numpy(rows.reshape(-1)).to(self._frames.device)
        flat = out.flatten(0, 2)
        torch.index_select(self._frames.flatten(0, 1), 0, rows_on_device, out=flat)
        before = np.flatnonzero(wanted < starts[..., None])
        if len(before):
            flat.index_fill_(0, torch.from_numpy(before).to(flat.device), 0)
