"""Nearest neighbours in watched data: what the teacher did last in the situation most like the present one.

A control that imitates and learns nothing: it looks among the last watched moves that were the teacher's own
choice for the same cell, the planes at the least Hamming distance, or the newest frame whose averages over
blocks are at the least squared distance, and takes the newest of equals. For planes and frames an action that
is illegal gives way to the next legal one above it in number, past the last one to the first.
Source: Cover and Hart, Nearest neighbor pattern classification (IEEE Trans. Information Theory, 1967).
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.baselines import Assignment
from understudy.baselines.learning.encoder import observation_kind
from understudy.suite.errors import InputError
from understudy.suite.histories import format as history_format
from understudy.suite.histories.format import History
from understudy.suite.histories.frames import frames
from understudy.suite.protocols import Game, State, Timestep

HISTORY_FILE = "history.parquet"
WATCHED_MOVES = 4096  # of each teacher, the newest before W, explored ones included
FRAME_SIDE = 21  # blocks a side, that a frame is averaged to
GREY_STEP = 4  # averages are kept in units of so many greys: sums of squares are then exact in float32


class NearestNeighbours(nn.Module):
    """A look-up; the state says how many moves were made, which nothing reads, and in which lane."""

    reach_moves = 1
    context_moves = 1

    def __init__(self, memory: nn.Module, lane_memories: list[int], num_actions: int) -> None:
        """Take what is looked up, and which of its teachers each lane asks, [L]."""
        super().__init__()
        self.memory, self.num_actions = memory, num_actions
        self.teachers: Tensor
        self.register_buffer("teachers", torch.tensor(lane_memories))

    def initial_state(self, batch_size: int) -> State:
        """Return {"age": moves seen, zero, "lane": whose teacher is asked}, both int64 [B]."""
        lane = torch.arange(batch_size) % len(self.teachers)
        return {"age": torch.zeros(batch_size, dtype=torch.int64), "lane": lane}

    @torch.no_grad()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, A], highest at the action looked up, and the next state."""
        age = state["age"].masked_fill(timestep.first_of_life, 0) + 1
        logits = self.memory(timestep.observation, self.teachers[state["lane"]])
        return logits, {"age": age, "lane": state["lane"]}

    @torch.no_grad()
    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, T, A] of T moves, and the state after them."""
        B, T = timesteps.first.shape
        teachers = self.teachers[state["lane"]].repeat_interleave(T)  # [B*T]
        logits = cast(Tensor, self.memory(timesteps.observation.flatten(0, 1), teachers))
        age = state["age"].masked_fill(timesteps.first_of_life[:, 0], 0) + T
        return logits.view(B, T, -1), {"age": age, "lane": state["lane"]}


class Cells(nn.Module):
    """For each teacher, cell and action the newest move in which the one was chosen in the other.

    An action's share of all moves, which is less than one move, decides in cells that were never seen.
    """

    def __init__(self, cells: list[np.ndarray], actions: list[np.ndarray], game: Game) -> None:
        super().__init__()
        newest = np.zeros((len(cells), game.observation_values, game.num_actions), np.float32)
        for teacher, (seen, chosen) in enumerate(zip(cells, actions, strict=True)):
            order = np.arange(len(seen), 0, -1, dtype=np.float32)  # the oldest is 1
            np.maximum.at(newest[teacher], (seen, chosen), order)
            newest[teacher] += np.bincount(chosen, minlength=game.num_actions) / (len(chosen) + 1)
        self.newest: Tensor
        self.register_buffer("newest", torch.from_numpy(newest))  # [R, cells, A]

    def forward(self, cell: Tensor, teacher: Tensor) -> Tensor:
        """Return logits [N, A] of the cells [N], from the teachers [N]."""
        return self.newest[teacher, cell.long()]


class Planes(nn.Module):
    """Planes packed to 64 cells a word; those that never change in the memory are left out.

    Such a cell adds the same to every distance, whatever it shows now.
    """

    def __init__(self, planes: list[np.ndarray], actions: list[np.ndarray], game: Game) -> None:
        super().__init__()
        flat = [observations.reshape(len(observations), -1) for observations in planes]  # [M, F] each
        changing = np.any([(each != flat[0][0]).any(axis=0) for each in flat], axis=0)
        self.num_actions = game.num_actions
        self.changing: Tensor
        self.words: Tensor
        self.actions: Tensor
        self.register_buffer("changing", torch.from_numpy(np.flatnonzero(changing)))
        words = _stacked([_packed(each[:, changing]) for each in flat])
        self.register_buffer("words", torch.from_numpy(words.view(np.int64)))  # [R, M, W]
        self.register_buffer("actions", torch.from_numpy(_stacked(actions)).long())  # [R, M]

    def forward(self, observation: Tensor, teacher: Tensor) -> Tensor:
        """Return logits [N, A] of planes [N, C, rows, columns]."""
        now = _packed(observation.flatten(1)[:, self.changing].numpy())  # [N, W]
        words = self.words.numpy().view(np.uint64)
        nearest = [
            np.bitwise_count(words[asked] ^ row).sum(axis=1, dtype=np.int64).argmin()
            for asked, row in zip(teacher.tolist(), now, strict=True)
        ]
        return _preferring(self.actions[teacher, torch.tensor(nearest)], self.num_actions)


class Frames(nn.Module):
    """Newest frames, averaged over blocks and rounded; whole numbers, so that any order of sums is exact."""

    def __init__(self, newest: list[np.ndarray], actions: list[np.ndarray], game: Game) -> None:
        super().__init__()
        self.num_actions = game.num_actions
        self.blocks: Tensor
        self.lengths: Tensor
        self.actions: Tensor
        blocks = torch.from_numpy(_stacked([_averages(torch.from_numpy(each)).numpy() for each in newest]))
        self.register_buffer("blocks", blocks)  # [R, M, F]
        self.register_buffer("lengths", blocks.square().sum(-1))  # [R, M]
        self.register_buffer("actions", torch.from_numpy(_stacked(actions)).long())  # [R, M]

    def forward(self, observation: Tensor, teacher: Tensor) -> Tensor:
        """Return logits [N, A] of stacked frames [N, frames, rows, columns]."""
        now = _averages(observation[:, -1])  # [N, F]
        nearest = torch.empty_like(teacher)
        for asked in sorted(set(teacher.tolist())):
            rows = teacher == asked
            distances = self.lengths[asked] - 2 * now[rows] @ self.blocks[asked].T  # [n, M], less |now|^2
            nearest[rows] = distances.argmin(dim=1)
        return _preferring(self.actions[teacher, nearest], self.num_actions)


class NearestNeighboursControl:
    """The registered object."""

    name = "nearest-neighbours"
    control = True
    decoding = "greedy"
    track = "frozen"
    tasks = ("improvement", "transfer")
    variants: tuple[str, ...] = ()

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player; InputError if a folder's history is missing, damaged or all exploration."""
        game, folders = assignment.game, list(dict.fromkeys(assignment.teachers))
        seen, actions = zip(*(_watched(folder, assignment) for folder in folders), strict=True)
        kind = {"cell": Cells, "planes": Planes, "frames": Frames}[observation_kind(game)]
        memory = kind(list(seen), list(actions), game)
        return NearestNeighbours(memory, [folders.index(f) for f in assignment.teachers], game.num_actions)


