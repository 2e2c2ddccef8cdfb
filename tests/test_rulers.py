"""Rulers by themselves: gains worked out by hand, and every reason why one allows no verdict."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

from understudy import cli
from understudy.leaderboard import references, rulers, stored, teachers_page
from understudy.submissions import requests, scoring
from understudy.suite import benchmarks, files, records, tasks
from understudy.suite.benchmarks import teacher_data
from understudy.suite.errors import InputError
from understudy.suite.histories import format as histories
from understudy.suite.judging import contrasts, standings
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.lives import Life
from understudy.suite.judging.rules import Minima, PublishedRuler, Rules, Thresholds
from understudy.suite.testing.teachers import SETTINGS, short_life

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "teachers.md"
RULES = Rules(
    watched_moves=100,
    moves=200,
    end_moves=50,
    episode_cap_moves=5,
    thresholds=Thresholds(0.5, 0.1, 0.8, 1.25, 0.5, 0.95, 0.975, 0.9),
    minima=Minima(ends=5, ruler_lives=4, method_units=4, window_caps=10, window_ends=20, likeness_pieces=20),
)
PUBLISHED = PublishedRuler(
    "g", 5, start_mean=5.0, start_sd=0.4, end_mean=15.0, end_sd=1.2, gain_sd=1.3, fewest_ends=20
)
START, END = np.array([5.0, 4.0, 6.0, 5.5]), np.array([15.0, 13.0, 18.0, 14.0])
FLAT, WILD = START + np.array([0.0, 0.2, -0.1, 0.1]), START + np.array([9.0, -5.0, 4.0, 1.0])
TASKS = list(standings.MEASURES)


def life(unit: str, value: float, moves: int = 200) -> Life:
    """A life whose every episode of five moves scores `value`."""
    ended = np.arange(1, moves + 1) % 5 == 0
    return Life(unit, 0, 0, np.where(ended, value, 0.0).astype(np.float32), ended)


def lives(values, moves: int = 200) -> tuple[Life, ...]:
    return tuple(life(f"life-{i}", value, moves) for i, value in enumerate(values))


def evidence(end=END, start=START, **others) -> Evidence:
    starts = lives(start)
    given = {"ruler_lives": lives(end), "ruler_starts": starts, "random_starts": starts, "watched_moves": 100}
    return Evidence("method", **{**given, **others})


@pytest.mark.parametrize("task", TASKS)
def test_a_clear_ruler_has_the_paired_interval_of_its_lives(task):
    found = standings.standing(task, evidence(), RULES)
    expected = scipy_stats.ttest_rel(END, START).confidence_interval()
    assert (found.gain.low, found.gain.high) == pytest.approx(tuple(expected), abs=1e-5)
    assert found.gain.estimate == pytest.approx(np.mean(END - START))
    assert (found.start.estimate, found.end.estimate) == pytest.approx((START.mean(), END.mean()))
    assert (found.lives, found.recorded, found.provisional) == (4, 4, False)
    assert found.allows_verdict


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("end", [FLAT, START - 3, WILD])
def test_a_gain_that_is_not_clearly_above_0_is_no_ruler(task, end):
    found = standings.standing(task, evidence(end), RULES)
    assert found.reasons == ("no ruler: gain not clearly above 0",)
    assert found.gain.low < 0
    assert not found.allows_verdict


@pytest.mark.parametrize("task", TASKS)
def test_fewer_than_four_lives_are_no_ruler(task):
    case = evidence(END[:3])
    found = standings.standing(task, case, RULES)
    (reason,) = found.reasons
    assert reason.startswith("no ruler: 3 of 4 lives have 200 moves")
    assert found.gain.estimate > 0
    nothing = standings.standing(task, evidence(()), RULES)
    assert nothing.reasons == ("no ruler: no teacher life",)
    assert (nothing.start, nothing.end, nothing.gain, nothing.lives) == (None, None, None, 0)


@pytest.mark.parametrize("task", TASKS)
def test_an_incomplete_life_is_left_out_and_counted(task):
    cut = (*lives(END)[:3], life("life-3", 14.0, moves=199))
    found = standings.standing(task, evidence(ruler_lives=cut), RULES)
    assert (found.lives, found.recorded) == (3, 4)
    after = " after W" if task == "improvement" else ""
    assert found.reasons == (f"no ruler: 3 of 4 lives have 200 moves{after}, the longest 200",)


@pytest.mark.parametrize("task", TASKS)
def test_a_watched_life_shorter_than_w_is_said_beside_the_gain(task):
    found = standings.standing(task, evidence(watched_moves=99), RULES)
    assert found.reasons == ("teacher life incomplete: 99 of 100",)
    assert found.gain.low > 0


@pytest.mark.parametrize("task", TASKS)
def test_a_start_that_nobody_played_is_not_made_up(task):
    found = standings.standing(task, evidence(start=()), RULES)
    assert found.reasons == ("no ruler: start not measured",)
    assert (found.start, found.gain) == (None, None)
    assert found.end.estimate == pytest.approx(END.mean())


def test_starts_of_too_few_lives_are_no_ruler():
    found = standings.standing("improvement", evidence(start=START[:2]), RULES)
    assert found.reasons == ("no ruler: start measured for 2 of 4 lives",)


@pytest.mark.parametrize("task", TASKS)
def test_a_window_with_too_few_ends_allows_no_verdict(task):
    rules = dataclasses.replace(RULES, episode_cap_moves=6)  # 50 moves are 8 caps and hold 10 ends
    found = standings.standing(task, evidence(), rules)
    assert found.reasons == ("few ends: 10 of 20 ends",)
    assert found.gain.low > 0
    for ends, reasons in ((20, ()), (19, ("few ends: 19 of 20 ends",))):
        figures = dataclasses.replace(PUBLISHED, fewest_ends=ends)
        published = dataclasses.replace(rules, published=figures)
        assert standings.standing(task, evidence(()), published).reasons == reasons


@pytest.mark.parametrize("task", TASKS)
def test_published_figures_rule_provisionally_until_there_are_four_own_lives(task):
    rules = dataclasses.replace(RULES, published=PUBLISHED)
    found = standings.standing(task, evidence(END[:3]), rules)
    half = scipy_stats.t.ppf(0.975, 4) * 1.3 / np.sqrt(5)
    assert (found.gain.low, found.gain.high) == pytest.approx((10 - half, 10 + half))
    assert (found.lives, found.recorded, found.provisional, found.reasons) == (5, 3, True, ())
    assert not standings.standing(task, evidence(), rules).provisional


def test_a_published_gain_must_be_clear_too():
    unclear = dataclasses.replace(PUBLISHED, end_mean=6.0)  # 1.0 with a half-width of 1.61
    found = standings.standing("transfer", evidence(()), dataclasses.replace(RULES, published=unclear))
    assert (found.provisional, found.reasons) == (True, ("no ruler: gain not clearly above 0",))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("case", ["clear", "flat", "few", "window", "published", "incomplete"])
def test_a_standing_and_a_verdict_agree(task, case):
    rules, count = RULES, 3 if case == "few" else 4
    found = evidence({"flat": FLAT}.get(case, END)[:count], START[:count])
    if case == "window":
        rules = dataclasses.replace(RULES, episode_cap_moves=6)
    if case == "published":
        rules, found = dataclasses.replace(RULES, published=PUBLISHED), evidence(())
    if case == "incomplete":
        found = evidence(watched_moves=99)
    imitator = dataclasses.replace(found, claim="checkpoint", lives=lives(END), starts=lives(START))
    verdict = tasks.load(task).verdict(imitator, rules)
    standing = standings.standing(task, found, rules)
    assert standing.allows_verdict == verdict.decided == (case in ("clear", "published"))
    assert all(reason.startswith(verdict.reason) for reason in standing.reasons)
    if case != "incomplete":
        assert verdict.numbers["gain"].estimate == pytest.approx(standing.gain.estimate)
        assert verdict.m == standing.lives


# Rulers of stored lives


def row_of(name: str, task: str, budget: str, results: Path = stored.RESULTS) -> rulers.RulerRow:
    found = rulers.rulers(benchmarks.load(name), results)
    return next(row for row in found if (row.task, row.budget) == (task, budget))


@pytest.mark.usefixtures("own_data")
@pytest.mark.parametrize("name", benchmarks.names())
def test_every_task_and_budget_has_its_line(name):
    found = rulers.rulers(benchmarks.load(name))
    budgets = benchmarks.load(name).budget_names
    assert [(row.task, row.budget) for row in found] == [
        (task, budget) for task in TASKS for budget in budgets
    ]
    for row in found:
        assert (row.standing is None) == (row.task not in benchmarks.load(name).budget(row.budget).tasks)
    assert rulers.to_markdown(found).count("\n") == 1 + len(found)


@pytest.mark.usefixtures("own_data")
def test_minatars_gain_is_that_of_its_logs_by_hand():
    """Points over ends of each life's last moves, minus points over ends of its network's start lanes."""
    gains = []
    for seed in range(8):
        folder = "suite/data" if seed < 4 else "data"
        log = histories.read(ROOT / folder / f"minatar-v1/breakout/seed-{seed}/history.parquet")
        end = log.reward[487_500:500_000].sum() / (log.terminated | log.truncated)[487_500:500_000].sum()
        points = ends = 0.0
        for path in (stored.RESULTS / "minatar-v1/tenth/policy-at-w/start/control").glob("lane-*"):
            record = json.loads((path / "record.json").read_text())
            if record["lane"]["unit"] == f"breakout/seed-{seed}":
                points, ends = points + record["points"], ends + record["episodes"]
        gains.append(end - points / ends)
    expected = scipy_stats.ttest_1samp(gains, 0).confidence_interval()
    gain = row_of("minatar-v1", "improvement", "tenth").standing.gain
    assert (gain.low, gain.high) == pytest.approx(tuple(expected), rel=1e-5)


@pytest.mark.usefixtures("own_data")
def test_ataris_published_rulers_are_marked():
    row = row_of("atari-v1", "transfer", "full")
    half = scipy_stats.t.ppf(0.975, 4) * 51.3 / np.sqrt(5)
    assert row.standing.gain.low == pytest.approx(1386.5 - 164.2 - half)
    assert row.verdict.startswith("provisional")
    assert row.texts[3] == "5 published"


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A results folder with the starts of darkroom's rulers at quick, and nothing else."""
    out = tmp_path_factory.mktemp("starts")
    request = requests.Request("", "darkroom-v1", "quick", out)
    assert scoring.play_ruler_starts(request) == TASKS
    return out


