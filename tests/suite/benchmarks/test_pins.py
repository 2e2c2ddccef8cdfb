"""Pins: references are made of pinned runs only, and a missing one is named and not made up for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from support import anyones_runs, embedded_runs, rows

from understudy import cli
from understudy.leaderboard import scores
from understudy.leaderboard.reference_runs import StoredReferences
from understudy.suite import benchmarks
from understudy.suite.benchmarks import pinned_runs, pinning, pins
from understudy.suite.benchmarks.pins import Pin
from understudy.suite.errors import InputError
from understudy.suite.histories import history_format, moves_hash

DARKROOM = benchmarks.load("darkroom-v1")
W = DARKROOM.watched_moves
ONE = Pin("goal-00/seed-0", 10, "1" * 64, "a" * 64, None)


def by_hand(history, moves):
    """The hash as docs/submission-format.md states it."""
    found = hashlib.sha256(json.dumps([history.header.game, moves], separators=(",", ":")).encode())
    kinds = {"action": "u1", "reward": "<f4", "terminated": "?", "truncated": "?", "explored": "?"}
    for name, kind in kinds.items():
        found.update(f"\n{name} {kind}\n".encode() + getattr(history, name)[:moves].astype(kind).tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("name", benchmarks.names())
def test_every_run_that_comes_with_the_package_is_pinned(name):
    benchmark = benchmarks.load(name)
    pinned = pins.of(benchmark)
    assert pinned.come_with(benchmark)
    runs = benchmarks.teacher_runs(benchmark)
    for run in runs:
        assert pinned_runs.verified_moves(pinned, run) == benchmarks.read(run).num_moves
    assert set(pinned.names(benchmark, benchmark.games)) == {run.name for run in runs}
    history, first = benchmarks.read(runs[0]), pinned.of_run(runs[0].name)[0]
    assert first.sha256 == by_hand(history, first.moves)


def test_pins_are_only_added(tmp_path):
    path = tmp_path / "x.data.json"
    assert pins.append(path, [ONE]).pins == (ONE,)
    longer = replace(ONE, moves=20, sha256="2" * 64)
    assert pins.append(path, [ONE, longer]).of_run(ONE.run) == (ONE, longer)
    published = replace(ONE, source="hf://datasets/a/b@" + "0" * 40)
    assert pins.append(path, [published]).pins == (published, longer)
    assert pins.append(path, [ONE]).pins == (published, longer)
    before = path.read_bytes()
    for other in (replace(ONE, sha256="3" * 64), replace(ONE, network_at_w="b" * 64)):
        with pytest.raises(InputError, match="pins never change"):
            pins.append(path, [other])
    with pytest.raises(InputError, match="have the same moves and are one run"):
        pins.append(path, [replace(ONE, run="goal-00/seed-1")])
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found["runs"][0].update(sha256="0"), "runs.0.sha256"),
        (lambda found: found["runs"][0].update(source="http://x"), "runs.0.source"),
        (lambda found: found["runs"][0].update(note="x"), "unknown key 'runs.0.note'"),
        (lambda found: found["runs"][0].update(moves=True), "runs.0.moves: expected a whole number"),
        (lambda found: found["runs"].append(found["runs"][0]), "is pinned twice"),
        (lambda found: found["runs"].append({**found["runs"][0], "run": "a/seed-1"}), "are one run"),
        (lambda found: found.update(format=2), "format"),
    ],
)
def test_an_altered_file_of_pins_is_refused(tmp_path, change, message):
    path = tmp_path / "x.data.json"
    pins.append(path, [ONE])
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))
    pins._read.cache_clear()
    with pytest.raises(InputError, match=message) as refused:
        pins.read(path)
    assert "\n" not in str(refused.value)


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The embedded darkroom runs of seed 0 in a folder of the test's own, still pinned by the package."""
    monkeypatch.setenv("UNDERSTUDY_DATA", str(tmp_path / "data"))
    return embedded_runs.unpack(tmp_path / "data", *(f"goal-{goal:02d}/seed-0" for goal in range(81)))


