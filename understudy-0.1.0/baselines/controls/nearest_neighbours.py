"""Nearest neighbours in the watched moves: the teacher's latest action in the most similar observation.

A negative control: it imitates and never learns, so improvement and transfer must be a no. Among the last
watched moves whose action the teacher chose itself, it searches for the same cell, for the planes at the
least Hamming distance, or for the newest frame whose block averages are at the least squared distance, and
takes the newest of equals. For planes and frames an illegal action is replaced by the next higher legal one,
wrapping around.
Source: Cover and Hart, Nearest neighbor pattern classification (IEEE Trans. Information Theory, 1967).
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.baselines.controls import Assignment
from understudy.baselines.controls.in_state.located import Located
from understudy.baselines.training.encoder import observation_kind
from understudy.suite.errors import InputError
from understudy.suite.histories import history_format
from understudy.suite.histories.frame_store import open_store
from understudy.suite.histories.history_format import History
from understudy.suite.io.file_names import HISTORY
from understudy.suite.io.readable import Readable
from understudy.suite.protocols import Game, State, Timestep

WATCHED_MOVES = 4096  # of each teacher, the last before W, explored ones included
FRAME_SIDE = 21  # blocks per side to which a frame is averaged
GREY_STEP = 4  # grey levels per unit of an average, so that sums of squares are exact in float32


class NearestNeighbours(Located):
    """A look-up; the state holds the number of moves, which nothing reads, and the lane."""

    reach_moves = 1
    computes_on_host = True  # planes are compared by numpy, frames teacher by teacher

    def __init__(self, memory: nn.Module, lane_memories: list[int], num_actions: int) -> None:
        """Take the module that looks up, and the index of each lane's teacher in it, [L]."""
        super().__init__()
        self.memory, self.num_actions = memory, num_actions
        self.teachers: Tensor
        self.register_buffer("teachers", torch.tensor(lane_memories))

    def initial_state(self, batch_size: int) -> State:
        """Return {"age": zeros, moves seen; "lane": whose teacher is asked}, int64 [B] each."""
        lane = torch.arange(batch_size, device=self.device) % len(self.teachers)
        return {"age": torch.zeros_like(lane), "lane": lane}

    @torch.no_grad()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, A], highest at the action looked up, and the next state."""
        age = state["age"].masked_fill(timestep.first_of_run, 0) + 1
        logits = self.memory(timestep.observation, self.teachers[state["lane"]])
        return logits, {"age": age, "lane": state["lane"]}

    @torch.no_grad()
    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, T, A] of T moves, and the state after them."""
        B, T = timesteps.first.shape
        teachers = self.teachers[state["lane"]].repeat_interleave(T)  # [B*T]
        logits = cast(Tensor, self.memory(timesteps.observation.flatten(0, 1), teachers))
        age = state["age"].masked_fill(timesteps.first_of_run[:, 0], 0) + T
        return logits.view(B, T, -1), {"age": age, "lane": state["lane"]}


class NearestCells(nn.Module):
    """A table [teacher, cell, action] of the newest move at which the action was chosen in the cell.

    An action's share of all moves, a number below 1, is added: it decides in cells that were never seen.
    """

    def __init__(self, cells: list[np.ndarray], actions: list[np.ndarray], game: Game) -> None:
        super().__init__()
        newest = np.zeros((len(cells), game.observation_values, game.num_actions), np.float32)
        for teacher, (seen, chosen) in enumerate(zip(cells, actions, strict=True)):
            order = np.arange(len(seen), 0, -1, dtype=np.float32)  # the oldest has 1
            np.maximum.at(newest[teacher], (seen, chosen), order)
            newest[teacher] += np.bincount(chosen, minlength=game.num_actions) / (len(chosen) + 1)
        self.newest: Tensor
        self.register_buffer("newest", torch.from_numpy(newest))  # [R, cells, A]

    def forward(self, cell: Tensor, teacher: Tensor) -> Tensor:
        """Return logits [N, A] for cells [N], from teachers [N]."""
        return self.newest[teacher, cell.long()]


