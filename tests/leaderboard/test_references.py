"""References without an imitator: gains worked out by hand, and every reason why one allows no verdict."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from support import ROOT, embedded_runs
from support.short_teachers import SETTINGS, short_run

from understudy import cli
from understudy.leaderboard import reference_runs, reference_tables, stored_rows, teachers_page
from understudy.submissions import scoring
from understudy.suite import benchmarks, tasks
from understudy.suite.benchmarks import data_folders, pinning
from understudy.suite.errors import InputError
from understudy.suite.harness import records, row_files
from understudy.suite.harness.requests import Request
from understudy.suite.histories import history_format
from understudy.suite.io import file_names, files
from understudy.suite.scoring import contrasts, reference_summaries
from understudy.suite.scoring.evidence import Evidence
from understudy.suite.scoring.reference_summaries import ReferenceSummary
from understudy.suite.scoring.rules import Minima, PublishedReference, Rules, Thresholds
from understudy.suite.scoring.scored_runs import ScoredRun

PAGE = ROOT / "docs" / "teachers.md"
RULES = Rules(
    watched_moves=100,
    moves=200,
    end_moves=50,
    episode_cap_moves=5,
    thresholds=Thresholds(0.5, 0.1, 0.8, 1.25, 0.5, 0.95, 0.975, 0.9),
    minima=Minima(
        ends=5, reference_runs=4, method_units=4, window_caps=10, window_ends=20, agreement_pieces=20
    ),
)
PUBLISHED = PublishedReference(
    "g", 5, start_mean=5.0, start_sd=0.4, end_mean=15.0, end_sd=1.2, gain_sd=1.3, fewest_ends=20
)
START, END = np.array([5.0, 4.0, 6.0, 5.5]), np.array([15.0, 13.0, 18.0, 14.0])
FLAT, WILD = START + np.array([0.0, 0.2, -0.1, 0.1]), START + np.array([9.0, -5.0, 4.0, 1.0])
TASKS = [task.name for task in tasks.gain_tasks(["improvement", "transfer"])]


def run(unit: str, value: float, moves: int = 200) -> ScoredRun:
    """A run whose every episode of five moves scores `value`."""
    ended = np.arange(1, moves + 1) % 5 == 0
    return ScoredRun(unit, 0, 0, np.where(ended, value, 0.0).astype(np.float32), ended)


def runs(values, moves: int = 200) -> tuple[ScoredRun, ...]:
    return tuple(run(f"run-{i}", value, moves) for i, value in enumerate(values))


def evidence(end=END, start=START, **others) -> Evidence:
    starts = runs(start)
    given = {
        "reference_runs": runs(end),
        "reference_starts": starts,
        "random_starts": starts,
        "watched_moves": 100,
    }
    return Evidence("method", **{**given, **others})


def summary_of(task: str, found: Evidence, rules: Rules) -> ReferenceSummary:
    gain = tasks.load(task).gain
    reference = gain.measure(found, rules)
    return reference_summaries.summarise(reference, found, rules, after_w=not gain.on_new_games)


@pytest.mark.parametrize("task", TASKS)
def test_a_clear_reference_has_the_paired_interval_of_its_runs(task):
    found = summary_of(task, evidence(), RULES)
    expected = stats.ttest_rel(END, START).confidence_interval()
    assert (found.gain.low, found.gain.high) == pytest.approx(tuple(expected), abs=1e-5)
    assert found.gain.estimate == pytest.approx(np.mean(END - START))
    assert (found.start.estimate, found.end.estimate) == pytest.approx((START.mean(), END.mean()))
    assert (found.runs, found.recorded, found.provisional) == (4, 4, False)
    assert found.allows_verdict


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("end", [FLAT, START - 3, WILD])
def test_a_gain_that_is_not_clearly_above_0_is_no_reference(task, end):
    found = summary_of(task, evidence(end), RULES)
    assert found.reasons == ("no reference: gain not clearly above 0",)
    assert found.gain.low < 0
    assert not found.allows_verdict


@pytest.mark.parametrize("task", TASKS)
def test_fewer_than_four_runs_are_no_reference(task):
    case = evidence(END[:3])
    found = summary_of(task, case, RULES)
    (reason,) = found.reasons
    assert reason.startswith("no reference: 3 of 4 runs have 200 moves")
    assert found.gain.estimate > 0
    nothing = summary_of(task, evidence(()), RULES)
    assert nothing.reasons == ("no reference: no teacher run",)
    assert (nothing.start, nothing.end, nothing.gain, nothing.runs) == (None, None, None, 0)


@pytest.mark.parametrize("task", TASKS)
def test_an_incomplete_run_is_left_out_and_counted(task):
    cut = (*runs(END)[:3], run("run-3", 14.0, moves=199))
    found = summary_of(task, evidence(reference_runs=cut), RULES)
    assert (found.runs, found.recorded) == (3, 4)
    after = " after W" if task == "improvement" else ""
    assert found.reasons == (f"no reference: 3 of 4 runs have 200 moves{after}, the longest 200",)


@pytest.mark.parametrize("task", TASKS)
def test_a_watched_run_shorter_than_w_is_a_reason_beside_the_gain(task):
    found = summary_of(task, evidence(watched_moves=99), RULES)
    assert found.reasons == ("teacher run incomplete: 99 of 100",)
    assert found.gain.low > 0


@pytest.mark.parametrize("task", TASKS)
def test_a_start_that_was_not_played_is_unknown(task):
    found = summary_of(task, evidence(start=()), RULES)
    assert found.reasons == ("no reference: start not measured",)
    assert (found.start, found.gain) == (None, None)
    assert found.end.estimate == pytest.approx(END.mean())


def test_starts_of_too_few_runs_are_no_reference():
    found = summary_of("improvement", evidence(start=START[:2]), RULES)
    assert found.reasons == ("no reference: start measured for 2 of 4 runs",)


@pytest.mark.parametrize("task", TASKS)
def test_a_window_with_too_few_ends_allows_no_verdict(task):
    rules = dataclasses.replace(RULES, episode_cap_moves=6)  # 50 moves are 8 caps and hold 10 ends
    found = summary_of(task, evidence(), rules)
    assert found.reasons == ("few ends: 10 of 20 ends",)
    assert found.gain.low > 0
    for ends, reasons in ((20, ()), (19, ("few ends: 19 of 20 ends",))):
        figures = dataclasses.replace(PUBLISHED, fewest_ends=ends)
        published = dataclasses.replace(rules, published=figures)
        assert summary_of(task, evidence(()), published).reasons == reasons


@pytest.mark.parametrize("task", TASKS)
def test_published_figures_are_provisional_until_four_runs_are_recorded(task):
    rules = dataclasses.replace(RULES, published=PUBLISHED)
    found = summary_of(task, evidence(END[:3]), rules)
    half = stats.t.ppf(0.975, 4) * 1.3 / np.sqrt(5)
    assert (found.gain.low, found.gain.high) == pytest.approx((10 - half, 10 + half))
    assert (found.runs, found.recorded, found.provisional, found.reasons) == (5, 3, True, ())
    assert not summary_of(task, evidence(), rules).provisional


def test_a_published_gain_must_be_clear_too():
    unclear = dataclasses.replace(PUBLISHED, end_mean=6.0)  # 1.0 with a half-width of 1.61
    found = summary_of("transfer", evidence(()), dataclasses.replace(RULES, published=unclear))
    assert (found.provisional, found.reasons) == (True, ("no reference: gain not clearly above 0",))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("case", ["clear", "flat", "few", "window", "published", "incomplete"])
def test_summary_and_verdict_agree(task, case):
    rules, count = RULES, 3 if case == "few" else 4
    found = evidence({"flat": FLAT}.get(case, END)[:count], START[:count])
    if case == "window":
        rules = dataclasses.replace(RULES, episode_cap_moves=6)
    if case == "published":
        rules, found = dataclasses.replace(RULES, published=PUBLISHED), evidence(())
    if case == "incomplete":
        found = evidence(watched_moves=99)
    imitator = dataclasses.replace(found, claim="checkpoint", runs=runs(END), starts=runs(START))
    verdict = tasks.load(task).verdict(imitator, rules)
    summary = summary_of(task, found, rules)
    assert summary.allows_verdict == verdict.decided == (case in ("clear", "published"))
    assert all(reason.startswith(verdict.reason) for reason in summary.reasons)
    if case != "incomplete":
        assert verdict.numbers["teacher's gain"].estimate == pytest.approx(summary.gain.estimate)
        assert verdict.m == summary.runs


# References of stored runs


def row_of(
    name: str, task: str, budget: str, results: Path = stored_rows.RESULTS
) -> reference_tables.ReferenceRow:
    found = reference_tables.references(benchmarks.load(name), results)
    return next(row for row in found if (row.task, row.budget) == (task, budget))


@pytest.mark.usefixtures("own_data")
@pytest.mark.parametrize("name", benchmarks.names())
def test_every_task_and_budget_has_its_line(name):
    found = reference_tables.references(benchmarks.load(name))
    budgets = benchmarks.load(name).budget_names
    assert [(row.task, row.budget) for row in found] == [
        (task, budget) for task in TASKS for budget in budgets
    ]
    for row in found:
        assert (row.summary is None) == (row.task not in benchmarks.load(name).budget(row.budget).tasks)
    assert reference_tables.to_markdown(found).count("\n") == 1 + len(found)


FROZEN = stored_rows.RESULTS / "minatar-v1/tenth/frozen-teacher"


@pytest.mark.usefixtures("own_data")
def test_minatars_gain_is_that_of_its_logs_by_hand():
    """Points over ends of each run's last moves, minus points over ends of its network's start lanes."""
    gains = []
    for seed in range(8):
        log = history_format.read(ROOT / f"suite/data/minatar-v1/breakout/seed-{seed}/history.parquet")
        end = log.reward[487_500:500_000].sum() / (log.terminated | log.truncated)[487_500:500_000].sum()
        points = ends = 0.0
        for path in row_files.find(FROZEN, "start/control/lane-*/record.json"):
            record = json.loads(path.read_bytes())
            if record["lane"]["unit"] == f"breakout/seed-{seed}":
                points, ends = points + record["points"], ends + record["episodes"]
        gains.append(end - points / ends)
    expected = stats.ttest_1samp(gains, 0).confidence_interval()
    gain = row_of("minatar-v1", "improvement", "tenth").summary.gain
    assert (gain.low, gain.high) == pytest.approx(tuple(expected), rel=1e-5)


@pytest.mark.usefixtures("own_data")
def test_ataris_published_references_are_marked():
    row = row_of("atari-v1", "transfer", "full")
    half = stats.t.ppf(0.975, 4) * 51.3 / np.sqrt(5)
    assert row.summary.gain.low == pytest.approx(1386.5 - 164.2 - half)
    assert row.verdict.startswith("provisional")
    assert row.texts[3] == "5 published"


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A results folder with the starts of darkroom's references at quick, and nothing else."""
    out = tmp_path_factory.mktemp("starts")
    request = Request("", "darkroom-v1", "quick", out)
    assert scoring.play_reference_starts(request) == TASKS
    return out


