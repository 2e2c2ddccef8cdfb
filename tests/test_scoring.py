"""From a name to verdicts that hold: scoring, judging and verifying real rows on the embedded teachers."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from understudy import cli
from understudy.leaderboard import board, rows, scores, stored, tables, verify
from understudy.submissions import engines, requests, scoring
from understudy.submissions import plan as plans
from understudy.submissions.entrants import resolve
from understudy.submissions.scorer import Scorer
from understudy.suite import benchmarks, files, places, records
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.histories import format as history_format

LIFE = "darkroom-v1/quick/random/start/control/lane-3"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Real rows: random and policy-at-w, their start lives on darkroom."""
    folder = tmp_path_factory.mktemp("results")
    names = "policy-at-w", "random"
    scoring.score([requests.Request(name, "darkroom-v1", "quick", folder) for name in names], tasks=["skill"])
    scores.rescore(folder)
    return folder


@pytest.fixture
def copied(results, tmp_path):
    """A copy of one row, to spoil."""
    shutil.copytree(results, tmp_path / "copy")
    return tmp_path / "copy"


def verdict_of(results, name, task="skill"):
    for scored in scores.judge_all(results):
        if scored.folder.name == name:
            return next(verdict for verdict in scored.verdicts if verdict.task == task)
    raise KeyError(name)


def test_known_answers_to_the_first_question(results):
    assert verdict_of(results, "policy-at-w").answer == "yes"
    assert verdict_of(results, "random").answer == "no"


def test_lives_that_were_not_played_get_no_verdict(results):
    verdict = verdict_of(results, "random", "transfer")
    assert verdict.answer is None
    assert verdict.reason


def test_scoring_again_plays_nothing(results):
    before = {path: path.stat().st_mtime_ns for path in results.rglob(records.HISTORY)}
    scoring.score([requests.Request("random", "darkroom-v1", "quick", results)], tasks=["skill"])
    assert before == {path: path.stat().st_mtime_ns for path in results.rglob(records.HISTORY)}


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_same_job_twice_gives_the_same_bytes(results, tmp_path, engine):
    scoring.score([requests.Request("random", "darkroom-v1", "quick", tmp_path)], ["skill"], engine)
    for path in (tmp_path / "darkroom-v1" / "quick" / "random").rglob("lane-*/*"):
        if path.name in (records.HISTORY, records.RECORD):
            assert path.read_bytes() == (results / path.relative_to(tmp_path)).read_bytes()


def test_rows_hold_and_rescoring_changes_nothing(results):
    before = {path: path.read_bytes() for path in results.rglob(scores.SCORES)}
    scores.rescore(results)
    assert before == {path: path.read_bytes() for path in results.rglob(scores.SCORES)}
    findings = verify.verify(results, processes=1)
    verify.require(findings)
    assert sum(finding.moves for finding in findings) == 2 * 16 * 250


def failures(folder):
    return [text for finding in verify.verify(folder, processes=1) for text in finding.failures]


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("points", lambda record: record.update(points=record["points"] + 1)),
        ("episodes", lambda record: record.update(episodes=99)),
        ("lane.seed", lambda record: record["lane"].update(seed="0" * 32)),
        ("job.exploration", lambda record: record["job"].update(exploration=0.2)),
        ("record_sha256", lambda record: record["state_bytes"].update(end=1)),
        ("history_sha256", lambda record: record.update(history_sha256="0" * 64)),
    ],
)
def test_one_changed_number_in_a_record_is_named(copied, place, change):
    path = copied / LIFE / records.RECORD
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    found = failures(copied)
    assert any(str(path) in text and place in text for text in found)
    with pytest.raises(CheckFailed, match="lane-3"):
        verify.require(verify.verify(copied, processes=1))


def test_one_life_in_anothers_place_is_named(copied):
    """It would count twice."""
    path = copied / LIFE
    other = path.parent / "lane-4"
    shutil.rmtree(other)
    shutil.copytree(path, other)
    assert any(
        f"{other / records.RECORD}: lane.index is 3, job.json says 4" in text for text in failures(copied)
    )


def test_missing_life_is_named(copied):
    """A job without its worst life would look better than it is."""
    shutil.rmtree(copied / LIFE)
    missing = f"{(copied / LIFE).parent}: lane-3 of 16 lives is missing"
    assert any(missing in text for text in failures(copied))