def _watched(folder: Path, assignment: Assignment) -> tuple[np.ndarray, np.ndarray]:
    """Return newest frames [M, ...] and chosen actions [M] of the last watched moves, newest first."""
    history: History = history_format.read(folder / HISTORY_FILE)
    stop = min(assignment.watched_moves, history.num_moves)
    start = max(0, stop - WATCHED_MOVES)
    chosen = np.flatnonzero(~history.explored[start:stop])[::-1]
    if not len(chosen):
        raise InputError(
            f"{folder / HISTORY_FILE}: expected moves of the teacher's own choice among the moves "
            f"{start:,} to {stop:,}; all of them were explored"
        )
    return frames(history, start, stop)[start:stop][chosen], history.action[start:stop][chosen]


def _stacked(columns: list[np.ndarray]) -> np.ndarray:
    """Return arrays [M, ...] as one [R, M, ...]; shorter ones are filled up with their last, oldest entry."""
    most = max(len(column) for column in columns)
    return np.stack([column[np.minimum(np.arange(most), len(column) - 1)] for column in columns])


def _packed(bits: np.ndarray) -> np.ndarray:
    """Return bools [N, F] as uint64 [N, W], the last word filled up with zeros."""
    words = -(-bits.shape[1] // 64)
    packed = np.zeros((len(bits), 8 * max(1, words)), np.uint8)
    packed[:, : -(-bits.shape[1] // 8)] = np.packbits(bits, axis=1)
    return packed.view(np.uint64)


def _averages(frame: Tensor) -> Tensor:
    """Return whole numbers float32 [N, blocks] of frames uint8 [N, rows, columns]."""
    averages = functional.adaptive_avg_pool2d(frame.float(), FRAME_SIDE)
    return (averages / GREY_STEP).round().flatten(1)


def _preferring(action: Tensor, num_actions: int) -> Tensor:
    """Return logits [N, A]: 0 for the actions [N], -1 for the next one above each, and so on."""
    return -((torch.arange(num_actions) - action.unsqueeze(-1)) % num_actions).float()


ARCHITECTURE = NearestNeighboursControl()