@pytest.mark.usefixtures("own_data")
def test_played_starts_are_those_of_a_scored_row_and_of_the_repository(played, tmp_path):
    roles = {path.relative_to(played).parts[2:4] for path in played.rglob(records.RECORD)}
    assert roles == {("frozen-teacher", "start"), ("random", "start-new")}
    for path in played.rglob(file_names.HISTORY):
        inner = path.relative_to(played)
        row = row_files.root(stored_rows.RESULTS.joinpath(*inner.parts[:3]))
        ours = history_format.read(row / "/".join(inner.parts[3:]))
        assert np.array_equal(ours.action, history_format.read(path).action)
    before = {path: path.stat().st_mtime_ns for path in played.rglob(records.RECORD)}
    scoring.play_reference_starts(Request("", "darkroom-v1", "quick", played))
    assert before == {path: path.stat().st_mtime_ns for path in played.rglob(records.RECORD)}


@pytest.mark.usefixtures("own_data")
def test_the_runs_of_a_goal_are_averaged_and_count_as_one(tmp_path):
    benchmark = benchmarks.load("darkroom-v1")
    read = reference_runs.StoredReferences(tmp_path, benchmark, benchmark.budget("quick"))
    goals = ("goal-00", "goal-01")
    chosen = [run for run in read.runs if run.name.partition("/")[0] in goals]
    found = read.continuations(goals)
    assert len(found) == len(chosen) == 8
    assert [(run.unit, run.lane) for run in found] == [(goal, lane) for goal in goals for lane in range(4)]
    ends = contrasts.end_sample(found, "method", "reference", moves=10_000, end_moves=1_000, ends=5)
    by_hand = {goal: [] for goal in goals}
    for run in chosen:
        history = history_format.read(run.history_path)
        window = slice(1_300 + 9_000, 1_300 + 10_000)
        skill = history.reward[window].sum() / (history.terminated | history.truncated)[window].sum()
        by_hand[run.name.partition("/")[0]].append(float(skill))
    assert ends.units == goals
    assert ends.values == pytest.approx([np.mean(by_hand[goal]) for goal in goals])


