"""Every stored job is whole and belongs in its folder: runs moved, copied or left out are named."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from support import rows

from understudy.leaderboard import plan_check, predictions, scores, stored_rows
from understudy.leaderboard.stored_rows import RowFolder
from understudy.leaderboard.stored_runs import StoredRuns
from understudy.suite import benchmarks, games
from understudy.suite.benchmarks import pins
from understudy.suite.errors import InputError
from understudy.suite.harness import feedback, interventions, lanes, records
from understudy.suite.io import file_names, files
from understudy.suite.scoring.contrasts import CHECKPOINT, METHOD
from understudy.suite.scoring.scored_runs import ScoredRun

DARKROOM, MINATAR = benchmarks.load("darkroom-v1"), benchmarks.load("minatar-v1")
QUICK = stored_rows.RESULTS / "darkroom-v1" / "quick"


@pytest.fixture
def copied(tmp_path):
    """Return a function that copies a stored row of darkroom, to be changed."""

    def copy(name: str, budget: str = "quick") -> RowFolder:
        path = tmp_path / "darkroom-v1" / budget / name
        rows.copy(stored_rows.RESULTS / "darkroom-v1" / budget / name, path)
        return RowFolder(path, "darkroom-v1", budget, name)

    return copy


def put(source, target):
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def found(row):
    return list(plan_check.differences(row))


@pytest.mark.parametrize(
    "row", stored_rows.rows_in(stored_rows.RESULTS), ids=lambda row: f"{row.budget}-{row.name}"
)
def test_every_stored_job_is_the_one_of_its_place(row):
    assert found(row) == []


def test_runs_of_another_player_in_place_of_an_interventions_are_named(copied, tmp_path):
    """With random play as its yoked runs, the sandbagger's hidden skill would look like learning."""
    row = copied("sandbagger")
    random = rows.copy(QUICK / "random", tmp_path / "random")
    put(random / "transfer" / "control", row.path / "transfer@yoked" / "control")
    texts = found(row)
    assert any("labels.name is 'random', expected 'sandbagger' in this folder" in text for text in texts)
    assert any("player.identity is" in text for text in texts)
    assert any("intervention is None" in text for text in texts)
    assert any("lanes.0" in text for text in texts)  # seeds are of the player


def test_own_runs_of_another_role_or_budget_are_named(copied):
    row = copied("random")
    put(row.path / "start-new" / "control", row.path / "start" / "control")
    assert any("lanes.0" in text for text in found(row))
    row = copied("random", "full")
    other = RowFolder(row.path.parent.parent / "quick" / "random", "darkroom-v1", "quick", "random")
    put(row.path / "start-new" / "control", other.path / "start-new" / "control")
    texts = [text for text in found(other) if "start-new" in text]
    assert any("labels.budget is 'full', expected 'quick' in this folder" in text for text in texts)


def with_teachers(row, teachers):
    """Rename the teachers of a row's start job, lane by lane, with the units that they give."""
    (path,) = row.path.glob(f"start/*/{records.JOB}")
    job = files.read_json(path)
    for lane, teacher in zip(job["lanes"], teachers, strict=True):
        lane |= {"teacher": teacher, "unit": DARKROOM.unit(teacher)}
    files.write_json(path, job)


def test_teachers_that_nobody_recorded_are_named(copied):
    """Invented names would make one model's runs as many teachers', and a claim about the method."""
    row = copied("bc")
    with_teachers(row, [f"goal-00/seed-{777 + lane}" for lane in range(16)])
    assert any("teacher 'goal-00/seed-777' is no pinned run of a watched game" in text for text in found(row))
    new = DARKROOM.new_games[0].partition("/")[2]
    with_teachers(row, [f"{new}/seed-0"] * 16)
    assert any(f"teacher '{new}/seed-0' is no pinned run of a watched game" in text for text in found(row))


def test_a_control_chooses_no_teachers(copied):
    row = copied("frozen-teacher")
    names = pins.of(DARKROOM).names(DARKROOM, DARKROOM.watched_games)
    with_teachers(row, names[-16:])  # pinned, but not those that lanes are assigned
    assert any("lanes.0 is" in text for text in found(row))


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"decoding": "sample"}, "decoding"),
        ({"priming_moves": 1}, "number of priming moves"),
        ({"declaration": "0" * 64}, "declared data or training seed"),
        ({"declaration": None}, "declared data or training seed"),
    ],
)
def test_a_row_of_a_round_is_played_as_its_submission_was_committed(copied, values, word):
    row = copied("bc")
    path = row.path / records.ROW
    files.write_json(path, {**files.read_json(path), **values})
    texts = found(row)
    (text,) = (text for text in texts if f"committed with another {word}" in text)  # once, not for each job
    assert text.startswith(f"{path}: bc: expected a submission as it was committed to round 1 ")
    assert any("'bc' is an entry of the package" in text for text in texts)


