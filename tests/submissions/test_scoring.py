"""From a name to verdicts: real rows played on the embedded teachers, and what is refused before any play."""

from __future__ import annotations

import csv
import io
import shutil

import pytest
from support import rows

from understudy import cli
from understudy.leaderboard import board, cells, scores, stored_rows, table_files, tables
from understudy.leaderboard.stored_runs import StoredRuns
from understudy.submissions import resolution, scoring
from understudy.suite import benchmarks, protocols
from understudy.suite.errors import InputError
from understudy.suite.harness import engines, jobs, records
from understudy.suite.io import file_names, files

RUN = "darkroom-v1/quick/random/start/control/lane-3"


def verdict_of(results, name, task="skill"):
    for scored in scores.score_all(results):
        if scored.folder.name == name:
            return next(verdict for verdict in scored.verdicts if verdict.task == task)
    raise KeyError(name)


def notes_of(results, name):
    frame = cells.frame(scores.score_all(results))
    return frame[frame["name"] == name].iloc[0]["notes"]


def test_known_answers_to_the_first_question(results):
    assert verdict_of(results, "frozen-teacher").answer == "yes"
    assert verdict_of(results, "random").answer == "no"


def test_runs_that_were_not_played_get_no_verdict(results):
    verdict = verdict_of(results, "random", "transfer")
    assert verdict.answer is None
    assert verdict.reason


def test_scoring_again_plays_nothing(results):
    before = {path: path.stat().st_mtime_ns for path in results.rglob(file_names.HISTORY)}
    rows.score(rows.requested("random", results), tasks=["skill"])
    assert before == {path: path.stat().st_mtime_ns for path in results.rglob(file_names.HISTORY)}


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_same_job_twice_gives_the_same_bytes(results, tmp_path, engine):
    rows.score(rows.requested("random", tmp_path), ["skill"], engine)
    played = [
        path
        for path in (tmp_path / "darkroom-v1" / "quick" / "random").rglob("lane-*/*")
        if path.name in (file_names.HISTORY, records.RECORD)
    ]
    assert len(played) == 2 * 16
    for path in played:
        assert path.read_bytes() == (results / path.relative_to(tmp_path)).read_bytes()


def test_the_command_ends_with_its_row_the_results_and_what_is_next(copied, capsys):
    """The other rows of the results stay in the files, and the teacher's numbers with them."""
    command = ["score", "random", "--benchmark", "darkroom-v1", "--task", "skill", "--out", str(copied)]
    assert cli.main(command) == 0
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert "random" in shown
    assert "frozen-teacher" not in shown
    assert "frozen-teacher" in (copied / "table.csv").read_text()
    assert "the teacher scores" not in shown
    assert lines[-3].startswith("╰")  # the table's last line
    assert lines[-2:] == [f"results: {copied}", f"next, replay the runs: understudy verify {copied}"]


def test_the_size_of_a_run_does_not_grow_with_their_number(results):
    """A record and its log name their own lane only."""
    for name in (records.RECORD, file_names.HISTORY):
        seeds = [lane["seed"] for lane in files.read_json((results / RUN).parent / records.JOB)["lanes"]]
        text = (results / RUN / name).read_bytes()
        assert [seed.encode() in text for seed in seeds] == [index == 3 for index in range(16)]


def test_tables_have_every_row_and_say_that_no_controls_were_run(results, tmp_path, monkeypatch):
    monkeypatch.setattr(stored_rows, "RESULTS", tmp_path)
    frame = cells.frame(scores.score_all(results))
    assert list(frame["kind"].unique()) == [cells.CONTROL]
    assert list(frame["name"].unique()) == ["frozen-teacher", "random"]  # more points come first
    assert {line["controls"] for line in csv.DictReader(io.StringIO(table_files.to_csv(frame)))} == {""}
    assert tables.title(frame, cells.CONTROL) == "darkroom-v1, budget quick: controls (controls not run)"
    (teacher, *_) = tables.teacher_lines(frame)
    assert teacher.startswith("Q1 skill: the teacher ")