def test_too_short_runs_need_no_start(tmp_path, own_data):
    request = Request("", "atari-v1", "full", tmp_path)
    assert not scoring.play_reference_starts(request)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("own_data")
def test_starts_of_other_networks_are_refused(played, tmp_path, monkeypatch):
    out = shutil.copytree(played, tmp_path / "copy")
    path = next(out.glob("darkroom-v1/quick/frozen-teacher/start/*/lane-0/record.json"))
    record = json.loads(path.read_text())
    record["job"]["player"]["networks_at_w"]["goal-00/seed-0"] = "0" * 64
    path.write_text(json.dumps(record))
    with pytest.raises(
        InputError, match="lane-0: this start of goal-00/seed-0 was played by the network 000"
    ):
        reference_tables.references(benchmarks.load("darkroom-v1"), out)
    assert cli.main(["benchmarks", "darkroom-v1", "--references", str(out)]) == 2


@pytest.mark.usefixtures("own_data")
def test_starts_under_another_benchmark_are_refused(played, tmp_path):
    out = shutil.copytree(played, tmp_path / "copy")
    path = out / "darkroom-v1" / "quick" / "random" / records.ROW
    files.write_json(path, {**files.read_json(path), "benchmark_identity": "0" * 64})
    benchmark = benchmarks.load("darkroom-v1")
    compared = reference_runs.StoredReferences(out, benchmark, benchmark.budget("quick"))
    with pytest.raises(InputError, match="scored under another darkroom-v1"):
        tasks.load("transfer").gain.evidence(compared)