def test_a_row_of_another_benchmark_in_the_folder_of_this_one_is_named(copied):
    row = copied("random")
    path = row.path / records.ROW
    files.write_json(path, {**files.read_json(path), "benchmark": "minatar-v1"})
    with pytest.raises(InputError, match="benchmark 'darkroom-v1', as its folder says; found 'minatar"):
        found(row)


def test_one_run_stored_as_many_is_named(copied):
    row = copied("random")
    path = row.path / "transfer" / "control" / records.JOB
    job = files.read_json(path)
    files.write_json(path, {**job, "lanes": [job["lanes"][0]] * len(job["lanes"])})
    texts = found(row)
    assert any("lanes.1" in text for text in texts)


def test_a_log_of_another_game_or_length_is_named(copied):
    row = copied("random")
    lane = row.path / "transfer" / "control" / "lane-0"
    shutil.copy(lane.parent / "lane-1" / file_names.HISTORY, lane / file_names.HISTORY)
    assert any("lane-0" in text and "a run in darkroom/goal-26" in text for text in found(row))
    start = row.path / "start-new" / "control" / "lane-0" / file_names.HISTORY
    shutil.copy(start, lane / file_names.HISTORY)
    assert any("250 moves, job.json says 10,000" in text for text in found(row))


@pytest.mark.parametrize(
    ("role", "checkpoint", "text"),
    [
        ("transfer@nothing", "control", "unknown intervention 'nothing'"),
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
    assert len(stored_rows.runs(row, "transfer")) == 16
    path = row.path / records.ROW
    declared = files.read_json(path)
    files.write_json(path, {**declared, "checkpoints": {**declared["checkpoints"], "worse": "0" * 64}})
    assert any("transfer/worse: no job of this checkpoint" in text for text in found(row))
    assert stored_rows.runs(row, "transfer") == ()
    files.write_json(path, {name: value for name, value in declared.items() if name != "checkpoints"})
    with pytest.raises(InputError, match="expected the key 'checkpoints', found none; score it again"):
        stored_rows.runs(row, "transfer")


def test_runs_left_over_from_before_a_restart_do_not_count(copied):
    row = copied("random")
    declared = files.read_json(row.path / records.ROW)
    files.write_json(row.path / records.ROW, {**declared, "identity": "0" * 64})
    assert stored_rows.runs(row, "transfer") == ()
    files.write_json(row.path / records.ROW, {"name": "random", "checkpoints": {}})
    with pytest.raises(InputError, match="expected the key 'format', found none; score it again"):
        stored_rows.runs(row, "transfer")


def test_a_job_with_a_run_missing_does_not_count(copied):
    row = copied("random")
    shutil.rmtree(row.path / "transfer" / "control" / "lane-7")
    assert stored_rows.runs(row, "transfer") == ()


def test_checkpoints_of_one_training_seed_stay_apart(copied):
    """Four of one training seed play the same new goals: averaged within each goal."""
    row = copied("random")
    path = row.path / records.ROW
    declared = files.read_json(path)
    (identity,) = declared["checkpoints"].values()
    files.write_json(path, {**declared, "checkpoints": {"a": identity, "control": identity}})
    put(row.path / "transfer" / "control", row.path / "transfer" / "a")
    runs = stored_rows.runs(row, "transfer")
    assert len({(run.unit, run.checkpoint, run.lane) for run in runs}) == len(runs) == 32


# Predictions: half of Q1


def differing(row):
    return list(predictions.differences(row, DARKROOM, benchmarks.teacher_runs(DARKROOM)))


def test_predictions_count_only_together(copied):
    row = copied("transformer")
    assert differing(row) == []
    assert len(predictions.of_row(row, DARKROOM, benchmarks.teacher_runs(DARKROOM))) == 16
    first, *_ = sorted((row.path / "agreement" / "all").glob("*"))
    kept = first.read_bytes()
    first.unlink()
    assert predictions.of_row(row, DARKROOM, benchmarks.teacher_runs(DARKROOM)) == ()
    assert differing(row) == [f"{first}: predictions are missing; those of all teachers count together"]
    first.write_bytes(kept)
    first.with_name("goal-07.seed-3.safetensors").write_bytes(kept)
    (text,) = differing(row)
    assert "no start" in text


@pytest.mark.parametrize("column", ["chosen", "explored", "ceiling", "predicted"])
def test_predictions_are_of_the_teachers_own_moves(copied, column):
    row = copied("transformer")
    first, *_ = sorted((row.path / "agreement" / "all").glob("*"))
    columns = files.read_columns(first)
    changed = columns[column].copy()
    changed[3] = 99 if column == "predicted" else not changed[3]
    files.write_columns(first, {**columns, column: changed})
    (text,) = differing(row)
    assert column in text
    files.write_columns(first, {name: values for name, values in columns.items() if name != column})
    with pytest.raises(InputError, match="expected the columns"):
        differing(row)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda columns: {**columns, "added": np.zeros(65)}, "expected the columns"),
        (lambda columns: {}, "found none"),
        (lambda columns: {**columns, "loss_nats": np.zeros(64)}, "of one length"),
        (lambda columns: {**columns, "loss_nats": np.zeros(65, "f4")}, "loss_nats float32"),
        (lambda columns: {**columns, "loss_nats": np.full(65, np.nan)}, "loss_nats: expected numbers"),
        (lambda columns: {**columns, "loss_nats": np.full(65, -np.inf)}, "loss_nats: expected numbers"),
        (lambda columns: {**columns, "loss_nats": np.full(65, 1e303)}, "at most 1e\\+39"),
        (
            lambda columns: {name: values[None] for name, values in columns.items()},
            r"expected numbers \[n\]",
        ),
    ],
)
def test_other_columns_of_predictions_are_refused_wherever_they_are_read(copied, change, message):
    """In scoring, too, which runs before a row is verified."""
    row = copied("transformer")
    first, *_ = sorted((row.path / "agreement" / "all").glob("*"))
    files.write_columns(first, change(files.read_columns(first)))
    with pytest.raises(InputError, match=message):
        differing(row)
    with pytest.raises(InputError, match=message):
        predictions.of_row(row, DARKROOM, benchmarks.teacher_runs(DARKROOM))