@pytest.mark.usefixtures("own_data")
def test_played_starts_are_those_of_a_scored_row_and_of_the_repository(played, tmp_path):
    roles = {path.relative_to(played).parts[2:4] for path in played.rglob(records.RECORD)}
    assert roles == {("policy-at-w", "start"), ("random", "start-new")}
    for path in played.rglob(records.HISTORY):
        ours = histories.read(stored.RESULTS / path.relative_to(played))
        assert np.array_equal(ours.action, histories.read(path).action)
    before = {path: path.stat().st_mtime_ns for path in played.rglob(records.RECORD)}
    scoring.play_ruler_starts(requests.Request("", "darkroom-v1", "quick", played))
    assert before == {path: path.stat().st_mtime_ns for path in played.rglob(records.RECORD)}


@pytest.mark.usefixtures("own_data")
def test_the_lives_of_a_goal_are_averaged_and_count_as_one(tmp_path):
    benchmark = benchmarks.load("darkroom-v1")
    read = references.References(tmp_path, benchmark, benchmark.budget("quick"))
    goals = ("goal-00", "goal-01")
    chosen = [life for life in read.lives if life.name.partition("/")[0] in goals]
    found = read.continuations(goals)
    assert len(found) == len(chosen) == 8
    assert [(life.unit, life.lane) for life in found] == [(goal, lane) for goal in goals for lane in range(4)]
    ends = contrasts.end_sample(found, "method", "ruler", moves=10_000, end_moves=1_000, ends=5)
    by_hand = {goal: [] for goal in goals}
    for life in chosen:
        history = histories.read(life.history_path)
        window = slice(1_300 + 9_000, 1_300 + 10_000)
        skill = history.reward[window].sum() / (history.terminated | history.truncated)[window].sum()
        by_hand[life.name.partition("/")[0]].append(float(skill))
    assert ends.units == goals
    assert ends.values == pytest.approx([np.mean(by_hand[goal]) for goal in goals])


