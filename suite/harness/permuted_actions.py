"""Permuted actions: a run in which each of the player's actions does what another one did.

The player's number `a` is executed as `permutation[a]`. The last action that it is given is in its own
numbers, those of explored moves too. Each lane has a permutation of its game's legal actions, drawn from the
run's seed and so from the round's salt; no legal action stays what it was, so the legal actions are the same
as before. A log holds what was executed, and replays like any other.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from understudy.suite import draws
from understudy.suite.harness.jobs import Job
from understudy.suite.protocols import Game

PERMUTED: Final = "permuted"  # an `Intervention.actions`


def of_lane(job: Job, index: int, game: Game) -> np.ndarray:
    """Return what is executed for each action of a lane's player, int64 [A]: itself without permutation."""
    if job.intervention is None or job.intervention.actions != PERMUTED:
        return np.arange(game.num_actions)
    return permutation(job.lanes[index].seed, game)


def permutation(run_seed: int, game: Game) -> np.ndarray:
    """Return the permutation int64 [A] of a run: a cycle through its game's legal actions, drawn
    uniformly."""
    rng = np.random.Generator(np.random.Philox(key=draws.derive(run_seed, "permuted actions")))
    cycle = rng.permutation(np.flatnonzero(game.legal_actions))
    found = np.arange(game.num_actions)
    found[cycle] = np.roll(cycle, -1)
    return found


def inverse(permutation: np.ndarray) -> np.ndarray:
    """Return the action int64 [A] for which each action is executed."""
    found = np.empty_like(permutation)
    found[permutation] = np.arange(len(permutation))
    return found
