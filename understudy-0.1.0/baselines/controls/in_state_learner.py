"""Q-learning in the state: a hand-written learning rule with fixed parameters, its values in the state.

A control that learns from reward, starting from an empty memory, although no parameter changes. On darkroom
it is a positive one: it finds the goal, so transfer must be a yes. On MinAtar and Atari its answer is not
known in advance; it is measured and shown.

Action values are linear in features of the observation. A cell has one feature per cell, which is tabular
Q-learning; planes and frames have the last hidden layer of the watched teacher's network at W and a constant,
scaled to length 1. It always takes the best action so far; in cells, optimistic initial values, worth a point
at each move, make it try every action.
Source: Watkins and Dayan, Q-learning (Machine Learning, 1992); Sutton and Barto, Reinforcement learning (2nd
ed., 2018), sections 2.6 for optimistic initial values and 9.4 for linear ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.baselines.controls import Assignment
from understudy.baselines.controls.in_state.lane_networks import LaneNetworks
from understudy.baselines.controls.in_state.located import Located
from understudy.baselines.training.encoder import observation_kind
from understudy.suite.io.file_names import NETWORK_AT_W
from understudy.suite.protocols import Game, State, Timestep
from understudy.suite.teachers import network


@dataclass(frozen=True)
class QLearning:
    """Settings of the learning rule."""

    discount: float  # per move
    step_size: float  # share of the error that an update removes
    first_value: float  # of every action, before the first update


# Dark room is deterministic, so an update may remove the whole error; a point at every move is worth 10.
RULES = {
    "cell": QLearning(discount=0.9, step_size=1.0, first_value=10.0),
    "planes": QLearning(discount=0.99, step_size=0.1, first_value=0.0),
    "frames": QLearning(discount=0.99, step_size=0.1, first_value=0.0),
}


class InStateLearner(Located):
    """Action values linear in `features`; the state holds each row's weights and the last move's features."""

    reach_moves = None

    def __init__(self, features: CellFeatures | HiddenLayerFeatures, rule: QLearning, game: Game) -> None:
        super().__init__()
        self.features, self.rule, self.game = features, rule, game

    def initial_state(self, batch_size: int) -> State:
        """Return the state before the first update; every tensor is [B, ...]."""
        B, A, F = batch_size, self.game.num_actions, self.features.size
        weights, here = torch.zeros(B, A, F, device=self.device), self.device
        weights[:, :, self.features.constant] = self.rule.first_value
        return {
            "weights": weights,
            "before": torch.zeros(B, F, device=here),  # features of the observation before the last move
            "episode_moves": torch.zeros(B, dtype=torch.int64, device=here),  # made in this episode
            "lane": torch.arange(B, device=here) % self.features.num_lanes,
        }

    @torch.no_grad()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Make the update of the last move; return action values [B, A] and the next state."""
        now = self.features(timestep.observation.unsqueeze(1), state["lane"])[:, 0]
        return self._learn(timestep, now, state)

    @torch.no_grad()
    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return action values [B, T, A] for T moves, one update after another, and the state after them."""
        features = self.features(timesteps.observation, state["lane"])  # [B, T, F]
        logits = []
        for t in range(timesteps.first.shape[1]):
            timestep = Timestep(*(field[:, t] for field in timesteps))
            values, state = self._learn(timestep, features[:, t], state)
            logits.append(values)
        return torch.stack(logits, dim=1), state

    def _learn(self, timestep: Timestep, now: Tensor, state: State) -> tuple[Tensor, State]:
        """Make an update, given the present features [B, F]; return action values [B, A] and next state."""
        state = self._reset(timestep.first_of_run, state)
        target = timestep.previous_reward + self.rule.discount * self._best_value(timestep, state, now)
        chosen = functional.one_hot(timestep.previous_action, self.game.num_actions).float()  # [B, A]
        value = (_values(state["weights"], state["before"]) * chosen).sum(dim=1)  # [B]
        # An episode that reaches the cap is truncated: its successor is unknown, so there is no update.
        truncated = timestep.first & (state["episode_moves"] >= self.game.episode_cap_moves)
        error = (target - value).masked_fill(truncated | timestep.first_of_run, 0)
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
        """Return the value of the best legal action, [B]; zero if the last move ended its episode."""
        values = _values(state["weights"], now).masked_fill(~timestep.legal_actions, -torch.inf)
        return values.amax(dim=1).masked_fill(timestep.first, 0)

    def _reset(self, first_of_run: Tensor, state: State) -> State:
        if first_of_run.device.type == "cpu" and not bool(first_of_run.any()):  # elsewhere it would wait
            return state
        fresh = {**self.initial_state(len(first_of_run)), "lane": state["lane"]}
        return {
            name: torch.where(first_of_run.view(-1, *[1] * (tensor.dim() - 1)), fresh[name], tensor)
            for name, tensor in state.items()
        }


class CellFeatures(nn.Module):
    """One-hot features of the cell."""

    num_lanes = 1
    constant = slice(None)  # features whose weights start at the first value

    def __init__(self, game: Game) -> None:
        super().__init__()
        self.size = game.observation_values

    def forward(self, cell: Tensor, lane: Tensor) -> Tensor:
        """Return features [B, T, F] of cells [B, T]."""
        return functional.one_hot(cell.long(), self.size).float()


class HiddenLayerFeatures(nn.Module):
    """The last hidden layer of each lane's network and a constant 1, scaled to length 1 together."""

    constant = slice(-1, None)  # features whose weights start at the first value

    def __init__(self, networks: list[network.Parameters], game: Game) -> None:
        """Take each lane's network [1, ...]; lanes that share a network pass the same object."""
        super().__init__()
        self.num_lanes = len(networks)
        last = f"linear{len(network.ARCHITECTURES[game.family][1])}"
        hidden = networks[0][f"{last}.weight"].shape[1]
        # With an identity as the last layer the network returns its last hidden layer.
        identity = {f"{last}.weight": torch.eye(hidden)[None], f"{last}.bias": torch.zeros(1, hidden)}
        without_last = {id(each): each | identity for each in networks}
        self.layers = LaneNetworks([without_last[id(each)] for each in networks], game)
        self.size = hidden + 1

    def forward(self, observation: Tensor, lane: Tensor) -> Tensor:
        """Return features [B, T, F] of observations [B, T, ...], by the networks of the lanes [B]."""
        hidden = self.layers(observation, lane)  # [B, T, F - 1]
        return functional.normalize(functional.pad(hidden, (0, 1), value=1.0), dim=2)


class InStateLearnerControl:
    """The control's registered object."""

    name = "in-state-learner"
    label = "in-state-learner"
    uses_teachers = True
    decoding = "greedy"
    track = "learning"
    tasks = ("transfer",)
    variants: tuple[str, ...] = ()

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player; InputError if a network at W is needed and missing or doesn't fit the game."""
        game, kind = assignment.game, observation_kind(assignment.game)
        if kind == "cell":
            return InStateLearner(CellFeatures(game), RULES[kind], game)
        networks = network.load_each([folder / NETWORK_AT_W for folder in assignment.teachers], game)
        return InStateLearner(HiddenLayerFeatures(networks, game), RULES[kind], game)


def _values(weights: Tensor, features: Tensor) -> Tensor:
    """Return action values [B, A] of weights [B, A, F] and features [B, F]."""
    return (weights * features[:, None]).sum(dim=2)


CONTROL = InStateLearnerControl()