def test_runs_of_different_training_settings_are_no_reference(tmp_path, monkeypatch, capsys):
    data = tmp_path / "minatar-v1"
    declared = benchmarks.load("minatar-v1")
    cut = {"watched_moves": declared.watched_moves, "segment_moves": declared.segment_moves}
    short_run("minatar/breakout", data, **cut)
    others = dataclasses.replace(SETTINGS, update_every=8)
    other = short_run("minatar/space_invaders", data, settings=others, **cut)
    monkeypatch.setenv(data_folders.ENVIRONMENT_VARIABLE, str(tmp_path))
    line = f"{other / 'history.parquet'}: trained with update_every: 8, not 4 as breakout/seed-0 was"
    with pytest.raises(InputError, match=re.escape(line)):
        pinning.pin(declared, tmp_path)  # so they never become a reference
    assert not list(tmp_path.glob("*.data.json"))
    table = teachers_page.runs_table(benchmarks.load("minatar-v1"))
    assert (table.count("--update-every 8"), table.count("--update-every")) == (1, 1)
    shutil.rmtree(other)
    short_run("minatar/space_invaders", data, **cut)
    assert pinning.pin(declared, tmp_path)[1]
    assert cli.main(["references", "minatar-v1", "--out", str(tmp_path / "results")]) == 0


@pytest.mark.usefixtures("own_data")
def test_commands_show_the_references(played, capsys):
    assert cli.main(["references", "darkroom-v1", "--budget", "quick", "--out", str(played)]) == 0
    shown = capsys.readouterr().out
    assert "reference of transfer, quick: 16 games, 16 runs; verdict: possible" in shown
    assert (
        "reference of improvement, full: 65 games, 0 of 65 runs; verdict: no reference: start not measured"
        in shown
    )
    assert "reference of improvement, tenth: the budget is too short for it" in shown
    assert cli.main(["benchmarks", "darkroom-v1", "--references", str(played)]) == 0
    assert shown in capsys.readouterr().out
    assert cli.main(["references", "darkroom-v1", "--budget", "quik", "--out", str(played)]) == 2
    assert "did you mean 'quick'" in capsys.readouterr().err
    assert cli.main(["benchmarks", "darkroom-v1", "--references", str(played / "none")]) == 2
    assert "no such folder; name one that `understudy references` wrote" in capsys.readouterr().err


def test_other_teachers_than_the_repositorys_have_no_stored_start(tmp_path, monkeypatch, capsys):
    name = "goal-00/seed-0"
    own = embedded_runs.unpack(tmp_path, name) / name / "network_at_w.safetensors"
    own.write_bytes((embedded_runs.packed("goal-01/seed-0") / own.name).read_bytes())  # before stamps
    monkeypatch.setenv(data_folders.ENVIRONMENT_VARIABLE, str(tmp_path))
    assert cli.main(["benchmarks", "darkroom-v1"]) == 0
    assert "no reference from the leaderboard's starts" in capsys.readouterr().out


# The teachers' page
