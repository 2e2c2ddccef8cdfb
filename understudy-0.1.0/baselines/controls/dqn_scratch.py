"""The DQN from initial weights: each lane learns the new game from scratch, as the reference's runs did.

A positive control: it learns as the teacher does, so transfer must be a yes.
"""

from __future__ import annotations

from torch import nn

from understudy.baselines.controls import Assignment
from understudy.baselines.controls.in_state import flat_networks, snapshots
from understudy.baselines.controls.in_state.in_state_dqn import InStateDQN
from understudy.baselines.controls.in_state.snapshots import Snapshot
from understudy.suite.teachers import recompute


class DQNScratch:
    """The control's registered object."""

    name = "dqn-scratch"
    label = "dqn-scratch"
    uses_teachers = True
    decoding = "greedy"
    track = "learning"
    tasks = ("transfer",)
    variants: tuple[str, ...] = ()

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player; only the teachers' settings are used. InputError if these differ."""
        game = assignment.game
        settings = recompute.settings_of(snapshots.histories_of(assignment))
        seeds = snapshots.seeds(self.label, assignment)
        starts = [Snapshot(flat_networks.initial(game, seed), updates=0, age=0) for seed in seeds]
        capacity = min(settings.memory_moves, assignment.moves)
        shown = snapshots.shown_games(assignment)
        return InStateDQN(game, settings, capacity, starts, range(len(seeds)), seeds, shown)


CONTROL = DQNScratch()
