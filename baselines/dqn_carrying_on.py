"""The DQN that carries on: each lane begins with all that its teacher had at move W, and draws anew.

A control: it is the teacher's own continuation once more, so it improves as the teacher does.
"""

from __future__ import annotations

from torch import nn

from understudy.baselines import Assignment
from understudy.baselines.learning import beginnings
from understudy.baselines.learning.beginnings import Beginning
from understudy.baselines.learning.flat_networks import learned_by, updates_of
from understudy.baselines.learning.in_state_dqn import InStateDQN
from understudy.baselines.learning.in_state_memory import RingMemory
from understudy.suite.histories import frames
from understudy.suite.teachers import knowledge, relearn


class DQNCarryingOn:
    """The registered object."""

    name = "dqn-carrying-on"
    control = True
    decoding = "greedy"
    track = "learning"
    tasks = ("skill", "improvement")
    variants: tuple[str, ...] = ()

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player; networks and Adam's averages at W are relearnt from the teachers' logs.

        InputError if a life is shorter than W, or if relearning it would take hours.
        """
        game, watched = assignment.game, assignment.watched_moves
        folders = list(dict.fromkeys(assignment.teachers))
        histories = [knowledge.history_of(folder) for folder in folders]
        settings = relearn.settings_of(histories)
        learned = [at[watched] for at in knowledge.of_folders(folders, [watched], assignment.report)]
        memory = RingMemory(game, min(settings.memory_moves, watched + assignment.moves))
        stores = frames.frames_of_lives(histories, 0, watched)
        begun = [
            Beginning(learned_by(t, game), updates_of(t), watched, memory.of_log(history, store, watched))
            for t, history, store in zip(learned, histories, stores, strict=True)
        ]
        return InStateDQN(
            game,
            settings,
            memory.capacity,
            begun,
            [folders.index(folder) for folder in assignment.teachers],
            beginnings.seeds(self.name, assignment),
            beginnings.shown_games(assignment),
        )


ARCHITECTURE = DQNCarryingOn()
