"""Attack: a player learns in a Python attribute, and its hash and its declared state say that it cannot.

On commit 4a4ea00d `score --recheck` believed it: `believed_before` does what was done there.
"""

from __future__ import annotations

import pytest
from support import custom_players, learned_runs

pytestmark = pytest.mark.usefixtures("walkers")


def test_a_memory_in_an_attribute_does_not_survive_a_recheck(tmp_path):
    source = custom_players.stranger(tmp_path / "submission", "ATTRIBUTE")
    played = learned_runs.play(source, tmp_path / "runs")
    assert played.is_frozen
    assert played.late_points > 200  # of 600: it has learned where the goals are
    assert learned_runs.believed_before(source, played).holds
    found = learned_runs.rechecked(source, played)
    assert not found.holds
    assert found.differing > 5


def test_the_same_memory_in_the_state_survives(tmp_path):
    source = custom_players.stranger(tmp_path / "submission", "HONEST")
    played = learned_runs.play(source, tmp_path / "runs")
    assert played.is_frozen
    assert played.late_points > 200
    found = learned_runs.rechecked(source, played)
    assert found.reloaded_at == (learned_runs.RELOADED_AT,)
    assert found.holds
    assert found.differing == 0
