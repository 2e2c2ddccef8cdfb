"""From logits to the executed action: legal mask, greedy or sampled choice, the harness's exploration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from understudy.suite import draws


def greedy_actions(logits: np.ndarray, legal: np.ndarray) -> np.ndarray:
    """Return the legal actions with the highest logits, the lowest index on ties, int64 [B].

    Args:
        logits: float [B, A].
        legal: bool [B, A].
    """
    chosen: np.ndarray = np.where(legal, logits, -np.inf).argmax(axis=1)
    return chosen


class Explorer:
    """Epsilon-greedy exploration: replaces a lane's chosen action by a uniformly drawn legal one.

    Draws are a function of (run seed, move), so a resumed run needs no generator state.
    """

    def __init__(self, run_seeds: Sequence[int], legal: np.ndarray) -> None:
        """Set up the draws of B lanes: one seed per lane, and their legal actions, bool [B, A]."""
        self._streams = [draws.Uniforms(seed, "exploration", width=2) for seed in run_seeds]
        self._legal_lists = [np.flatnonzero(row) for row in legal]

    def execute(self, move: int, chosen: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
        """Return one move's executed actions int64 [B], and bool [B] where exploration replaced `chosen`."""
        uniforms = np.stack([stream.at(move) for stream in self._streams])  # [B, 2]
        explored = uniforms[:, 0] < epsilon
        executed = chosen.astype(np.int64)
        for lane in np.flatnonzero(explored):
            actions = self._legal_lists[lane]
            executed[lane] = actions[int(uniforms[lane, 1] * len(actions))]
        return executed, explored


def exploration_of(
    run_seed: int, legal: np.ndarray, num_moves: int, epsilon: float
) -> tuple[np.ndarray, np.ndarray]:
    """Recompute a run's exploration from its seed, for `num_moves` = N moves.

    Args:
        run_seed: of the run.
        legal: the game's legal actions, bool [A].
        num_moves: how many moves from the run's first.
        epsilon: the probability of exploring.

    Returns:
        bool [N], whether exploration chose the action; int64 [N], the action that it chooses if so.
    """
    uniforms = draws.Uniforms(run_seed, "exploration", width=2).first(num_moves)  # [n, 2]
    actions = np.flatnonzero(legal)
    return uniforms[:, 0] < epsilon, actions[(uniforms[:, 1] * len(actions)).astype(np.int64)]


class Sampler:
    """Samples each lane's action from the softmax of its legal logits, by the Gumbel-max trick.

    Source: Maddison et al., A* sampling (NeurIPS 2014), section 2.
    """

    def __init__(self, run_seeds: Sequence[int], num_actions: int) -> None:
        self._streams = [draws.Uniforms(seed, "sampling", num_actions) for seed in run_seeds]

    def sample(self, move: int, logits: np.ndarray, legal: np.ndarray) -> np.ndarray:
        """Return one move's sampled actions int64 [B], from logits float [B, A] and legal bool [B, A]."""
        return greedy_actions(logits + self.gumbel(move), legal)

    def gumbel(self, move: int) -> np.ndarray:
        """Return one move's Gumbel noise [B, A]; the sampled action maximises logits plus noise."""
        uniforms = np.stack([stream.at(move) for stream in self._streams])  # [B, A]
        drawn: np.ndarray = -np.log(-np.log(np.clip(uniforms, 1e-300, 1 - 1e-16)))
        return drawn