def test_lives_without_their_row_are_named(copied):
    """Nobody would miss a row that has been taken off, as a choice among rows would."""
    path = copied / "darkroom-v1" / "quick" / "policy-at-w" / stored.ROW
    path.unlink()
    assert any(f"{path}: missing, so the lives here count nowhere" in text for text in failures(copied))


def test_a_row_that_calls_itself_no_control_is_named(copied):
    path = copied / "darkroom-v1" / "quick" / "random" / stored.ROW
    files.write_json(path, {**files.read_json(path), "control": False})
    assert any("control is False, its checkpoints say otherwise" in text for text in failures(copied))


def test_an_edited_table_is_named(copied):
    written = board.write(rows.tables_of(scores.rescore(copied)), copied)
    assert failures(copied) == []
    for path in written:
        kept = path.read_text()
        path.write_text(kept.replace("no", "yes", 1))
        (text,) = failures(copied)
        assert text.startswith(f"{path}: not the table that these rows give")
        path.write_text(kept)


def test_what_cannot_be_compared_is_refused_before_anything_is_played(copied, capsys):
    """Other lanes or threads than the references beside it have: found after hours, it would cost them."""
    before = sorted(copied.rglob("*"))
    command = ["score", "step-counter", "--benchmark", "darkroom-v1", "--out", str(copied)]
    for options, said in (("--lanes 4", "4 lanes, not 16"), ("--threads 2", "threads: 2, not 1")):
        assert cli.main([*command, *options.split()]) == 2
        assert f"another job's lives lie here (this one has {said}" in capsys.readouterr().err
    assert sorted(copied.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("redrawn-0", "random is a control and has no parameters that were trained"),
        ("unprimed", "random is not primed"),
        ("blanked", "no game of darkroom-v1 shows its score"),
    ],
)
def test_a_probe_that_means_nothing_is_refused(tmp_path, capsys, name, reason):
    command = ["score", "random", "--benchmark", "darkroom-v1", "--out", str(tmp_path), "--probe", name]
    assert cli.main(command) == 2
    assert f"--probe {name}: {reason}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_changed_job_is_named(copied):
    path = (copied / LIFE).parent / records.JOB
    job = files.read_json(path)
    files.write_json(path, {**job, "exploration": 0.0})
    assert any("job.exploration is 0.1, job.json says 0.0" in text for text in failures(copied))
    files.write_json(path, {"lanes": 16})
    assert any(f"{path}: expected a job's lanes and its player" in text for text in failures(copied))


def test_record_of_another_format_is_refused(copied):
    path = copied / LIFE / records.RECORD
    files.write_json(path, {**files.read_json(path), "format": 1})
    with pytest.raises(InputError, match=r"lane-3/record\.json: expected a record of format 2, found 1"):
        records.read(path.parent)


def test_lives_room_does_not_grow_with_their_number(results):
    """A record and its log name their own lane only."""
    for name in (records.RECORD, records.HISTORY):
        seeds = [lane["seed"] for lane in files.read_json((results / LIFE).parent / records.JOB)["lanes"]]
        text = (results / LIFE / name).read_bytes()
        assert [seed.encode() in text for seed in seeds] == [index == 3 for index in range(16)]


def test_changed_verdict_is_named(copied):
    path = copied / "darkroom-v1" / "quick" / "random" / scores.SCORES
    stored = json.loads(path.read_text())
    stored["verdicts"][0]["answer"] = "yes"
    path.write_text(json.dumps(stored))
    assert any("verdicts[0].answer is 'yes', the lives give 'no'" in text for text in failures(copied))


def forge(folder, change):
    """Change a log and everything that would betray it but the emulator and the seeds."""
    history = history_format.read(folder / records.HISTORY)
    forged = change(history)
    history_format.write(folder / records.HISTORY, forged)
    record = files.read_json(folder / records.RECORD)
    record |= {"history_sha256": forged.content_sha256, **records.measured(forged)}
    files.write_json(folder / records.RECORD, {**record, "record_sha256": records.seal(record)})


def test_forged_action_fails_the_replay(copied):
    def other_move(history):
        action = history.action.copy()
        move = int(np.flatnonzero(~history.explored)[10])
        action[move] = (action[move] + 1) % 5
        return replace(history, action=action)

    forge(copied / LIFE, other_move)
    assert any("segment 0" in text and "lane-3" in text for text in failures(copied))


def test_forged_reward_fails_the_replay(copied):
    def richer(history):
        reward = history.reward.copy()
        reward[7] += 1
        return replace(history, reward=reward)

    forge(copied / LIFE, richer)
    assert any("move 7" in text and "lane-3" in text for text in failures(copied))


