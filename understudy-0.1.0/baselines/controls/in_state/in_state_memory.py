"""A replay memory in a player's state: ring buffers of moves, each frame stored once, planes as bits.

It holds and draws the same as the teachers' memory (suite/teachers/replay_memory.py), but each row has its
own age, and it uses only what a player observes.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from understudy.suite.histories.history_format import History
from understudy.suite.protocols import Game, State
from understudy.suite.teachers.replay_memory import READ_MOVES, Batch, FrameSource

NONE = 2**40  # pads the list of moves that are not drawn; later than any move


class RingMemory:
    """Layout of the ring buffers and operations on them; the buffers themselves are in the state.

    frames [B, slots, ...]; action, reward, terminated [B, slots]; undrawn [B, K]: the moves at which no drawn
    transition begins, rising, padded with NONE; if frames are stacked, depth [B, slots]: how many frames of
    the stack belong to the episode.
    """

    def __init__(self, game: Game, capacity: int) -> None:
        """Take the runs' game, or one with its shapes and cap, and the number of moves to draw from."""
        self._game = game
        self.capacity = capacity  # newest moves that can be drawn
        self._depth = game.stacked_frames
        self._slots = capacity + self._depth + 1  # so that the oldest move still has its stack
        self._as_bits = game.observation_values == 2
        self._undrawn = capacity // game.episode_cap_moves + 2  # capped episodes, and the log's last move

    def empty(self, rows: int) -> State:
        """Return the empty ring buffers of `rows` runs."""
        frame_size = math.prod(self._game.frame_shape)
        stored = (-(-frame_size // 8),) if self._as_bits else self._game.frame_shape
        dtype = torch.uint8 if self._game.observation_values <= 256 else torch.int64
        rings = {
            "frames": torch.zeros((rows, self._slots, *stored), dtype=dtype),
            "action": torch.zeros((rows, self._slots), dtype=torch.uint8),
            "reward": torch.zeros((rows, self._slots)),
            "terminated": torch.zeros((rows, self._slots), dtype=torch.bool),
            "undrawn": torch.full((rows, self._undrawn), NONE),
        }
        if self._depth > 1:
            rings["depth"] = torch.zeros((rows, self._slots), dtype=torch.uint8)
        return rings

    def of_log(self, history: History, store: FrameSource, moves: int) -> State:
        """Return the ring buffers [1, ...] after a run's first `moves` moves, where another run continues.

        The successor of the last move is therefore unknown, unless the move ended an episode.
        """
        rings = self.empty(1)
        held = np.arange(max(0, moves + 1 - self._slots), moves)
        slots = held % self._slots
        for name in ("action", "reward", "terminated"):
            rings[name].numpy()[0, slots] = getattr(history, name)[held]
        for begin in range(int(held[0]) if len(held) else 0, moves, READ_MOVES):
            chunk = np.arange(begin, min(begin + READ_MOVES, moves))
            rings["frames"].numpy()[0, chunk % self._slots] = self._stored(store[begin : int(chunk[-1]) + 1])
        if self._depth > 1:
            starts = np.maximum.accumulate(np.where(history.first, np.arange(history.num_moves), 0))[held]
            rings["depth"].numpy()[0, slots] = np.minimum(held - starts + 1, self._depth)
        no_successor = history.truncated & ~history.terminated
        no_successor[moves - 1 : moves] |= ~history.terminated[moves - 1 : moves]
        undrawn = np.flatnonzero(no_successor[:moves])
        undrawn = undrawn[undrawn >= moves - self.capacity]
        rings["undrawn"].numpy()[0, : len(undrawn)] = undrawn
        return rings

    def complete(
        self,
        state: State,
        rows: np.ndarray,
        moves: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        terminated: np.ndarray,
        truncated: np.ndarray,
    ) -> None:
        """Store the outcomes of the moves of these rows, [R] each."""
        slots = moves % self._slots
        state["action"].numpy()[rows, slots] = action
        state["reward"].numpy()[rows, slots] = reward
        state["terminated"].numpy()[rows, slots] = terminated
        for row, move in zip(rows[truncated], moves[truncated], strict=True):
            self._add_undrawn(state["undrawn"].numpy()[row], int(move))

    def see(self, state: State, moves: np.ndarray, observation: np.ndarray, first: np.ndarray) -> None:
        """Store the newest frames of the observations before these moves, [B] each, one per row."""
        rows, slots = np.arange(len(moves)), moves % self._slots
        state["frames"].numpy()[rows, slots] = self._stored(self._game.newest_frame(observation))
        if self._depth > 1:
            depth = state["depth"].numpy()
            before = np.where(first, 0, depth[rows, (moves - 1) % self._slots])
            depth[rows, slots] = np.minimum(before + 1, self._depth)

    def draw(self, state: State, rows: np.ndarray, sizes: np.ndarray, uniforms: np.ndarray) -> Batch:
        """Return the transitions at uniform numbers [R, N] in [0, 1), in rows of `sizes` [R] moves."""
        moves = self._moves(state["undrawn"].numpy()[rows], sizes, uniforms)  # [R, N]
        at = rows[:, None] * self._slots + moves % self._slots
        taken = [state[name].numpy().reshape(-1).take(at) for name in ("action", "reward", "terminated")]
        return Batch(
            self._frames(state, rows, moves, at),
            torch.from_numpy(taken[0].astype(np.int64)),
            torch.from_numpy(taken[1]),
            torch.from_numpy(taken[2]),
        )

    def _moves(self, undrawn: np.ndarray, sizes: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        """Return the moves at uniform numbers [R, N], evenly over each row's moves, undrawn ones skipped.

        All rows are searched in one array: the moves of row r are offset by 2 * NONE * r.
        """
        R, K = undrawn.shape
        base = 2 * NONE * np.arange(R)
        oldest = np.maximum(0, sizes - self.capacity)
        flat = (undrawn + base[:, None]).reshape(-1)
        begin, end = np.searchsorted(flat, (oldest + base, NONE + base)) - K * np.arange(R)
        ranks = (uniforms * (sizes - oldest - (end - begin))[:, None]).astype(np.int64)
        keys = (flat.reshape(R, K) - np.arange(K)).reshape(-1)  # drawn moves before each undrawn one
        wanted = ranks + (oldest - begin + base)[:, None]
        passed = np.searchsorted(keys, wanted, side="right") - (K * np.arange(R) + begin)[:, None]
        found: np.ndarray = oldest[:, None] + ranks + passed
        return found

    def _frames(self, state: State, rows: np.ndarray, moves: np.ndarray, at: np.ndarray) -> Tensor:
        """Return the frames [R, N, D + 1, *frame_shape] around moves [R, N]; other episodes' are zero."""
        offsets = np.arange(1 - self._depth, 2)
        around = rows[:, None, None] * self._slots + (moves[..., None] + offsets) % self._slots
        stored = state["frames"].numpy()
        frames = self._unpacked(stored.reshape(-1, *stored.shape[2:]).take(around, axis=0))
        if self._depth > 1:
            frames[offsets < 1 - state["depth"].numpy().reshape(-1).take(at)[..., None].astype(np.int64)] = 0
        return torch.from_numpy(frames)

    def _stored(self, frames: np.ndarray) -> np.ndarray:
        """Return frames [..., *frame_shape] in the ring buffer's form."""
        if not self._as_bits:
            return frames
        shape = frames.shape[: frames.ndim - len(self._game.frame_shape)]
        return np.packbits(frames.reshape(*shape, -1), axis=-1)

    def _unpacked(self, stored: np.ndarray) -> np.ndarray:
        """Return stored frames in the game's dtype."""
        if not self._as_bits:
            return stored.astype(self._game.observation_dtype, copy=False)
        size = math.prod(self._game.frame_shape)
        bits = np.unpackbits(stored, axis=-1, count=size).view(self._game.observation_dtype)
        return bits.reshape(*stored.shape[:-1], *self._game.frame_shape)

    def _add_undrawn(self, undrawn: np.ndarray, move: int) -> None:
        """Add a move to a row's undrawn moves, in place, and remove those older than the capacity."""
        expired = int(np.searchsorted(undrawn, move - self.capacity))
        if expired:
            undrawn[:-expired] = undrawn[expired:].copy()
            undrawn[-expired:] = NONE
        undrawn[np.searchsorted(undrawn, NONE)] = move