class NearestPlanes(nn.Module):
    """Planes packed to 64 cells a word; cells that never change in the memory are left out.

    Such a cell adds the same number to every distance.
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
        """Return logits [N, A] for planes [N, C, rows, columns], from teachers [N]."""
        now = _packed(observation.flatten(1)[:, self.changing].cpu().numpy())  # [N, W]
        words = self.words.cpu().numpy().view(np.uint64)
        nearest = [
            np.bitwise_count(words[asked] ^ row).sum(axis=1, dtype=np.int64).argmin()
            for asked, row in zip(teacher.tolist(), now, strict=True)
        ]
        found = torch.tensor(nearest, device=teacher.device)
        return _preferring(self.actions[teacher, found], self.num_actions)


class NearestFrames(nn.Module):
    """Newest frames, averaged over blocks and rounded to integers, so that sums are exact in any order."""

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
        """Return logits [N, A] for stacked frames [N, frames, rows, columns], from teachers [N]."""
        now = _averages(observation[:, -1])  # [N, F]
        nearest = torch.empty_like(teacher)
        for asked in sorted(set(teacher.tolist())):
            rows = teacher == asked
            distances = self.lengths[asked] - 2 * now[rows] @ self.blocks[asked].T  # [n, M], minus |now|^2
            nearest[rows] = distances.argmin(dim=1)
        return _preferring(self.actions[teacher, nearest], self.num_actions)


class NearestNeighboursControl:
    """The control's registered object."""

    name = "nearest-neighbours"
    label = "nearest-neighbours"
    uses_teachers = True
    decoding = "greedy"
    track = "frozen"
    tasks = ("improvement", "transfer")
    variants: tuple[str, ...] = ()

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player; InputError if a history is missing, damaged or all exploration."""
        game, folders = assignment.game, list(dict.fromkeys(assignment.teachers))
        seen, actions = zip(*(_watched(folder, assignment) for folder in folders), strict=True)
        kinds = {"cell": NearestCells, "planes": NearestPlanes, "frames": NearestFrames}
        kind = kinds[observation_kind(game)]
        memory = kind(list(seen), list(actions), game)
        return NearestNeighbours(memory, [folders.index(f) for f in assignment.teachers], game.num_actions)


def _watched(folder: Readable, assignment: Assignment) -> tuple[np.ndarray, np.ndarray]:
    """Return newest frames [M, ...] and actions [M] of the last watched moves, the newest first."""
    history: History = history_format.read(folder / HISTORY)
    stop = min(assignment.watched_moves, history.num_moves)
    start = max(0, stop - WATCHED_MOVES)
    chosen = np.flatnonzero(~history.explored[start:stop])[::-1]
    if not len(chosen):
        raise InputError(
            f"{folder / HISTORY}: expected moves that the teacher chose itself among the moves "
            f"{start:,} to {stop:,}; all of them were explored"
        )
    return open_store(history, start, stop)[start:stop][chosen], history.action[start:stop][chosen]


def _stacked(columns: list[np.ndarray]) -> np.ndarray:
    """Stack R arrays [M, ...] to [R, M, ...]; shorter ones are padded with their last, oldest entry."""
    most = max(len(column) for column in columns)
    return np.stack([column[np.minimum(np.arange(most), len(column) - 1)] for column in columns])


def _packed(bits: np.ndarray) -> np.ndarray:
    """Return bools [N, F] as uint64 [N, W], the last word padded with zeros."""
    words = -(-bits.shape[1] // 64)
    packed = np.zeros((len(bits), 8 * max(1, words)), np.uint8)
    packed[:, : -(-bits.shape[1] // 8)] = np.packbits(bits, axis=1)
    return packed.view(np.uint64)


def _averages(frame: Tensor) -> Tensor:
    """Return rounded block averages, float32 [N, blocks], of frames uint8 [N, rows, columns]."""
    averages = functional.adaptive_avg_pool2d(frame.float(), FRAME_SIDE)
    return (averages / GREY_STEP).round().flatten(1)


def _preferring(action: Tensor, num_actions: int) -> Tensor:
    """Return logits [N, A]: 0 for the actions [N], -1 for the next higher one, and so on, wrapping around."""
    actions = torch.arange(num_actions, device=action.device)
    return -((actions - action.unsqueeze(-1)) % num_actions).float()


CONTROL = NearestNeighboursControl()