def test_forged_exploration_is_named(copied):
    def hidden(history):
        explored = history.explored.copy()
        explored[int(np.flatnonzero(explored)[0])] = False
        return replace(history, explored=explored)

    forge(copied / LIFE, hidden)
    assert any("explored" in text and "life's seed" in text for text in failures(copied))


# Isolation, lanes

JOB = "darkroom-v1/quick/policy-at-w/start/control"


@pytest.fixture
def checked(copied):
    """A copy of the rows, with a check of the isolation of one job's lives."""
    request = requests.Request("policy-at-w", "darkroom-v1", "quick", copied)
    assert Scorer(request, lambda progress: None).check_isolation("start") is True
    return copied


def isolation_of(folder):
    row = next(row for row in stored.rows_in(folder) if row.name == "policy-at-w")
    return scores.isolation_holds(row, "start")


def test_an_isolation_check_names_the_lives_and_weights_that_it_is_of(checked):
    found = files.read_json(checked / JOB / records.ISOLATION)
    lanes = [files.read_json(checked / JOB / f"lane-{i}" / records.RECORD) for i in range(16)]
    assert found["holds"]
    assert found["histories_sha256"] == [lane["history_sha256"] for lane in lanes]
    assert {found["parameters_sha256"]} == {lane["parameters_sha256"]["before"] for lane in lanes}
    assert {found["checkpoint_sha256"]} == {lane["job"]["player"]["checkpoint_sha256"] for lane in lanes}
    verify.require(verify.verify(checked, processes=1))
    assert isolation_of(checked) is True
    files.write_json(checked / JOB / records.ISOLATION, {**found, "holds": False, "differs_at": 3})
    assert isolation_of(checked) is False


@pytest.mark.parametrize("place", ["histories_sha256", "parameters_sha256", "checkpoint_sha256"])
def test_an_isolation_check_of_other_lives_or_weights_counts_for_nothing(checked, place):
    path = checked / JOB / records.ISOLATION
    found = files.read_json(path)
    other = [*found[place][1:], found[place][0]] if place == "histories_sha256" else "0" * 64
    files.write_json(path, {**found, place: other})
    assert isolation_of(checked) is None
    named = f"{path}: {place} is not that of the stored lives: check again"
    assert named in failures(checked)
    files.write_json(path, {name: value for name, value in found.items() if name != place})
    assert isolation_of(checked) is None


def test_rederived_lives_carry_their_badge_and_others_lose_it(copied):
    request = requests.Request("policy-at-w", "darkroom-v1", "quick", copied)
    scoring.check([request], scoring.REDERIVED)
    found = files.read_json(copied / JOB / records.REDERIVED)
    assert (found["holds"], found["differing"], found["largest_gap"]) == (True, 0, 0.0)
    assert found["moves"] == sum(
        (~history_format.read(path).explored).sum() for path in (copied / JOB).glob(f"*/{records.HISTORY}")
    )
    row = next(one for one in scores.judge_all(copied) if one.folder.name == "policy-at-w")
    assert row.rederived is True
    (table,) = rows.tables_of([row])
    assert "re-derived" in table.rows[-1].note
    files.write_json(copied / JOB / records.REDERIVED, {**found, "holds": False})
    row = next(one for one in scores.judge_all(copied) if one.folder.name == "policy-at-w")
    assert row.rederived is False
    files.write_json(copied / JOB / records.REDERIVED, {**found, "parameters_sha256": "0" * 64})
    assert any("parameters_sha256 is not that" in failure for failure in failures(copied))


def test_predictions_that_the_weights_do_not_make_are_not_rederived(copied):
    request = requests.Request("policy-at-w", "darkroom-v1", "quick", copied)
    path = min((copied / "darkroom-v1/quick/policy-at-w/likeness/control").glob("*"))
    columns = files.read_columns(path)
    files.write_columns(path, {**columns, "predicted": (columns["predicted"] + 1) % 4})
    scoring.check([request], scoring.REDERIVED)
    found = files.read_json(copied / JOB / records.REDERIVED)
    assert (found["holds"], found["differing"], found["predicted_otherwise"]) == (False, 0, 1 / 16)