# Each entry is resolved once


def test_an_entry_is_resolved_once(tmp_path, monkeypatch, own_data):
    """However many jobs and checks follow; their worker processes are given what was resolved."""
    resolved, looked_up = [], []

    def resolve(name, *others, plain=resolution.resolve):
        resolved.append(name)
        return plain(name, *others)

    def teacher_runs(*given, plain=benchmarks.teacher_runs):
        looked_up.append(given)
        return plain(*given)

    def run_fresh(items, work, report):
        engines.run("serial", items, work, report)  # in this process, so that all calls are counted

    monkeypatch.setattr(resolution, "resolve", resolve)
    monkeypatch.setattr(benchmarks, "teacher_runs", teacher_runs)
    monkeypatch.setattr(engines, "run_fresh", run_fresh)
    monkeypatch.setattr(board, "rescore", lambda *given: [])  # of stored runs, which name no entry
    command = "score bc --benchmark darkroom-v1 --task skill --task transfer --num-envs 4 --isolation"
    assert cli.main([*command.split(), "--out", str(tmp_path)]) == 0
    assert sorted(resolved) == ["bc", "frozen-teacher", "random"]
    assert len(looked_up) == 2  # for the pinned runs, and for all that a submission may have watched
    row = tmp_path / "darkroom-v1" / "quick" / "bc"
    assert files.read_json(row / "transfer" / "all" / records.ISOLATION)["holds"]


# Plans and lanes


@pytest.mark.parametrize("name", benchmarks.names())
def test_plans_give_every_run_its_own_seed(name):
    benchmark = benchmarks.load(name)
    random = rows.entry("random", name)
    planned_jobs = [job for role in protocols.ROLES for job in jobs.plan(random, benchmark, "quick", role)]
    seeds = [lane.seed for planned in planned_jobs for lane in planned.job.lanes]
    assert len(seeds) == len(set(seeds)) == 4 * benchmark.budget("quick").lanes
    for planned in planned_jobs:
        new = benchmark.new_games if "new" in planned.role or planned.role == "transfer" else None
        assert all(lane.game in (new or benchmark.watched_games) for lane in planned.job.lanes)


@pytest.mark.parametrize(("num_lanes", "teachers"), [(1, 16), (2, 2)])
def test_a_single_start_run_is_compared_with_all_teachers(copied, tmp_path, num_lanes, teachers):
    """One run has no spread; those of other teachers have."""
    few = tmp_path / "few"
    rows.score(rows.requested("random", few, lanes=num_lanes), ["skill"])
    shutil.rmtree(copied / "darkroom-v1/quick/random")
    shutil.copytree(few / "darkroom-v1/quick/random", copied / "darkroom-v1/quick/random")
    row = next(row for row in stored_rows.rows_in(copied) if row.name == "random")
    scorer = scores._BudgetScorer(copied, "darkroom-v1", "quick")
    evidence = StoredRuns(row, scorer.references).evidence("skill")
    assert (evidence.claim, len(evidence.starts), len(evidence.reference_starts)) == (
        "checkpoint",
        num_lanes,
        teachers,
    )


def test_lanes_other_than_the_budgets_are_shown(results, tmp_path):
    rows.score(rows.requested("random", tmp_path, lanes=4), ["skill"])
    assert "4 lanes, not the budget's 16" in notes_of(tmp_path, "random")
    assert not any("lanes" in notes_of(results, name) for name in ("random", "frozen-teacher"))


# What is refused


