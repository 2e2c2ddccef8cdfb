"""Which tasks a budget cannot answer, said before anything is played: true, or not said."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from support import ROOT

from understudy.leaderboard import preflight, reference_tables, stored_rows
from understudy.suite import benchmarks, tasks
from understudy.suite.io import files

EVERY = ("skill", "improvement", "transfer")
GAINS = ("improvement", "transfer")
NOWHERE = Path("nowhere")


def asked(name, budget, named=EVERY, results=NOWHERE, runs=None, units=None, benchmark=None):
    benchmark = benchmark or benchmarks.load(name)
    runs = benchmarks.teacher_runs(benchmark) if runs is None else runs
    return preflight.unanswerable(benchmark, runs, budget, named, results, units)


def documented(budget, task):
    """Return the teacher's gain on MinAtar in the table of docs/teachers.md."""
    page = (ROOT / "docs" / "teachers.md").read_text()
    part = page.partition("<!-- table: minatar-v1 references -->")[2]
    (line,) = re.findall(rf"^\| {task} \| \w+ \| {budget} \|.*$", part.partition("<!-- /table")[0], re.M)
    return line.split(" | ")[6]


@pytest.fixture
def empty_package(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_rows, "RESULTS", tmp_path / "package")
    return tmp_path / "package"


def test_minatars_quick_is_too_short_and_tenth_is_the_smallest_that_is_not():
    assert asked("minatar-v1", "quick") == [
        "Q1 skill: quick is too short to measure the teacher's skill on minatar-v1 (fewer than 20 episodes "
        "end in a teacher's start runs), so it gives no yes; the smallest budget that can: tenth",
        "Q2 improvement: quick is too short to measure the teacher's gain on minatar-v1 (reference "
        f"{documented('quick', 'improvement')}); the smallest budget that can: tenth",
        "Q3 transfer: quick is too short to measure the teacher's gain on minatar-v1 (reference "
        f"{documented('quick', 'transfer')}); the smallest budget that can: tenth",
    ]


def test_the_ends_of_the_teachers_start_runs_are_those_counted():
    """Some have fewer than 20; a row that is compared with the others alone has a verdict."""
    row = stored_rows.RESULTS / "minatar-v1" / "quick" / "frozen-teacher"
    with zipfile.ZipFile(row / "runs.zip") as runs:
        names = [name for name in runs.namelist() if re.fullmatch(r"start/control/lane-\d/record.json", name)]
        stored = [json.loads(runs.read(name)) for name in names]
    ends = {each["lane"]["unit"]: each["episodes"] for each in stored}
    few = {unit for unit, count in ends.items() if count < 20}
    assert few
    others = set(ends) - few
    assert len(others) > 1
    assert not asked("minatar-v1", "quick", ["skill"], units=others)
    assert asked("minatar-v1", "quick", ["skill"], units={min(few), min(others)})
    assert asked("minatar-v1", "quick", ["skill"], units={min(others)})  # alone: all are compared


@pytest.mark.parametrize("name", benchmarks.names())
def test_it_agrees_with_the_references_that_are_read_from_the_runs(name):
    benchmark = benchmarks.load(name)
    stored = {(row.task, row.budget): row.summary for row in reference_tables.references(benchmark)}
    possible = {key for key, found in stored.items() if found is not None and found.allows_verdict}
    by_length = sorted(benchmark.budgets, key=lambda budget: budget.moves)
    for budget in benchmark.budget_names:
        lines = asked(name, budget, GAINS)
        for task in GAINS:
            told = [line for line in lines if line.startswith(f"{tasks.load(task).label}: ")]
            assert len(told) == ((task, budget) not in possible)
            able = [each.name for each in by_length if (task, each.name) in possible]
            assert all(line.endswith(f"; the smallest budget that can: {able[0]}") for line in told)


@pytest.mark.parametrize(("name", "budget"), [("darkroom-v1", "quick"), ("minatar-v1", "tenth")])
def test_it_says_nothing_of_what_can_be_answered(name, budget):
    assert asked(name, budget) == []


def test_it_says_nothing_of_what_it_does_not_know(empty_package):
    assert asked("minatar-v1", "quick") == []


