"""New seeds for a new description; a salt known before the weights; the kindest teachers chosen to watch.

At commit 926ded31, before identities were hashes of what plays and rounds had salts (4c70dd28), another
description drew other seeds, so a claimant could describe a submission until its luck was good. Changed
weights still draw anew: only a salt that is drawn after the commitment stops that.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from support import rows

from understudy.leaderboard import cells, scores, stored_rows
from understudy.suite import protocols
from understudy.suite.errors import InputError
from understudy.suite.harness import rounds
from understudy.suite.harness.rounds import Committed
from understudy.suite.io import files
from understudy.suite.scoring.contrasts import METHOD
from understudy.suite.scoring.verdicts import Verdict

ONE = Committed("1" * 64, "minatar-v1", "one", "greedy", "frozen", 8, "a" * 64)


def seeds(folder, out):
    row = rows.requested(str(folder), out)
    return [lane.seed for role in protocols.ROLES for job in row.jobs(role) for lane in job.job.lanes]


def test_a_hundred_descriptions_draw_the_same_seeds(make_submission, tmp_path):
    folder = make_submission()
    path, first = folder / "submission.json", seeds(folder, tmp_path)
    declared = files.read_json(path)
    for attempt in range(100):
        files.write_json(path, {**declared, "description": f"attempt {attempt}", "name": f"try-{attempt}"})
        assert seeds(folder, tmp_path) == first


def test_the_salt_of_a_round_comes_after_the_weights(tmp_path):
    path = tmp_path / "rounds.json"
    rounds.commit([ONE], path)
    with pytest.raises(InputError, match="it has no salt yet"):
        rounds.load("1", path).require(ONE)
    rounds.draw(path)
    assert rounds.load("1", path).require(ONE)
    with pytest.raises(InputError, match="was not committed"):  # weights that were tried until it was kind
        rounds.load("1", path).require(replace(ONE, identity="2" * 64))


def test_who_chose_among_the_teachers_shows_how_many(tmp_path):
    """n, m and how many of the teachers were watched stand in the row."""
    verdict = Verdict("improvement", METHOD, "no", n=3, m=8)
    line = cells.frame([rows.scored(tmp_path, verdicts=[verdict], teachers=(3, 8))]).iloc[0]
    assert (line["n"], line["m"]) == (3, 8)
    assert "watched 3 of 8 teachers" in line["notes"]
    stored = {(row.budget, row.name): row for row in stored_rows.rows_in(stored_rows.RESULTS)}
    single = scores.score_row(stored_rows.RESULTS, stored["tenth", "bc"])
    assert (single.row["watched"], single.teachers) == ("single", (1, 8))
    assert scores.score_row(stored_rows.RESULTS, stored["quick", "transformer"]).teachers is None
