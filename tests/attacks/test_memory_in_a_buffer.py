"""Attack: a player learns in a buffer, and puts it back at the last move.

On commit 4a4ea00d `score --recheck` believed it: `believed_before` does what was done there. The honest
player is in `test_memory_in_an_attribute.py`.
"""

from __future__ import annotations

import pytest
from support import custom_players, learned_runs

from understudy.suite.errors import InputError

pytestmark = pytest.mark.usefixtures("walkers")


def test_a_buffer_that_moves_between_the_hashes_is_found(tmp_path):
    source = custom_players.stranger(tmp_path / "submission", "BUFFER")
    played = learned_runs.play(source, tmp_path / "runs")
    assert played.is_frozen
    assert played.late_points > 200
    assert learned_runs.believed_before(source, played).holds
    with pytest.raises(InputError, match="expected parameters as they were loaded; found others"):
        learned_runs.rechecked(source, played)
