"""The teacher's DQN continued from move W, with its networks, optimiser and replay memory, and new draws.

A positive control: it is one more continuation of the teacher, so skill and improvement must be a yes.
"""

from __future__ import annotations

from torch import nn

from understudy.baselines.controls import Assignment
from understudy.baselines.controls.in_state import flat_networks, snapshots
from understudy.baselines.controls.in_state.in_state_dqn import InStateDQN
from understudy.baselines.controls.in_state.in_state_memory import RingMemory
from understudy.baselines.controls.in_state.snapshots import Snapshot
from understudy.suite.histories import frame_store
from understudy.suite.teachers import recompute, recomputed


class DQNContinued:
    """The control's registered object."""

    name = "dqn-continued"
    label = "dqn-continued"
    uses_teachers = True
    decoding = "greedy"
    track = "learning"
    tasks = ("skill", "improvement")
    variants: tuple[str, ...] = ()

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player; networks and Adam's averages at W are recomputed from the teachers' logs.

        Raises InputError if a run is shorter than W, or if recomputing it would take hours.
        """
        game, watched = assignment.game, assignment.watched_moves
        folders = list(dict.fromkeys(assignment.teachers))
        histories = [recomputed.history_of(folder) for folder in folders]
        settings = recompute.settings_of(histories)
        learned = [at[watched] for at in recomputed.tensors_of(folders, [watched], assignment.report)]
        memory = RingMemory(game, min(settings.memory_moves, watched + assignment.moves))
        stores = frame_store.open_stores(histories, 0, watched)
        starts = [
            Snapshot(
                flat_networks.flattened(tensors, game),
                flat_networks.updates_of(tensors),
                watched,
                memory.of_log(history, store, watched),
            )
            for tensors, history, store in zip(learned, histories, stores, strict=True)
        ]
        return InStateDQN(
            game,
            settings,
            memory.capacity,
            starts,
            [folders.index(folder) for folder in assignment.teachers],
            snapshots.seeds(self.label, assignment),
            snapshots.shown_games(assignment),
        )


CONTROL = DQNContinued()
