"""The DQN warm-started on a new game: the teacher's networks at W, all else as in a run from scratch.

A control without a known answer: networks trained on values may lose the ability to learn further. Its
transfer is measured and shown.
Source: Nikishin et al., The primacy bias in deep reinforcement learning (ICML 2022).
"""

from __future__ import annotations

import torch
from torch import nn

from understudy.baselines.controls import Assignment
from understudy.baselines.controls.in_state import flat_networks, snapshots
from understudy.baselines.controls.in_state.in_state_dqn import InStateDQN
from understudy.baselines.controls.in_state.snapshots import Snapshot
from understudy.suite.teachers import recompute, recomputed


class DQNWarmStart:
    """The control's registered object."""

    name = "dqn-warm-start"
    label = "dqn-warm-start"
    uses_teachers = True
    decoding = "greedy"
    track = "learning"
    tasks = ("transfer",)
    variants: tuple[str, ...] = ()

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player; the networks at W are recomputed from the teachers' logs.

        Raises InputError if a run is shorter than W, or if recomputing it would take hours.
        """
        game, watched = assignment.game, assignment.watched_moves
        folders = list(dict.fromkeys(assignment.teachers))
        settings = recompute.settings_of([recomputed.history_of(folder) for folder in folders])
        starts = []
        for at in recomputed.tensors_of(folders, [watched], assignment.report):
            learned = flat_networks.flattened(at[watched], game)
            zeros = {name: torch.zeros_like(learned[name]) for name in ("average", "square")}
            starts.append(Snapshot({**learned, **zeros}, updates=0, age=0))
        return InStateDQN(
            game,
            settings,
            min(settings.memory_moves, assignment.moves),
            starts,
            [folders.index(folder) for folder in assignment.teachers],
            snapshots.seeds(self.label, assignment),
            snapshots.shown_games(assignment),
        )


CONTROL = DQNWarmStart()