# Isolation: a run's end counts as its beginning does


def test_a_long_run_whose_end_was_not_checked_counts_as_not_checked(tmp_path):
    row = rows.copy(stored_rows.RESULTS / "minatar-v1" / "tenth" / "bc", tmp_path / "row")
    put(row / "transfer" / "breakout-seed-0", tmp_path / "job")

    def mismatch():
        result = stored_rows.check_result(tmp_path / "job", records.ISOLATION)
        assert result is not None
        return result.mismatch

    assert mismatch() is None
    path = tmp_path / "job" / records.ISOLATION
    stored = files.read_json(path)
    files.write_json(path, {**stored, "last_moves": 0})
    assert "last_moves is 0, not 10000" in mismatch()
    files.write_json(path, {**stored, "differs_at": 12})
    assert "contradict" in mismatch()
    assert records.checked_moves(250) == {"first_moves": 250, "last_moves": 0}


# What a claim is about


@pytest.mark.parametrize(
    ("control", "priming_moves", "role", "claim"),
    [
        (False, 0, "transfer", CHECKPOINT),  # eight lanes of one set of weights, none primed by a teacher
        (False, 500, "transfer", CHECKPOINT),
        (False, 0, "continue", CHECKPOINT),
        (False, 500, "continue", METHOD),  # each primed with its teacher's moves
        (True, 0, "transfer", METHOD),  # each lane of a control is a player by itself
    ],
)
def test_unprimed_lanes_of_one_checkpoint_are_runs_of_a_model(tmp_path, control, priming_moves, role, claim):
    name = "random" if control else "mine"
    row = RowFolder(tmp_path, "minatar-v1", "tenth", name)
    files.write_json(tmp_path / records.ROW, rows.declaration(name, control=control, benchmark="minatar-v1"))
    primed = priming_moves if lanes.is_primed(role, priming_moves, None) else 0
    files.write_json(tmp_path / role / "all" / records.JOB, rows.job(priming_moves=primed))
    units = [f"breakout/seed-{seed}" for seed in range(8)]
    one = np.zeros(1, np.float32), np.zeros(1, bool)
    runs = [ScoredRun(unit, 0, 0, *one) for unit in units]
    scorer = scores._BudgetScorer(tmp_path, "minatar-v1", "tenth")
    assert StoredRuns(row, scorer.references)._claim(role, runs) == claim


def test_a_score_that_is_not_shown_cannot_be_blanked():
    atari, minatar = games.load("atari/breakout"), games.load("minatar/breakout")
    assert interventions.BLANKED.concerns([atari])
    assert not interventions.BLANKED.concerns([minatar])
    assert interventions.YOKED.concerns([minatar])
    blanked = feedback.Feedback("blanked", [atari])
    assert blanked.reward(np.array([1.0, 2.0])).tolist() == [1.0, 2.0]
    seen = np.full((1, *atari.observation_shape), 7, np.uint8)
    assert (blanked.observation(seen) == 0).any()
