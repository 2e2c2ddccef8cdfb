"""From a name to verdicts: real rows played on the embedded teachers, and what is refused before any play."""

from __future__ import annotations

import shutil

import pytest

from understudy import cli
from understudy.leaderboard import rows, scores, stored, tables
from understudy.submissions import engines, requests, scoring
from understudy.submissions import plan as plans
from understudy.submissions.entrants import resolve
from understudy.suite import benchmarks, files, places, records
from understudy.suite.errors import InputError

LIFE = "darkroom-v1/quick/random/start/control/lane-3"


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


def test_lives_room_does_not_grow_with_their_number(results):
    """A record and its log name their own lane only."""
    for name in (records.RECORD, records.HISTORY):
        seeds = [lane["seed"] for lane in files.read_json((results / LIFE).parent / records.JOB)["lanes"]]
        text = (results / LIFE / name).read_bytes()
        assert [seed.encode() in text for seed in seeds] == [index == 3 for index in range(16)]


def test_table_has_the_argued_row_the_teacher_and_every_row(results, tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "RESULTS", tmp_path)
    (table,) = rows.tables_of(scores.judge_all(results))
    assert [row.kind for row in table.rows] == ["argued", "ruler", "control", "control"]
    text = tables.to_markdown([table])
    assert "argued" in text
    assert "instrument not checked" in text


# Plans and lanes


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


def test_lanes_other_than_the_budgets_are_shown(results, tmp_path):
    scoring.score([requests.Request("random", "darkroom-v1", "quick", tmp_path, lanes=4)], ["skill"])
    (table,) = rows.tables_of(scores.judge_all(tmp_path))
    assert "4 lanes, not the budget's 16" in next(row.note for row in table.rows if row.name == "random")
    (table,) = rows.tables_of(scores.judge_all(results))
    assert not any("lanes" in row.note for row in table.rows)


# What is refused


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
