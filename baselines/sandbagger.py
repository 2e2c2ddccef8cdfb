"""The sandbagger: plays at random for the first half of its life, then with a skill that it hid.

A control that learns nothing and whose curve rises all the same. On the watched game the hidden skill is
the teacher's network at W; on a new game it is the best that there is, the network with which a teacher's
life on that very game ended. Where the state is restored at every episode it always plays at random, so its
start is low; only lives whose reward is another lane's tell it from a learner: its gain doesn't depend on
reward. The random moves are a function of lane and move, and uniform over the legal actions; where the state
is restored the same ones come again.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from understudy.baselines import Assignment
from understudy.baselines.learning.lane_networks import LaneNetworks
from understudy.suite import draws
from understudy.suite.protocols import Game, State, Timestep
from understudy.suite.teachers import checkpoints, knowledge, network, relearn

LATEST_MOVES = {"minatar": 250_000}  # of a family: longer lives teach no more than is needed to hide


class Sandbagger(nn.Module):
    """One network a lane, asked from move `random_moves` on; the state says the move and the lane."""

    reach_moves = None
    context_moves = 1

    def __init__(self, networks: list[network.Parameters], game: Game, random_moves: int) -> None:
        """Take each lane's network [1, ...] and the length of the first half, in moves."""
        super().__init__()
        self.skill = LaneNetworks(networks, game)
        self.random_moves = random_moves
        self._streams = [
            draws.Uniforms(lane, "sandbagger", game.num_actions) for lane in range(len(networks))
        ]

    def initial_state(self, batch_size: int) -> State:
        """Return {"age": moves seen, zero, "lane": whose network and draws}, both int64 [B]."""
        lane = torch.arange(batch_size) % len(self._streams)
        return {"age": torch.zeros(batch_size, dtype=torch.int64), "lane": lane}

    @torch.no_grad()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return random numbers in [0, 1) or action values, [B, A], and the next state."""
        lane = state["lane"]
        age = state["age"].masked_fill(timestep.first_of_life, 0)
        logits = self._logits(timestep.observation.unsqueeze(1), age[:, None], lane)
        return logits[:, 0], {"age": age + 1, "lane": lane}

    @torch.no_grad()
    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return the same for T moves, [B, T, A], and the state after them."""
        lane, T = state["lane"], timesteps.first.shape[1]
        age = state["age"].masked_fill(timesteps.first_of_life[:, 0], 0)
        logits = self._logits(timesteps.observation, age[:, None] + torch.arange(T), lane)
        return logits, {"age": age + T, "lane": lane}

    def _logits(self, observation: Tensor, ages: Tensor, lane: Tensor) -> Tensor:
        """Return logits [B, T, A] of observations [B, T, ...] before the moves ages [B, T]."""
        random = ages < self.random_moves  # [B, T]
        if bool(random.all()):
            return self._random(ages, lane)
        values = cast(Tensor, self.skill(observation, lane))
        if not bool(random.any()):
            return values
        return torch.where(random.unsqueeze(-1), self._random(ages, lane), values)

    def _random(self, ages: Tensor, lane: Tensor) -> Tensor:
        rows = [
            np.stack([self._streams[row].at(age) for age in row_ages])
            for row, row_ages in zip(lane.tolist(), ages.tolist(), strict=True)
        ]
        return torch.from_numpy(np.stack(rows)).float()  # [B, T, A]


class SandbaggerControl:
    """The registered object."""

    name = "sandbagger"
    control = True
    decoding = "greedy"
    track = "frozen"
    tasks = ("improvement", "transfer")
    variants: tuple[str, ...] = ()

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player; InputError if a network is missing or doesn't fit the game."""
        return Sandbagger(_hidden_skills(assignment), assignment.game, assignment.moves // 2)


def _hidden_skills(assignment: Assignment) -> list[network.Parameters]:
    """Return each lane's network [1, ...] of the second half: the best that the folders hold for its game."""
    game, teachers = assignment.game, assignment.teachers
    new = assignment.new_teachers if assignment.on_new_game else (None,) * len(teachers)
    on_new = _ends_of_lives({folder for folder in new if folder is not None}, game, assignment.report)
    lanes = list(zip(teachers, new, strict=True))
    others = {teacher for teacher, folder in lanes if folder not in on_new}
    at_w = {
        teacher: network.load_parameters(teacher / checkpoints.NETWORK_AT_W, game)
        for teacher in sorted(others)
    }
    return [on_new[folder] if folder in on_new else at_w[teacher] for teacher, folder in lanes]


def _ends_of_lives(
    folders: set[Path], game: Game, report: relearn.Report
) -> dict[Path | None, network.Parameters]:
    """Return the networks with which lives on the new game ended, of those folders where they can be had.

    From the life's checkpoint; else its network at W; else learnt again from its log, where that doesn't
    take hours, or of a longer life that of its move LATEST_MOVES.
    """
    found: dict[Path | None, network.Parameters] = {}
    again: dict[int, list[Path]] = {}  # last move that can be relearnt -> folders
    for folder in sorted(folders):
        recorded = knowledge.history_of(folder).num_moves
        moves = min(recorded, LATEST_MOVES.get(game.family, recorded))
        if (folder / checkpoints.CHECKPOINT).is_file() and moves == recorded:
            found[folder] = _online(knowledge.of_folders([folder], [moves])[0][moves], game)
        elif (folder / checkpoints.NETWORK_AT_W).is_file():
            found[folder] = network.load_parameters(folder / checkpoints.NETWORK_AT_W, game)
        elif moves - 1 <= relearn.MOST_MOVES.get(game.family, moves):
            again.setdefault(moves - 1, []).append(folder)
    for move, group in again.items():
        for folder, learned in zip(group, knowledge.of_folders(group, [move], report), strict=True):
            found[folder] = _online(learned[move], game)
    return found


def _online(learned: relearn.Tensors, game: Game) -> network.Parameters:
    """Return the online network [1, ...] among what a teacher had learned."""
    return {name: learned[f"{checkpoints.NETWORK}{name}"].unsqueeze(0) for name in network.shapes(game)}


ARCHITECTURE = SandbaggerControl()
