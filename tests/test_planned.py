"""Every stored job in its own place, and whole: what a cheat or a slip would move, copy or leave out."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from understudy.leaderboard import planned, predictions, scores, stored
from understudy.leaderboard.stored import RowFolder
from understudy.suite import benchmarks, files, games, places, probes, records
from understudy.suite.errors import InputError
from understudy.suite.judging.contrasts import CHECKPOINT, METHOD

DARKROOM, MINATAR = benchmarks.load("darkroom-v1"), benchmarks.load("minatar-v1")
QUICK = stored.RESULTS / "darkroom-v1" / "quick"


@pytest.fixture
def copied(tmp_path):
    """Copies a stored row of darkroom, to spoil."""

    def copy(name: str, budget: str = "quick") -> RowFolder:
        path = tmp_path / "darkroom-v1" / budget / name
        shutil.copytree(stored.RESULTS / "darkroom-v1" / budget / name, path)
        return RowFolder(path, "darkroom-v1", budget, name)

    return copy


def put(source, target):
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def found(row):
    return list(planned.differences(row))


@pytest.mark.parametrize("row", stored.rows_in(stored.RESULTS), ids=lambda row: f"{row.budget}-{row.name}")
def test_every_stored_job_is_the_one_of_its_place(row):
    assert found(row) == []


def test_lives_of_another_player_cannot_stand_for_a_probes(copied):
    """Random play in the place of the yoked lives: the sandbagger's hidden skill would pass for learning."""
    row = copied("sandbagger")
    put(QUICK / "random" / "transfer" / "control", row.path / "transfer@yoked" / "control")
    texts = found(row)
    assert any("player.name is 'random', in this place it has to be 'sandbagger'" in text for text in texts)
    assert any("probe is None" in text for text in texts)
    assert any("lanes.0" in text for text in texts)  # seeds are of the player


def test_own_lives_of_another_role_or_budget_are_named(copied):
    row = copied("random")
    put(row.path / "start-new" / "control", row.path / "start" / "control")
    assert any("lanes.0" in text for text in found(row))
    row = copied("random", "full")
    other = RowFolder(row.path.parent.parent / "quick" / "random", "darkroom-v1", "quick", "random")
    put(row.path / "start-new" / "control", other.path / "start-new" / "control")
    texts = [text for text in found(other) if "start-new" in text]
    assert any("budget is 'full', in this place it has to be 'quick'" in text for text in texts)


def test_one_life_stored_as_many_is_named(copied):
    row = copied("random")
    path = row.path / "transfer" / "control" / records.JOB
    job = files.read_json(path)
    files.write_json(path, {**job, "lanes": [job["lanes"][0]] * len(job["lanes"])})
    texts = found(row)
    assert any("lanes.1" in text for text in texts)


def test_a_log_of_another_game_or_length_is_named(copied):
    row = copied("random")
    lane = row.path / "transfer" / "control" / "lane-0"
    shutil.copy(lane.parent / "lane-1" / records.HISTORY, lane / records.HISTORY)
    assert any("lane-0" in text and "a life in darkroom/goal-26" in text for text in found(row))
    start = row.path / "start-new" / "control" / "lane-0" / records.HISTORY
    shutil.copy(start, lane / records.HISTORY)
    assert any("250 moves, job.json says 10,000" in text for text in found(row))


@pytest.mark.parametrize(
    ("role", "checkpoint", "text"),
    [
        ("transfer@nothing", "control", "unknown probe 'nothing'"),
        ("training", "control", "no role 'training'"),
        ("transfer", "best", "'best' is no checkpoint of this row: control"),
    ],
)
def test_a_job_without_a_place_is_named(copied, role, checkpoint, text):
    row = copied("random")
    put(row.path / "transfer" / "control", row.path / role / checkpoint)
    assert any(text in each for each in found(row))


def test_a_checkpoint_left_out_is_named_and_the_others_do_not_count_without_it(copied):
    row = copied("random")
    assert len(stored.lives(row, "transfer")) == 16
    path = row.path / stored.ROW
    declared = files.read_json(path)
    files.write_json(path, {**declared, "checkpoints": {**declared["checkpoints"], "worse": "0" * 64}})
    assert any("transfer/worse: no job of this checkpoint" in text for text in found(row))
    assert stored.lives(row, "transfer") == ()
    files.write_json(path, {name: value for name, value in declared.items() if name != "checkpoints"})
    with pytest.raises(InputError, match="expected a row with its checkpoints; score it again"):
        stored.lives(row, "transfer")


def test_lives_left_over_from_before_a_restart_do_not_count(copied):
    row = copied("random")
    declared = files.read_json(row.path / stored.ROW)
    files.write_json(row.path / stored.ROW, {**declared, "sha256": "0" * 64})
    assert stored.lives(row, "transfer") == ()
    files.write_json(row.path / stored.ROW, {"name": "random", "checkpoints": {}})
    with pytest.raises(InputError, match="sha256 is missing; score the row again"):
        stored.lives(row, "transfer")


def test_a_job_with_a_life_missing_does_not_count(copied):
    row = copied("random")
    shutil.rmtree(row.path / "transfer" / "control" / "lane-7")
    assert stored.lives(row, "transfer") == ()