def test_a_run_of_other_moves_under_a_pinned_name_is_not_that_run(copy):
    runs = {run.name: run for run in benchmarks.teacher_runs(DARKROOM)}
    run, pinned = runs["goal-00/seed-0"], pins.of(DARKROOM)
    whole = benchmarks.read(run)
    assert pinned_runs.verified_moves(pinned, run) == whole.num_moves
    reward = whole.reward.copy()
    reward[W] += 1  # after W: still the run that was watched
    history_format.write(run.history_path, replace(whole, reward=reward))
    assert pinned_runs.verified_moves(pinned, run) == W
    pinned_runs.require(pins.of(DARKROOM), DARKROOM, run)
    reward[0] += 1
    history_format.write(run.history_path, replace(whole, reward=reward))
    assert pinned_runs.verified_moves(pinned, run) == 0
    with pytest.raises(InputError, match="understudy histories pull --benchmark darkroom-v1"):
        pinned_runs.require(pins.of(DARKROOM), DARKROOM, run)
    (run.folder / "network_at_w.safetensors").unlink()
    history_format.write(run.history_path, whole)
    (again,) = (each for each in benchmarks.teacher_runs(DARKROOM) if each.name == run.name)
    assert pinned_runs.verified_moves(pinned, again) == 0


def test_a_run_that_was_continued_counts_as_far_as_it_is_pinned(tmp_path, monkeypatch, copy):
    """Whoever has more moves of a teacher than others gets the same reference."""
    short = tmp_path / "pins.json"
    run = next(run for run in benchmarks.teacher_runs(DARKROOM) if run.game in DARKROOM.new_games)
    history = benchmarks.read(run)
    pins.append(short, [Pin(run.name, 10_000, moves_hash.sha256(history, 10_000), None, None)])
    monkeypatch.setattr(pins, "of", lambda benchmark: pins.read(short))
    (found,) = StoredReferences(tmp_path, DARKROOM, DARKROOM.budget("quick")).runs_from_scratch()
    assert np.array_equal(found.reward, history.reward[:10_000])


def test_a_missing_reference_run_gives_no_verdict_and_the_command_that_fetches_it(tmp_path, copy, capsys):
    out = tmp_path / "out"
    command = ["score", "random", "--benchmark", "darkroom-v1", "--out", str(out)]
    assert cli.main(command) == 0
    (row,) = scores.score_all(out)
    teachers, new = len(DARKROOM.watched_games), len(DARKROOM.new_games)
    pinned = pins.of(DARKROOM)
    assert [(each.answer, each.reason) for each in row.verdicts] == [
        (None, f"reference incomplete: {teachers} of {len(pinned.names(DARKROOM, DARKROOM.watched_games))}"),
        (None, f"reference incomplete: {teachers} of {len(pinned.names(DARKROOM, DARKROOM.watched_games))}"),
        (None, f"reference incomplete: {new} of {len(pinned.names(DARKROOM, DARKROOM.new_games))}"),
    ]
    assert "understudy histories pull --benchmark darkroom-v1" in capsys.readouterr().out
    assert cli.main(["score", "frozen-teacher", *command[2:]]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "understudy histories pull --benchmark darkroom-v1" in line


def test_pins_of_ones_own_mark_every_row(tmp_path, copy, capsys):
    """Weaker teachers of one's own make no ranked row."""
    pinning.pin(DARKROOM, copy.parent)
    out = tmp_path / "out"
    rows.score(rows.requested("random", out), ["transfer"])
    (row,) = scores.score_all(out)
    assert row.other_data
    assert row.verdict("transfer").answer == "no"
    assert cli.main(["rescore", str(out)]) == 0
    assert "compared with other teacher data than the benchmark's: not ranked" in capsys.readouterr().out


def test_one_run_under_eight_numbers_is_one_run(tmp_path, copy):
    """The header, which names the seed, is no part of what is pinned."""
    for name in ("seed-7", "seed-8"):
        anyones_runs.copy_as(copy / "goal-00" / "seed-0", copy / "goal-00" / name)
    with pytest.raises(
        InputError, match=r"goal-00/seed-\d and goal-00/seed-\d have the same moves and are one run"
    ):
        pinning.pin(DARKROOM, copy.parent)
    assert not (copy.parent / "darkroom-v1.data.json").exists()
