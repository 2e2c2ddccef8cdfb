"""The DQN from fresh weights: each lane learns the new game from nothing, as the ruler's lives did.

A control: it becomes expert as the teacher would.
"""

from __future__ import annotations

from torch import nn

from understudy.baselines import Assignment
from understudy.baselines.learning import beginnings
from understudy.baselines.learning.beginnings import Beginning
from understudy.baselines.learning.flat_networks import learned_anew
from understudy.baselines.learning.in_state_dqn import InStateDQN
from understudy.suite.teachers import relearn


class DQNFresh:
    """The registered object."""

    name = "dqn-fresh"
    control = True
    decoding = "greedy"
    track = "learning"
    tasks = ("transfer",)
    variants: tuple[str, ...] = ()

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player; of the teachers it takes their settings only, InputError if these differ."""
        game = assignment.game
        settings = relearn.settings_of(beginnings.histories_of(assignment))
        seeds = beginnings.seeds(self.name, assignment)
        begun = [Beginning(learned_anew(game, seed), updates=0, age=0) for seed in seeds]
        capacity = min(settings.memory_moves, assignment.moves)
        shown = beginnings.shown_games(assignment)
        return InStateDQN(game, settings, capacity, begun, range(len(seeds)), seeds, shown)


ARCHITECTURE = DQNFresh()