def test_what_cannot_be_compared_is_refused_before_anything_is_played(copied, capsys):
    """Other lanes or threads than those of the references beside it: found late, they would cost hours."""
    before = sorted(copied.rglob("*"))
    command = ["score", "bc-time", "--benchmark", "darkroom-v1", "--out", str(copied)]
    for options, message in (("--num-envs 4", "4 lanes, not 16"), ("--threads 2", "threads: 2, not 1")):
        assert cli.main([*command, *options.split()]) == 2
        assert f"holds another job's runs (this one has {message}" in capsys.readouterr().err
    assert sorted(copied.rglob("*")) == before


@pytest.mark.parametrize("number", ["0", "1025"])
def test_a_number_of_runs_out_of_range_is_refused_by_the_options_name(tmp_path, capsys, number):
    command = ["score", "random", "--benchmark", "darkroom-v1", "--out", str(tmp_path)]
    assert cli.main([*command, "--num-envs", number]) == 2
    assert f"--num-envs: expected 1 to 1024, found {number}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("redrawn-0", "random is a control and has no trained parameters"),
        ("unprimed", "random is not primed"),
        ("blanked", "no game of darkroom-v1 shows its score"),
    ],
)
def test_an_intervention_that_means_nothing_is_refused(tmp_path, capsys, name, reason):
    command = ["score", "random", "--benchmark", "darkroom-v1", "--out", str(tmp_path)]
    assert cli.main([*command, "--intervention", name]) == 2
    assert f"--intervention {name}: {reason}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_unknown_names_suggest_the_nearest(tmp_path):
    with pytest.raises(InputError, match="did you mean 'random'"):
        rows.requested("randon", tmp_path)
    with pytest.raises(InputError, match="did you mean 'darkroom-v1'"):
        rows.requested("random", tmp_path, benchmark="darkrom-v1")
    with pytest.raises(InputError, match="did you mean 'quick'"):
        rows.score(rows.requested("random", tmp_path, budget="quik"))
    with pytest.raises(InputError, match="did you mean 'serial'"):
        rows.score(rows.requested("random", tmp_path / "x"), engine="serail")
    assert not list(tmp_path.rglob(records.RECORD))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"--task": "improve"}, "unknown task 'improve'; did you mean 'improvement'?"),
        ({"--engine": "Process"}, "unknown engine 'Process'; did you mean 'process'?"),
        ({"--benchmark": "Darkroom-V1"}, "unknown benchmark 'Darkroom-V1'; did you mean 'darkroom-v1'?"),
        ({"--budget": "QUICK"}, "unknown budget of darkroom-v1 'QUICK'; did you mean 'quick'?"),
        ({"": "BC"}, "unknown submission for darkroom-v1 'BC'; did you mean 'bc'?"),
        ({"": "RANDOM"}, "unknown submission for darkroom-v1 'RANDOM'; did you mean 'random'?"),
    ],
)
def test_a_misspelled_name_is_refused_before_anything_is_written(tmp_path, capsys, options, message):
    given = {"": "random", "--benchmark": "darkroom-v1", "--out": str(tmp_path)} | options
    arguments = [text for name, value in given.items() for text in (name, value) if text]
    assert cli.main(["score", *arguments]) == 2
    assert capsys.readouterr().err == f"understudy: {message}\n"
    assert not list(tmp_path.iterdir())


def test_what_cannot_play_is_refused_before_anything_is_written(tmp_path):
    atari = benchmarks.load("atari-v1")
    if not scoring.has_networks_at_w(atari, benchmarks.teacher_runs(atari)):
        with pytest.raises(InputError, match="or its network at W is not here"):
            rows.score(rows.requested("frozen-teacher", tmp_path / "out", benchmark="atari-v1"))
    broken = tmp_path / "broken"
    shutil.copytree(rows.entry("bc").folder, broken)
    declared = files.read_json(broken / "submission.json")
    files.write_json(broken / "submission.json", {**declared, "name": "broken"})
    weights = broken / "all" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\xff\xff\xff\xff")  # a NaN
    with pytest.raises(InputError, match="finite"):
        rows.score(rows.requested(str(broken), tmp_path / "out"))
    assert not (tmp_path / "out").exists()
