"""A replay memory in a player's state: a ring of moves a row, each frame stored once, planes as bits.

It holds and draws what the teachers' memory does (suite/teachers/memory.py), but each row has an age of its
own, and knows no more than a player is told.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from understudy.suite.histories.format import History
from understudy.suite.protocols import Game, State
from understudy.suite.teachers.memory import READ_MOVES, Batch, Frames

NONE = 2**40  # fills up the list of moves that aren't drawn: later than any move


class RingMemory:
    """The rings' layout and what is done with them; the rings themselves are in the state.

    frames [B, slots, ...], action, reward, terminated [B, slots]; undrawn [B, K]: moves that no transition
    begins at, rising, then NONE; where frames are stacked, depth [B, slots]: frames of the episode so far.
    """

    def __init__(self, game: Game, capacity: int) -> None:
        """Take the lives' game, or one with its shapes and cap, and how many moves may be drawn."""
        self._game = game
        self.capacity = capacity  # moves that may be drawn
        self._depth = game.stacked_frames
        self._slots = capacity + self._depth + 1  # the oldest move still has its stack
        self._as_bits = game.observation_values == 2
        self._undrawn = capacity // game.episode_cap_moves + 2  # one a cap, and the last move before a life

    def empty(self, rows: int) -> State:
        """Return the rings of `rows` lives that have seen nothing."""
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

    def of_log(self, history: History, store: Frames, moves: int) -> State:
        """Return the ring [1, ...] after a life's first `moves` moves; the move after them is another life's.

        What the last one led to is therefore not known, unless it ended an episode.
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
        cut = history.truncated & ~history.terminated
        cut[moves - 1 : moves] |= ~history.terminated[moves - 1 : moves]
        undrawn = np.flatnonzero(cut[:moves])
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
        """Store what the moves of these rows did, [R] each."""
        slots = moves % self._slots
        state["action"].numpy()[rows, slots] = action
        state["reward"].numpy()[rows, slots] = reward
        state["terminated"].numpy()[rows, slots] = terminated
        for row, move in zip(rows[truncated], moves[truncated], strict=True):
            self._leave_out(state["undrawn"].numpy()[row], int(move))

    def see(self, state: State, moves: np.ndarray, observation: np.ndarray, first: np.ndarray) -> None:
        """Store the newest frames of stacked observations before these moves of all rows, [B] each."""
        rows, slots = np.arange(len(moves)), moves % self._slots
        state["frames"].numpy()[rows, slots] = self._stored(self._game.newest_frame(observation))
        if self._depth > 1:
            depth = state["depth"].numpy()
            before = np.where(first, 0, depth[rows, (moves - 1) % self._slots])
            depth[rows, slots] = np.minimum(before + 1, self._depth)

    def draw(self, state: State, rows: np.ndarray, sizes: np.ndarray, uniforms: np.ndarray) -> Batch:
        """Return the transitions that numbers [R, N] in [0, 1) point at in rows of `sizes` [R] moves."""
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
        """Return the moves at these ranks [R, N]: evenly over what each row holds, but for what isn't drawn.

        Rows are searched as one, the second one's moves counted from 2 * NONE on, and so forth.
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
        """Return the frames around these moves [R, N], [R, N, D + 1, *frame_shape], of the episode."""
        offsets = np.arange(1 - self._depth, 2)
        around = rows[:, None, None] * self._slots + (moves[..., None] + offsets) % self._slots
        stored = state["frames"].numpy()
        frames = self._seen(stored.reshape(-1, *stored.shape[2:]).take(around, axis=0))
        if self._depth > 1:
            frames[offsets < 1 - state["depth"].numpy().reshape(-1).take(at)[..., None].astype(np.int64)] = 0
        return torch.from_numpy(frames)

    def _stored(self, frames: np.ndarray) -> np.ndarray:
        """Return frames [..., *frame_shape] as they lie in the ring."""
        if not self._as_bits:
            return frames
        shape = frames.shape[: frames.ndim - len(self._game.frame_shape)]
        return np.packbits(frames.reshape(*shape, -1), axis=-1)

    def _seen(self, stored: np.ndarray) -> np.ndarray:
        """Return stored frames in the game's dtype."""
        if not self._as_bits:
            return stored.astype(self._game.observation_dtype, copy=False)
        size = math.prod(self._game.frame_shape)
        bits = np.unpackbits(stored, axis=-1, count=size).view(self._game.observation_dtype)
        return bits.reshape(*stored.shape[:-1], *self._game.frame_shape)

    def _leave_out(self, undrawn: np.ndarray, move: int) -> None:
        """Add a move to a row's list, in place; those that nothing will draw again make room."""
        gone = int(np.searchsorted(undrawn, move - self.capacity))
        if gone:
            undrawn[:-gone] = undrawn[gone:].copy()
            undrawn[-gone:] = NONE
        undrawn[np.searchsorted(undrawn, NONE)] = move
