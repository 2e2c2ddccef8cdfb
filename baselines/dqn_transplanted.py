"""The DQN transplanted: the teacher's network and target at W in a new game, all else as in a fresh life.

A control without a known answer: networks that learn by value may lose the ability to learn on.
Source: Nikishin et al., The primacy bias in deep reinforcement learning (ICML 2022).
"""

from __future__ import annotations

import torch
from torch import nn

from understudy.baselines import Assignment
from understudy.baselines.learning import beginnings
from understudy.baselines.learning.beginnings import Beginning
from understudy.baselines.learning.flat_networks import learned_by
from understudy.baselines.learning.in_state_dqn import InStateDQN
from understudy.suite.teachers import knowledge, relearn


class DQNTransplanted:
    """The registered object."""

    name = "dqn-transplanted"
    control = True
    decoding = "greedy"
    track = "learning"
    tasks = ("transfer",)
    variants: tuple[str, ...] = ()

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player; the networks at W are relearnt from the teachers' logs.

        InputError if a life is shorter than W, or if relearning it would take hours.
        """
        game, watched = assignment.game, assignment.watched_moves
        folders = list(dict.fromkeys(assignment.teachers))
        settings = relearn.settings_of([knowledge.history_of(folder) for folder in folders])
        begun = []
        for at in knowledge.of_folders(folders, [watched], assignment.report):
            learned = learned_by(at[watched], game)
            zeros = {name: torch.zeros_like(learned[name]) for name in ("average", "square")}
            begun.append(Beginning({**learned, **zeros}, updates=0, age=0))
        return InStateDQN(
            game,
            settings,
            min(settings.memory_moves, assignment.moves),
            begun,
            [folders.index(folder) for folder in assignment.teachers],
            beginnings.seeds(self.name, assignment),
            beginnings.shown_games(assignment),
        )


ARCHITECTURE = DQNTransplanted()
