"""Open-loop replay: the teacher's recorded actions again, whatever the observations.

A negative control: the actions are those of a player that learned, but they belong to another run, so
improvement and transfer must be a no. On the watched game move t of a run is the teacher's move W + t, on a
new game its move t. If the recording ends before the run, it repeats from its beginning, W or 0. An illegal
recorded action is replaced by the next higher legal one, wrapping around.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from understudy.baselines.controls import Assignment
from understudy.baselines.controls.in_state.located import Located
from understudy.suite.errors import InputError
from understudy.suite.histories import history_format
from understudy.suite.io.file_names import HISTORY
from understudy.suite.io.readable import Readable
from understudy.suite.protocols import State, Timestep


class OpenLoopReplay(Located):
    """The recorded actions of each lane's teacher; the state holds the next move's number and the lane."""

    reach_moves = None
    actions: Tensor
    begins: Tensor
    lengths: Tensor

    def __init__(self, recordings: list[np.ndarray], lane_recordings: list[int], num_actions: int) -> None:
        """Take R recordings, uint8 [n] each, and the number of each lane's recording, [L]."""
        super().__init__()
        lengths = np.array([len(recording) for recording in recordings])  # [R]
        begins = np.cumsum(lengths) - lengths
        self.num_actions = num_actions
        self.register_buffer("actions", torch.from_numpy(np.concatenate(recordings)))  # [all moves]
        self.register_buffer("begins", torch.from_numpy(begins[lane_recordings]))  # [L]
        self.register_buffer("lengths", torch.from_numpy(lengths[lane_recordings]))  # [L]

    def initial_state(self, batch_size: int) -> State:
        """Return {"age": zeros, moves seen; "lane": whose recording is played}, int64 [B] each."""
        lane = torch.arange(batch_size, device=self.device) % len(self.begins)
        return {"age": torch.zeros_like(lane), "lane": lane}

    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, A], highest at the recorded action, and the next state."""
        age = state["age"].masked_fill(timestep.first_of_run, 0)
        return self._logits(age[:, None], state["lane"])[:, 0], {"age": age + 1, "lane": state["lane"]}

    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, T, A] of T moves, and the state after them."""
        age = state["age"].masked_fill(timesteps.first_of_run[:, 0], 0)
        T = timesteps.first.shape[1]
        logits = self._logits(age[:, None] + torch.arange(T, device=self.device), state["lane"])
        return logits, {"age": age + T, "lane": state["lane"]}

    def _logits(self, ages: Tensor, lane: Tensor) -> Tensor:
        """Return logits [B, T, A] of moves `ages` [B, T]: 0 for the recorded action, -1 for the next, ..."""
        indices = self.begins[lane][:, None] + ages % self.lengths[lane][:, None]  # [B, T]
        recorded = self.actions[indices].long().unsqueeze(-1)  # [B, T, 1]
        actions = torch.arange(self.num_actions, device=self.device)
        return -((actions - recorded) % self.num_actions).float()


class OpenLoopReplayControl:
    """The control's registered object."""

    name = "open-loop-replay"
    label = "open-loop-replay"
    uses_teachers = True
    decoding = "greedy"
    track = "frozen"
    tasks = ("improvement", "transfer")
    variants: tuple[str, ...] = ()

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player; InputError if a folder's history is missing, damaged or ends before W."""
        folders = list(dict.fromkeys(assignment.teachers))
        recordings = [_recording(folder, assignment) for folder in folders]
        lane_recordings = [folders.index(folder) for folder in assignment.teachers]
        return OpenLoopReplay(recordings, lane_recordings, assignment.game.num_actions)


def _recording(folder: Readable, assignment: Assignment) -> np.ndarray:
    """Return the recorded actions uint8 [n] for a run, at most as many as it has moves."""
    history = history_format.read(folder / HISTORY)
    start = 0 if assignment.on_new_game else assignment.watched_moves
    if history.num_moves <= start:
        raise InputError(
            f"{folder / HISTORY}: expected moves after move {start:,} to replay, found a run of "
            f"{history.num_moves:,}; extend it: understudy train-teacher"
        )
    return history.action[start : start + assignment.moves]


CONTROL = OpenLoopReplayControl()