def test_too_short_lives_need_no_start(tmp_path, own_data):
    request = requests.Request("", "atari-v1", "full", tmp_path)
    assert not scoring.play_ruler_starts(request)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("own_data")
def test_starts_of_other_networks_are_refused(played, tmp_path, monkeypatch):
    out = shutil.copytree(played, tmp_path / "copy")
    path = next(out.glob("darkroom-v1/quick/policy-at-w/start/*/lane-0/record.json"))
    record = json.loads(path.read_text())
    record["job"]["player"]["networks_at_w"]["goal-00/seed-0"] = "0" * 64
    path.write_text(json.dumps(record))
    with pytest.raises(
        InputError, match="lane-0: this start of goal-00/seed-0 was played by the network 000"
    ):
        rulers.rulers(benchmarks.load("darkroom-v1"), out)
    assert cli.main(["benchmarks", "darkroom-v1", "--rulers", str(out)]) == 2


@pytest.mark.usefixtures("own_data")
def test_starts_under_another_benchmark_are_refused(played, tmp_path):
    out = shutil.copytree(played, tmp_path / "copy")
    path = out / "darkroom-v1" / "quick" / "random" / stored.ROW
    files.write_json(path, {**files.read_json(path), "benchmark_sha256": "0" * 64})
    compared = references.References(out, (it := benchmarks.load("darkroom-v1")), it.budget("quick"))
    with pytest.raises(InputError, match="scored under another darkroom-v1"):
        compared.evidence("transfer")


