"""Weaker teachers of one's own as the reference, and one teacher's run under eight names.

At commit 926ded31, before teacher data was pinned by the hashes of its moves (06cef03e), every run in a data
folder counted as a reference: the copies below made one teacher nine units.
"""

from __future__ import annotations

import shutil

from support import anyones_runs, rows

from understudy.leaderboard import cells, reference_runs, scores
from understudy.submissions import scoring
from understudy.suite import benchmarks
from understudy.suite.benchmarks import pinning

BENCHMARK = benchmarks.load("darkroom-v1")
GOAL = "goal-40"


def teachers_of(goal: str) -> set[str]:
    """Return the names of the runs on a goal that scores depend on."""
    return {run.name for run in scoring.pinned_runs_of(BENCHMARK) if run.name.startswith(f"{goal}/")}


def test_one_run_under_eight_names_is_one_teacher(tmp_path, monkeypatch, own_data):
    honest = teachers_of(GOAL)
    assert honest  # those of the package
    by_name = {run.name: run for run in benchmarks.teacher_runs(BENCHMARK)}
    source = by_name[f"{GOAL}/seed-0"].folder
    copies = tmp_path / "copies" / BENCHMARK.name / GOAL
    first = copies / "seed-90"
    first.mkdir(parents=True)
    (first / "history.parquet").write_bytes((source / "history.parquet").read_bytes())
    anyones_runs.renumber(first / "history.parquet", 90)
    for seed in range(91, 98):
        anyones_runs.copy_as(first, copies / f"seed-{seed}")
    monkeypatch.setenv("UNDERSTUDY_DATA", f"{benchmarks.roots()[0]}:{tmp_path / 'copies'}")
    seen = {run.name for run in benchmarks.teacher_runs(BENCHMARK) if run.name.startswith(f"{GOAL}/")}
    assert len(seen - honest) == 8  # the copies are found, and count for nothing
    assert teachers_of(GOAL) == honest


def test_weaker_teachers_with_pins_of_their_own_are_named_in_the_row(
    make_submission, data, here, monkeypatch
):
    """Random play as the reference, pinned by the claimant: a row compared with it says so and never
    ranks."""
    shutil.copytree(data, here / "weak")
    pinning.pin(BENCHMARK, here / "weak")
    monkeypatch.setenv("UNDERSTUDY_DATA", str(here / "weak"))
    rows.score(rows.requested(str(make_submission()), here / "out"), ["skill"])
    weak = {one.folder.name: one for one in scores.score_all(here / "out")}["mine"]
    assert (
        "compared with other teacher data than the benchmark's: not ranked"
        in (cells.frame([weak]).iloc[0]["notes"])
    )
    monkeypatch.delenv("UNDERSTUDY_DATA")
    own = reference_runs.StoredReferences(here / "none", BENCHMARK, BENCHMARK.budget("quick"))
    assert own.pins.come_with(BENCHMARK)
