"""Finished work: what is there, in a tree or packed, is neither played nor unpacked again."""

from __future__ import annotations

import json

import pytest
from support import rows

from understudy.leaderboard import board
from understudy.submissions import scoring
from understudy.suite.errors import InputError
from understudy.suite.harness import engines, finished, records, row_archive, work

RANDOM = "darkroom-v1/quick/random"


def items(folder, tasks=("skill",), **how):
    row = rows.requested("random", folder, **how)
    return list(work.items_of(row, list(tasks)))


def unfinished(folder, **how):
    return [(item.what, item.role) for item in items(folder, **how) if not finished.is_finished(item)]


def test_played_runs_are_finished_in_a_tree_and_packed(copied):
    assert unfinished(copied) == []
    board.rescore(copied)
    assert (copied / RANDOM / row_archive.ARCHIVE).exists()
    assert unfinished(copied) == []
    assert [role for _, role in unfinished(copied, tasks=["skill", "transfer"])] == ["start-new", "transfer"]


def test_nothing_is_finished_before_it_is_played_or_if_it_is_to_be_played_again(copied, tmp_path):
    every = [(item.what, item.role) for item in items(copied)]
    assert {what for what, _ in every} == {work.PLAY, work.AGREEMENT}
    assert unfinished(tmp_path / "nothing") == every
    assert unfinished(copied, restart=True) == every


def test_a_missing_run_and_missing_predictions_are_not_finished(copied):
    (copied / RANDOM / "start/control/lane-3" / records.RECORD).unlink()
    assert unfinished(copied) == [(work.PLAY, "start")]
    first = min((copied / RANDOM / records.AGREEMENT).rglob("*.safetensors"))
    first.unlink()
    assert unfinished(copied) == [(work.PLAY, "start"), (work.AGREEMENT, "")]


def test_checks_are_never_finished(copied):
    (item,) = work.check_items(rows.requested("random", copied), work.RECHECK)
    assert not finished.is_finished(item)


@pytest.fixture
def given(monkeypatch):
    """The numbers of items that engines were given."""
    counts = []
    run = engines.run

    def counted(engine, jobs, *others):
        counts.append(len(jobs))
        return run(engine, jobs, *others)

    monkeypatch.setattr(engines, "run", counted)
    return counts


def test_a_second_score_of_packed_rows_plays_unpacks_and_changes_nothing(copied, given, monkeypatch):
    board.rescore(copied)

    def files():
        paths = (path for path in copied.rglob("*") if path.is_file())
        return {path: (path.read_bytes(), path.stat().st_ino) for path in paths if path.name != records.ROW}

    before = files()
    monkeypatch.setattr(work, "require_player", lambda *arguments: pytest.fail("a player was made"))
    scoring.score([rows.requested(name, copied) for name in ("random", "frozen-teacher")], ["skill"])
    assert given == [0]
    assert files() == before


def test_only_the_missing_job_is_played(copied, given):
    path = copied / RANDOM / "start/control/lane-3"
    kept = json.loads((path / records.RECORD).read_text())
    (path / records.RECORD).unlink()
    scoring.score([rows.requested("random", copied)], ["skill"])
    assert given == [1]
    assert json.loads((path / records.RECORD).read_text())["history_sha256"] == kept["history_sha256"]


def test_finished_runs_of_another_job_are_still_refused(copied, given):
    board.rescore(copied)
    with pytest.raises(InputError, match="holds another job's runs"):
        scoring.score([rows.requested("random", copied, lanes=4)], ["skill"])
    assert given == []