def test_it_says_nothing_where_the_starts_are_of_other_networks(empty_package):
    """Those of the random player, for Q3, have none."""
    quick = Path("minatar-v1") / "quick"
    shutil.copytree(ROOT / "leaderboard" / "results" / quick, empty_package / quick)
    assert [line[:2] for line in asked("minatar-v1", "quick")] == ["Q1", "Q2", "Q3"]
    row = empty_package / quick / "frozen-teacher"
    with zipfile.ZipFile(row / "runs.zip") as runs:
        runs.extractall(row)
    (row / "runs.zip").unlink()
    for path in row.rglob("record.json"):
        record = files.read_json(path)
        record["job"]["player"]["networks_at_w"][record["lane"]["teacher"]] = "0" * 64
        files.write_json(path, record)
    assert [line[:2] for line in asked("minatar-v1", "quick")] == ["Q3"]


def test_runs_that_are_too_short_are_known_to_be_whether_or_not_a_start_was_played(empty_package):
    benchmark = benchmarks.load("minatar-v1")
    longer = [
        dataclasses.replace(budget, moves=9_000_000) if budget.name == "full" else budget
        for budget in benchmark.budgets
    ]
    benchmark = dataclasses.replace(benchmark, budgets=tuple(longer))
    assert asked("minatar-v1", "full", GAINS, benchmark=benchmark) == [
        "Q2 improvement: full gives no verdict on minatar-v1: no reference: 0 of 4 runs have 9,000,000 moves "
        "after W, the longest 2,500,000; whether quick or tenth can is not known here; see: understudy "
        "benchmarks minatar-v1",
        "Q3 transfer: full gives no verdict on minatar-v1: no reference: 0 of 4 runs have 9,000,000 moves, "
        "the longest 2,750,000; whether quick or tenth can is not known here; see: understudy benchmarks "
        "minatar-v1",
    ]


def test_where_no_budget_can_it_says_so(monkeypatch):
    benchmark = benchmarks.load("minatar-v1")
    quick = benchmark.budget("quick")
    alone = dataclasses.replace(benchmark, budgets=(quick,))
    assert benchmark.identity != alone.identity  # so its starts are another benchmark's
    monkeypatch.setitem(vars(alone), "identity", benchmark.identity)
    (line,) = asked("minatar-v1", "quick", ["transfer"], benchmark=alone)
    assert line.endswith("; no budget can with the teacher runs here; see: understudy benchmarks minatar-v1")


def test_a_budget_without_the_task_is_named_as_such():
    assert asked("darkroom-v1", "tenth") == [
        f"{label}: darkroom-v1 does not ask it at tenth; the smallest budget that can: quick"
        for label in ("Q2 improvement", "Q3 transfer")
    ]


def test_an_installed_package_knows_it_by_the_runs_that_it_has(empty_package):
    """The wheel has the references' rows, and all teachers."""
    patterns = re.findall(r'"(results/.*runs\.zip)"', (ROOT / "pyproject.toml").read_text())
    assert len(patterns) == 2
    for pattern in patterns:
        for path in (ROOT / "leaderboard").glob(pattern):
            place = empty_package / path.relative_to(ROOT / "leaderboard" / "results")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    benchmark = benchmarks.load("minatar-v1")
    shipped = benchmarks.teacher_runs(benchmark, [ROOT / "suite" / "data"])
    assert sum(run.game == "minatar/breakout" for run in shipped) == 8
    smallest = [line.rpartition(": ")[2] for line in asked("minatar-v1", "quick", GAINS, runs=shipped)]
    assert smallest == ["tenth", "tenth"]
    assert asked("darkroom-v1", "quick") == []


def test_the_results_own_starts_come_first(tmp_path):
    """They are what the row is compared with: beside a start without points any teacher's gain is clear."""
    start = tmp_path / "minatar-v1" / "quick" / "random"
    shutil.copytree(stored_rows.RESULTS / "minatar-v1" / "quick" / "random", start)
    with zipfile.ZipFile(start / "runs.zip") as runs:
        runs.extractall(start)
    (start / "runs.zip").unlink()
    for path in (start / "start-new" / "control").glob("lane-*/record.json"):
        files.write_json(path, {**files.read_json(path), "points": 0.0})
    assert asked("minatar-v1", "quick", ["transfer"], tmp_path) == []
    (line,) = asked("minatar-v1", "quick", ["transfer"])
    assert line.startswith("Q3 transfer: quick is too short to measure the teacher's gain on minatar-v1 ")
