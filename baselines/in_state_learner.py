"""A learner whose parameters are fixed: Q-learning by a hand-written rule, its values in the state.

A control that does learn, from an empty memory and from reward, though no weight moves. Values are linear in
features of the observation: of a cell one feature each, which is tabular Q-learning; of planes and frames the
last hidden layer of the watched teacher's network at W, with a constant, scaled to length 1. It always takes
the best action so far; in cells, first values as high as a point at each move make it try everything.
Source: Watkins and Dayan, Q-learning (Machine Learning, 1992); Sutton and Barto, Reinforcement learning (2nd
ed., 2018), sections 2.6 for optimistic initial values and 9.4 for linear ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.baselines import Assignment
from understudy.baselines.learning.encoder import observation_kind
from understudy.baselines.learning.lane_networks import LaneNetworks
from understudy.suite.protocols import Game, State, Timestep
from understudy.suite.teachers import network

NETWORK_FILE = "network_at_w.safetensors"


@dataclass(frozen=True)
class Rule:
    """The numbers of the learning rule."""

    discount: float  # a move
    step_size: float  # share of an error that one update takes away
    first_value: float  # of every action, before anything is learnt


# Dark room is deterministic, so an update may take the whole error away; 10 is a point a move for ever.
RULES = {
    "cell": Rule(discount=0.9, step_size=1.0, first_value=10.0),
    "planes": Rule(discount=0.99, step_size=0.1, first_value=0.0),
    "frames": Rule(discount=0.99, step_size=0.1, first_value=0.0),
}


class InStateLearner(nn.Module):
    """Action values linear in `features`; the state holds a matrix a row, and what the next update needs."""

    reach_moves = None
    context_moves = 1

    def __init__(self, features: Cells | HiddenLayer, rule: Rule, game: Game) -> None:
        super().__init__()
        self.features, self.rule, self.game = features, rule, game

    def initial_state(self, batch_size: int) -> State:
        """Return the values of somebody who has seen nothing; every tensor [B, ...]."""
        B, A, F = batch_size, self.game.num_actions, self.features.size
        weights = torch.zeros(B, A, F)
        weights[:, :, self.features.constant] = self.rule.first_value
        return {
            "weights": weights,
            "before": torch.zeros(B, F),  # features of the observation before the last move
            "episode_moves": torch.zeros(B, dtype=torch.int64),  # played in this episode
            "lane": torch.arange(B) % self.features.num_lanes,
        }

    @torch.no_grad()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return action values [B, A] after learning from the last move, and the next state."""
        now = self.features(timestep.observation.unsqueeze(1), state["lane"])[:, 0]
        return self._learn(timestep, now, state)

    @torch.no_grad()
    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return the same for T moves, [B, T, A]; one after another, since each learns from the last."""
        features = self.features(timesteps.observation, state["lane"])  # [B, T, F]
        logits = []
        for t in range(timesteps.first.shape[1]):
            timestep = Timestep(*(field[:, t] for field in timesteps))
            values, state = self._learn(timestep, features[:, t], state)
            logits.append(values)
        return torch.stack(logits, dim=1), state

    def _learn(self, timestep: Timestep, now: Tensor, state: State) -> tuple[Tensor, State]:
        """Return action values [B, A] and the next state, given the features now, [B, F]."""
        state = self._reset(timestep.first_of_life, state)
        target = timestep.previous_reward + self.rule.discount * self._best_value(timestep, state, now)
        chosen = functional.one_hot(timestep.previous_action, self.game.num_actions).float()  # [B, A]
        value = (_values(state["weights"], state["before"]) * chosen).sum(dim=1)  # [B]
        # At the cap an episode is cut and not ended: what would have come is unknown, so nothing is learnt.
        cut = timestep.first & (state["episode_moves"] >= self.game.episode_cap_moves)
        error = (target - value).masked_fill(cut | timestep.first_of_life, 0)
        change = self.rule.step_size * error[:, None, None] * chosen[:, :, None] * state["before"][:, None]
        weights = state["weights"] + change  # [B, A, F]
        following = {
            "weights": weights,
            "before": now,
            "episode_moves": state["episode_moves"].masked_fill(timestep.first, 0) + 1,
            "lane": state["lane"],
        }
        return _values(weights, now), following

    def _best_value(self, timestep: Timestep, state: State, now: Tensor) -> Tensor:
        """Return what is expected from here on, [B]: zero where an episode has ended before."""
        values = _values(state["weights"], now).masked_fill(~timestep.legal_actions, -torch.inf)
        return values.amax(dim=1).masked_fill(timestep.first, 0)

    def _reset(self, first_of_life: Tensor, state: State) -> State:
        if not bool(first_of_life.any()):
            return state
        fresh = {**self.initial_state(len(first_of_life)), "lane": state["lane"]}
        return {
            name: torch.where(first_of_life.view(-1, *[1] * (tensor.dim() - 1)), fresh[name], tensor)
            for name, tensor in state.items()
        }


class Cells(nn.Module):
    """One feature a cell, 1 in that cell."""

    num_lanes = 1
    constant = slice(None)  # features that are filled with the first value; in each cell one of them is 1

    def __init__(self, game: Game) -> None:
        super().__init__()
        self.size = game.observation_values

    def forward(self, cell: Tensor, lane: Tensor) -> Tensor:
        """Return features [B, T, F] of cells [B, T]."""
        return functional.one_hot(cell.long(), self.size).float()


class HiddenLayer(nn.Module):
    """The last hidden layer of each lane's network, and a 1 at the end, scaled to length 1 together."""

    constant = slice(-1, None)

    def __init__(self, networks: list[network.Parameters], game: Game) -> None:
        """Take each lane's network [1, ...]; lanes that share one hold the same object."""
        super().__init__()
        self.num_lanes = len(networks)
        last = f"linear{len(network.ARCHITECTURES[game.family][1])}"
        hidden = networks[0][f"{last}.weight"].shape[1]
        # A last layer that returns what it is given turns the values into the layer before them.
        unchanged = {f"{last}.weight": torch.eye(hidden)[None], f"{last}.bias": torch.zeros(1, hidden)}
        without_last = {id(each): each | unchanged for each in networks}
        self.layers = LaneNetworks([without_last[id(each)] for each in networks], game)
        self.size = hidden + 1

    def forward(self, observation: Tensor, lane: Tensor) -> Tensor:
        """Return features [B, T, F] of observations [B, T, ...] by the networks of the lanes [B]."""
        hidden = self.layers(observation, lane)  # [B, T, F - 1]
        return functional.normalize(functional.pad(hidden, (0, 1), value=1.0), dim=2)


class InStateLearnerControl:
    """The registered object."""

    name = "in-state-learner"
    control = True
    decoding = "greedy"
    track = "learning"
    tasks = ("transfer",)
    variants: tuple[str, ...] = ()

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player; InputError if it needs a network at W that is missing or doesn't fit."""
        game, kind = assignment.game, observation_kind(assignment.game)
        if kind == "cell":
            return InStateLearner(Cells(game), RULES[kind], game)
        networks = network.load_each([folder / NETWORK_FILE for folder in assignment.teachers], game)
        return InStateLearner(HiddenLayer(networks, game), RULES[kind], game)


def _values(weights: Tensor, features: Tensor) -> Tensor:
    """Return action values [B, A] of weights [B, A, F] and features [B, F]."""
    return (weights * features[:, None]).sum(dim=2)


ARCHITECTURE = InStateLearnerControl()
