"""The notes of a row: what its cells do not show."""

from __future__ import annotations

import pytest
from support import rows

from understudy.leaderboard import cells


@pytest.mark.parametrize(
    ("of_round", "notes"),
    [("dev", "self-reported: not ranked"), ("1", ""), ("99", "round '99' is not known: not ranked")],
)
def test_only_rows_of_a_drawn_round_are_ranked(of_round, notes, tmp_path):
    frame = cells.frame([rows.scored(tmp_path, row={"round": of_round})])
    assert list(frame["notes"]) == [notes]