def test_checkpoints_are_told_apart_whatever_their_training_seeds(copied):
    """Four of one training seed play the same new goals: averaged within each goal."""
    row = copied("random")
    path = row.path / stored.ROW
    declared = files.read_json(path)
    (sha256,) = declared["checkpoints"].values()
    files.write_json(path, {**declared, "checkpoints": {"a": sha256, "control": sha256}})
    put(row.path / "transfer" / "control", row.path / "transfer" / "a")
    lives = stored.lives(row, "transfer")
    assert len({(life.unit, life.checkpoint, life.lane) for life in lives}) == len(lives) == 32


# Predictions: half of Q1


def differing(row):
    return list(predictions.differences(row, DARKROOM))


def test_predictions_count_only_together(copied):
    row = copied("transformer")
    assert differing(row) == []
    assert len(predictions.of_row(row, DARKROOM)) == 16
    first, *_ = sorted((row.path / "likeness" / "all").glob("*"))
    kept = first.read_bytes()
    first.unlink()
    assert predictions.of_row(row, DARKROOM) == ()
    assert differing(row) == [f"{first}: predictions are missing; those of all teachers count together"]
    first.write_bytes(kept)
    first.with_name("goal-07.seed-3.safetensors").write_bytes(kept)
    (text,) = differing(row)
    assert "no start" in text


@pytest.mark.parametrize("column", ["chosen", "explored", "ceiling", "predicted"])
def test_predictions_are_of_the_teachers_own_moves(copied, column):
    row = copied("transformer")
    first, *_ = sorted((row.path / "likeness" / "all").glob("*"))
    columns = files.read_columns(first)
    changed = columns[column].copy()
    changed[3] = 99 if column == "predicted" else not changed[3]
    files.write_columns(first, {**columns, column: changed})
    (text,) = differing(row)
    assert column in text
    files.write_columns(first, {name: values for name, values in columns.items() if name != column})
    (text,) = differing(row)
    assert "columns" in text


# Isolation: a life's end counts as its beginning does


def test_a_long_life_whose_end_was_not_checked_counts_as_not_checked(tmp_path):
    path = stored.RESULTS / "minatar-v1" / "tenth" / "dqn-fresh" / "transfer" / "control"
    put(path, tmp_path / "job")
    whole = stored.fed(tmp_path / "job", records.ISOLATION)
    assert whole is not None
    assert whole.mismatch is None
    note = tmp_path / "job" / records.ISOLATION
    told = files.read_json(note)
    files.write_json(note, {**told, "last_moves": 0})
    assert "last_moves is 0, not 10000" in stored.fed(tmp_path / "job", records.ISOLATION).mismatch
    files.write_json(note, {**told, "differs_at": 12})
    assert "contradict" in stored.fed(tmp_path / "job", records.ISOLATION).mismatch
    assert records.checked_moves(250) == {"first_moves": 250, "last_moves": 0}


# What a claim is about


@pytest.mark.parametrize(
    ("control", "priming_moves", "role", "claim"),
    [
        (False, 0, "transfer", CHECKPOINT),  # eight lanes of one set of weights, told nothing of a teacher
        (False, 500, "transfer", CHECKPOINT),
        (False, 0, "continue", CHECKPOINT),
        (False, 500, "continue", METHOD),  # each primed with its teacher's moves
        (True, 0, "transfer", METHOD),  # a control's lanes are players of their own
    ],
)
def test_unprimed_lanes_of_one_checkpoint_are_lives_of_a_model(tmp_path, control, priming_moves, role, claim):
    row = RowFolder(tmp_path, "minatar-v1", "tenth", "mine")
    told = {**dict.fromkeys(stored.ROW_SAYS, ""), "control": control, "checkpoints": {"all": ""}}
    files.write_json(tmp_path / stored.ROW, told)
    primed = priming_moves if places.is_primed(role, priming_moves, None) else 0
    player = {"checkpoint": "all", "checkpoint_sha256": "", "training_seed": 0}
    job = {"lanes": [], "player": player, "priming_moves": primed}
    files.write_json(tmp_path / role / "all" / records.JOB, job)
    units = [f"breakout/seed-{seed}" for seed in range(8)]
    one = np.zeros(1, np.float32), np.zeros(1, bool)
    lives = [scores.Life(unit, 0, 0, *one) for unit in units]
    judge = scores._Judge(tmp_path, "minatar-v1", "tenth")
    assert judge._claim(row, role, lives) == claim


def test_a_score_that_is_not_shown_cannot_be_blanked():
    atari, minatar = games.load("atari/breakout"), games.load("minatar/breakout")
    assert probes.BLANKED.concerns([atari])
    assert not probes.BLANKED.concerns([minatar])
    assert probes.YOKED.concerns([minatar])
    told = probes.Told("blanked", [atari])
    assert told.reward(np.array([1.0, 2.0])).tolist() == [1.0, 2.0]
    seen = np.full((1, *atari.observation_shape), 7, np.uint8)
    assert (told.observation(seen) == 0).any()
