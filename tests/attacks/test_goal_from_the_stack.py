"""Attack: a player reads the goal from the stack of the harness that calls it.

On commit 4a4ea00d it was played and rechecked in the harness's own process, and believed: `play` here and
`believed_before` do what was done there. In a process of its own there is no such stack. The honest player is
in `test_memory_in_an_attribute.py`.
"""

from __future__ import annotations

import pytest
from support import custom_players, learned_runs

pytestmark = pytest.mark.usefixtures("walkers")


def test_the_goal_is_on_no_stack_of_the_players_process(tmp_path):
    source = custom_players.stranger(tmp_path / "submission", "STACK")
    cheated = learned_runs.play(source, tmp_path / "here")
    assert cheated.late_points > 300  # of 600, from the first move on
    assert learned_runs.believed_before(source, cheated).holds
    assert not learned_runs.rechecked(source, cheated, ()).holds
    alone = learned_runs.play(source, tmp_path / "there", in_child=True)
    assert alone.late_points < 100