@pytest.mark.parametrize(("lanes", "teachers"), [(1, 16), (2, 2)])
def test_a_teacher_with_a_single_lane_is_joined_by_those_of_its_recipe(copied, tmp_path, lanes, teachers):
    few = tmp_path / "few"
    scoring.score([requests.Request("random", "darkroom-v1", "quick", few, lanes=lanes)], ["skill"])
    shutil.rmtree(copied / "darkroom-v1/quick/random")
    shutil.copytree(few / "darkroom-v1/quick/random", copied / "darkroom-v1/quick/random")
    row = next(row for row in stored.rows_in(copied) if row.name == "random")
    evidence = scores._Judge(copied, "darkroom-v1", "quick")._skill(row)
    assert (evidence.claim, len(evidence.starts), len(evidence.ruler_starts)) == (
        "checkpoint",
        lanes,
        teachers,
    )


def test_a_row_that_was_not_played_cannot_be_fed_again(tmp_path):
    with pytest.raises(InputError, match="no lives of kind continue or transfer here; score them first"):
        scoring.check([requests.Request("random", "darkroom-v1", "quick", tmp_path)], scoring.ISOLATION)


@pytest.mark.parametrize("text", ["[]", '{"holds": "yes"}', "{"])
def test_a_broken_isolation_check_is_named(copied, text):
    path = copied / JOB / records.ISOLATION
    path.write_text(text)
    assert any(str(path) in failure for failure in failures(copied))


def test_lanes_other_than_the_budgets_are_shown(results, tmp_path):
    scoring.score([requests.Request("random", "darkroom-v1", "quick", tmp_path, lanes=4)], ["skill"])
    (table,) = rows.tables_of(scores.judge_all(tmp_path))
    assert "4 lanes, not the budget's 16" in next(row.note for row in table.rows if row.name == "random")
    (table,) = rows.tables_of(scores.judge_all(results))
    assert not any("lanes" in row.note for row in table.rows)


def test_flipped_byte_is_named(copied):
    path = copied / LIFE / records.HISTORY
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert any(str(path) in text and "altered" in text for text in failures(copied))


def test_unknown_names_suggest_the_nearest(tmp_path):
    with pytest.raises(InputError, match="did you mean 'random'"):
        scoring.score([requests.Request("randon", "darkroom-v1", "quick", tmp_path)])
    with pytest.raises(InputError, match="did you mean 'darkroom-v1'"):
        scoring.score([requests.Request("random", "darkrom-v1", "quick", tmp_path)])
    with pytest.raises(InputError, match="did you mean 'quick'"):
        scoring.score([requests.Request("random", "darkroom-v1", "quik", tmp_path)])
    with pytest.raises(InputError, match="did you mean 'serial'"):
        scoring.score([requests.Request("random", "darkroom-v1", "quick", tmp_path / "x")], engine="serail")
    assert not list(tmp_path.rglob(records.RECORD))


def test_what_cannot_play_is_refused_before_anything_is_written(tmp_path):
    if not scoring.networks_at_w(atari := benchmarks.load("atari-v1"), benchmarks.teacher_lives(atari)):
        with pytest.raises(InputError, match="no network at W"):
            scoring.score([requests.Request("policy-at-w", "atari-v1", "quick", tmp_path / "out")])
    broken = tmp_path / "broken"
    shutil.copytree(resolve("markov", "darkroom-v1").folder, broken)
    weights = broken / "all" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\xff\xff\xff\xff")  # a NaN
    with pytest.raises(InputError, match="finite"):
        scoring.score([requests.Request(str(broken), "darkroom-v1", "quick", tmp_path / "out")])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", benchmarks.names())
def test_plans_give_every_life_its_own_seed(name):
    benchmark = benchmarks.load(name)
    lives = benchmarks.teacher_lives(benchmark)
    random = resolve("random", name)
    jobs = [job for role in places.ROLES for job in plans.plan(random, benchmark, "quick", role, lives)]
    seeds = [lane.seed for planned in jobs for lane in planned.job.lanes]
    assert len(seeds) == len(set(seeds)) == 4 * benchmark.budget("quick").lanes
    for planned in jobs:
        own = benchmark.new_games if "new" in planned.role or planned.role == "transfer" else None
        assert all(lane.game in (own or benchmark.watched_games) for lane in planned.job.lanes)


def test_table_has_the_argued_row_the_teacher_and_every_row(results, tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "RESULTS", tmp_path)
    (table,) = rows.tables_of(scores.judge_all(results))
    assert [row.kind for row in table.rows] == ["argued", "ruler", "control", "control"]
    text = tables.to_markdown([table])
    assert "argued" in text
    assert "instrument not checked" in text