def test_lives_of_two_recipes_are_no_ruler(tmp_path, monkeypatch, capsys):
    data = tmp_path / "minatar-v1"
    short_life("minatar/breakout", data)
    other = short_life("minatar/space_invaders", data, settings=dataclasses.replace(SETTINGS, update_every=8))
    monkeypatch.setenv(teacher_data.ENVIRONMENT_VARIABLE, str(tmp_path))
    command = ["rulers", "minatar-v1", "--out", str(tmp_path / "results")]
    assert cli.main(command) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert f"{other / 'history.parquet'}: taught with update_every: 8, not 4 as breakout/seed-0 was" in shown
    score = [
        "score",
        "random",
        "--benchmark",
        "minatar-v1",
        "--budget",
        "quick",
        "--out",
        str(tmp_path / "scored"),
    ]
    assert cli.main(score) == 2
    assert "taught with update_every: 8, not 4" in capsys.readouterr().err
    assert not (tmp_path / "scored").exists()
    table = teachers_page.lives_table(benchmarks.load("minatar-v1"))
    assert (table.count("--update-every 8"), table.count("--update-every")) == (1, 1)
    shutil.rmtree(other)
    short_life("minatar/space_invaders", data)
    assert cli.main(command) == 0


@pytest.mark.usefixtures("own_data")
def test_commands_show_the_rulers(played, capsys):
    assert cli.main(["rulers", "darkroom-v1", "--budget", "quick", "--out", str(played)]) == 0
    shown = capsys.readouterr().out
    assert "ruler of transfer, quick: 16 games, 16 lives; verdict: possible" in shown
    assert (
        "ruler of improvement, full: 65 games, 0 of 65 lives; verdict: no ruler: start not measured" in shown
    )
    assert "ruler of improvement, tenth: the budget is too short for it" in shown
    assert cli.main(["benchmarks", "darkroom-v1", "--rulers", str(played)]) == 0
    assert shown in capsys.readouterr().out
    assert cli.main(["rulers", "darkroom-v1", "--budget", "quik", "--out", str(played)]) == 2
    assert "did you mean 'quick'" in capsys.readouterr().err
    assert cli.main(["benchmarks", "darkroom-v1", "--rulers", str(played / "none")]) == 2
    assert "no such folder; name one that `understudy rulers` wrote" in capsys.readouterr().err


def test_other_teachers_than_the_repositorys_have_no_stored_start(tmp_path, monkeypatch, capsys):
    name = "darkroom-v1/goal-00/seed-0"
    shutil.copytree(ROOT / "suite" / "data" / name, tmp_path / name)
    other = ROOT / "suite" / "data" / "darkroom-v1" / "goal-01" / "seed-0"  # of before there were stamps
    shutil.copy(other / "network_at_w.safetensors", tmp_path / name)
    monkeypatch.setenv(teacher_data.ENVIRONMENT_VARIABLE, str(tmp_path))
    assert cli.main(["benchmarks", "darkroom-v1"]) == 0
    assert "no ruler from the leaderboard's starts" in capsys.readouterr().out


# The teachers' page
