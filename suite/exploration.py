"""What is executed on a move: legal mask, greedy or sampled choice, and the harness's exploration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from understudy.suite import draws


def greedy_actions(logits: np.ndarray, legal: np.ndarray) -> np.ndarray:
    """Return the legal action with the highest logit, the lowest index on ties: two [B, A] -> int64 [B]."""
    chosen: np.ndarray = np.where(legal, logits, -np.inf).argmax(axis=1)
    return chosen


class Explorer:
    """Replaces each lane's chosen action, with probability eps, by a uniform legal one.

    Draws are a function of (life seed, move), so a resumed life needs no generator state.
    """

    def __init__(self, life_seeds: Sequence[int], legal: np.ndarray) -> None:
        """Take one seed a lane and the legal actions, bool [B, A]."""
        self._streams = [draws.Uniforms(seed, "exploration", width=2) for seed in life_seeds]
        self._legal_lists = [np.flatnonzero(row) for row in legal]

    def execute(self, move: int, chosen: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
        """Return executed actions int64 [B] and the explored flags bool [B] of one move of all lanes."""
        uniforms = np.stack([stream.at(move) for stream in self._streams])  # [B, 2]
        explored = uniforms[:, 0] < epsilon
        executed = chosen.astype(np.int64)
        for lane in np.flatnonzero(explored):
            actions = self._legal_lists[lane]
            executed[lane] = actions[int(uniforms[lane, 1] * len(actions))]
        return executed, explored


def exploration_of(
    life_seed: int, legal: np.ndarray, num_moves: int, epsilon: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a life's seed makes of its moves: explored bool [n], and the action it then gives, [n]."""
    uniforms = draws.Uniforms(life_seed, "exploration", width=2).first(num_moves)  # [n, 2]
    actions = np.flatnonzero(legal)
    return uniforms[:, 0] < epsilon, actions[(uniforms[:, 1] * len(actions)).astype(np.int64)]


class Sampler:
    """Draws each lane's action from the softmax of its legal logits, by the Gumbel-max rule.

    Source: Maddison et al., A* sampling (NeurIPS 2014), section 2.
    """

    def __init__(self, life_seeds: Sequence[int], num_actions: int) -> None:
        self._streams = [draws.Uniforms(seed, "sampling", num_actions) for seed in life_seeds]

    def sample(self, move: int, logits: np.ndarray, legal: np.ndarray) -> np.ndarray:
        """Return sampled legal actions of one move of all lanes: [B, A], [B, A] -> int64 [B]."""
        return greedy_actions(logits + self.gumbel(move), legal)

    def gumbel(self, move: int) -> np.ndarray:
        """Return the draws [B, A] whose sum with the logits is highest at the sampled action."""
        uniforms = np.stack([stream.at(move) for stream in self._streams])  # [B, A]
        drawn: np.ndarray = -np.log(-np.log(np.clip(uniforms, 1e-300, 1 - 1e-16)))
        return drawn
