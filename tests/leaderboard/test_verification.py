"""Verification of stored rows: runs, records and tables that are changed, missing or forged are named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import rows

from understudy import cli
from understudy.leaderboard import board, scores, stored_rows, verification
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.harness import records
from understudy.suite.histories import history_format
from understudy.suite.io import file_names, files

RUN = "darkroom-v1/quick/random/start/control/lane-3"


def failures(folder):
    return [text for finding in verification.verify(folder, processes=1) for text in finding.failures]


def test_rows_hold_and_rescoring_changes_nothing(results):
    before = {path: path.read_bytes() for path in results.rglob(scores.SCORES)}
    scores.rescore(results)
    assert before == {path: path.read_bytes() for path in results.rglob(scores.SCORES)}
    findings = verification.verify(results, processes=1)
    verification.require(findings)
    assert sum(finding.moves for finding in findings) == 2 * 16 * 250


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("points", lambda record: record.update(points=record["points"] + 1)),
        ("episodes", lambda record: record.update(episodes=99)),
        ("lane.seed", lambda record: record["lane"].update(seed="0" * 32)),
        ("job.exploration", lambda record: record["job"].update(exploration=0.2)),
        ("record_sha256", lambda record: record["state_bytes"].update(largest=1)),
        ("history_sha256", lambda record: record.update(history_sha256="0" * 64)),
    ],
)
def test_one_changed_number_in_a_record_is_named(copied, place, change):
    path = copied / RUN / records.RECORD
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    found = failures(copied)
    assert any(str(path) in text and place in text for text in found)
    with pytest.raises(CheckFailed, match="lane-3"):
        verification.require(verification.verify(copied, processes=1))


def test_record_of_another_format_is_refused(copied):
    path = copied / RUN / records.RECORD
    files.write_json(path, {**files.read_json(path), "format": 9})
    with pytest.raises(InputError, match=r"lane-3/record\.json: format: this version reads 1; found 9"):
        records.read(path.parent)


def test_one_run_in_anothers_place_is_named(copied):
    """The run would count twice."""
    path = copied / RUN
    other = path.parent / "lane-4"
    shutil.rmtree(other)
    shutil.copytree(path, other)
    assert any(
        f"{other / records.RECORD}: lane.index is 3, job.json says 4" in text for text in failures(copied)
    )


def test_missing_run_is_named(copied):
    """Without its worst run a job would look better than it is."""
    shutil.rmtree(copied / RUN)
    missing = f"{(copied / RUN).parent}: lane-3 of 16 runs is missing"
    assert any(missing in text for text in failures(copied))


def test_a_job_none_of_whose_runs_is_finished_is_named(copied):
    job = (copied / RUN).parent
    for path in job.glob("lane-*"):
        shutil.rmtree(path)
    assert any(f"{job}: its 16 runs are not finished" in text for text in failures(copied))


def test_a_row_without_any_run_is_named(copied):
    row = (copied / RUN).parents[2]
    shutil.rmtree(row / "start")
    shutil.rmtree(row / "start-new", ignore_errors=True)
    assert any(f"{row}: no run has been played" in text for text in failures(copied))


def test_a_row_a_budget_and_a_benchmark_are_verified_alone(copied, monkeypatch):
    """What is wrong elsewhere in the results is not looked for."""
    board.rescore(copied)
    (copied / board.FILES[0]).write_text("edited")
    other = copied / "darkroom-v1" / "quick" / "frozen-teacher" / scores.SCORES
    other.write_text("{}")
    budget = copied / "darkroom-v1" / "quick"
    (finding,) = verification.verify(budget / "random", processes=1)
    assert (finding.row.path, finding.runs, finding.failures) == (budget / "random", 16, ())
    for path in (budget, copied / "darkroom-v1"):
        assert [found.row.name for found in verification.verify(path, processes=1)] == [
            "frozen-teacher",
            "random",
        ]
        assert any(str(other) in text for text in failures(path))
    monkeypatch.chdir(budget / "random")
    (finding,) = verification.verify(Path("."), processes=1)
    assert (finding.row.name, finding.failures) == ("random", ())


def test_the_command_says_first_what_it_replays_and_fails_unread(copied, capsys):
    row = copied / "darkroom-v1" / "quick" / "random"
    assert cli.main(["verify", str(row), "--processes", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.err.splitlines()[0] == "replaying 16 runs of 4,000 moves"
    assert captured.out == "darkroom-v1 quick random: replayed, 16 runs, 4,000 moves\n"
    shutil.rmtree(copied / RUN)
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "understudy", "verify", str(row), "--processes", "1"]
    try:
        ran = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert ran.returncode == 1, ran.stderr
    assert "lane-3 of 16 runs is missing" in ran.stderr.splitlines()[-1]


def test_a_second_verify_replays_nothing_and_checks_all_else(copied, capsys):
    """Notes of replays spare the emulator, and no other check."""
    row = copied / "darkroom-v1" / "quick" / "random"
    command = ["verify", str(row), "--processes", "1"]
    assert cli.main(command) == 0
    capsys.readouterr()
    assert cli.main(command) == 0
    captured = capsys.readouterr()
    assert captured.err == "16 runs replayed here before, under the same versions (--again: replay all)\n"
    assert captured.out == "darkroom-v1 quick random: replayed, 16 runs (16 replayed before), 4,000 moves\n"
    assert cli.main([*command, "--again"]) == 0
    assert capsys.readouterr().err.startswith("replaying 16 runs of 4,000 moves\n")
    record = copied / RUN / records.RECORD
    files.write_json(record, {**files.read_json(record), "points": 99.0})
    forge(copied / "darkroom-v1/quick/random/start/control/lane-4", richer)
    assert cli.main(command) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("replaying 1 run of 250 moves; 15 runs replayed here before")
    assert f"{record}: points is 99.0" in captured.out
    assert "lane-4/history.parquet: segment 0 (moves 0 to 249), replayed, differs at move 7" in captured.out


def test_a_second_verify_scores_nothing_anew_and_compares_what_is_stored(copied, capsys, monkeypatch):
    row = copied / "darkroom-v1" / "quick" / "random"
    command = ["verify", str(row), "--processes", "1"]
    assert cli.main(command) == 0
    scored = []
    score = scores._BudgetScorer.score
    monkeypatch.setattr(scores._BudgetScorer, "score", lambda *given: scored.append(1) or score(*given))
    assert cli.main(command) == 0
    assert not scored
    assert cli.main([*command, "--again"]) == 0
    assert len(scored) == 1
    path = row / scores.SCORES
    path.write_text(path.read_text().replace('"answer": "no"', '"answer": "yes"', 1))
    capsys.readouterr()
    assert cli.main(command) == 1
    assert "answer is 'yes', the runs give 'no'" in capsys.readouterr().out


def test_a_row_verified_before_still_needs_all_of_its_runs(copied, capsys):
    row = copied / "darkroom-v1" / "quick" / "random"
    assert cli.main(["verify", str(row), "--processes", "1"]) == 0
    shutil.rmtree(copied / RUN)
    capsys.readouterr()
    assert cli.main(["verify", str(row)]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("15 runs replayed here before")
    assert "lane-3 of 16 runs is missing" in captured.out


def test_tasks_that_an_imitator_has_not_played_are_named(copied):
    path = copied / "darkroom-v1" / "quick" / "random" / records.ROW
    assert [found.not_played for found in verification.verify(copied, processes=1)] == [(), ()]
    files.write_json(path, {**files.read_json(path), "control": False, "name": "mine"})
    path.parent.rename(path.parent.with_name("mine"))
    found = {each.row.name: each.not_played for each in verification.verify(copied, processes=1)}
    assert found == {"frozen-teacher": (), "mine": ("improvement", "transfer")}


def test_a_partial_row_fails_and_says_what_is_missing(copied, capsys):
    """Its runs may have been left out on purpose, or the scoring was interrupted."""
    place = "darkroom-v1/quick/bc"
    row = rows.copy(stored_rows.RESULTS / place, copied / place)
    (row / "scores.json").unlink()  # of other references
    assert cli.main(["verify", str(row), "--processes", "1"]) == 0
    for role in ("transfer", "start-new"):
        shutil.rmtree(row / role)
    capsys.readouterr()
    assert cli.main(["verify", str(row), "--processes", "1"]) == 1
    captured = capsys.readouterr()
    assert "not played: transfer" in captured.out
    assert "bc: a partial row, transfer not played; play the rest: understudy score" in captured.err


def test_runs_without_their_row_are_named(copied):
    """Otherwise a row could be removed after its result is known."""
    path = copied / "darkroom-v1" / "quick" / "frozen-teacher" / records.ROW
    path.unlink()
    assert any(f"{path}: missing, so the runs here are not scored" in text for text in failures(copied))


def test_a_row_that_calls_itself_no_control_is_named(copied):
    path = copied / "darkroom-v1" / "quick" / "random" / records.ROW
    files.write_json(path, {**files.read_json(path), "control": False})
    named = "control is False, but 'random' is the name of a control"
    assert any(named in text for text in failures(copied))
    files.write_json(path, {**files.read_json(path), "name": "mine"})
    path.parent.rename(path.parent.with_name("mine"))
    assert any("control is False, its checkpoints say otherwise" in text for text in failures(copied))


@pytest.mark.parametrize(
    "name", ["row.json", "scores.json", "start/control/job.json", "start/control/lane-0/record.json"]
)
def test_a_pipe_in_place_of_a_file_is_named_and_not_waited_for(copied, name):
    path = copied / "darkroom-v1/quick/random" / name
    path.unlink()
    os.mkfifo(path)
    assert any(f"{path}: expected a regular file" in text for text in failures(copied))


def test_changed_job_is_named(copied):
    path = (copied / RUN).parent / records.JOB
    job = files.read_json(path)
    files.write_json(path, {**job, "exploration": 0.0})
    assert any("job.exploration is 0.1, job.json says 0.0" in text for text in failures(copied))
    files.write_json(path, {"lanes": 16})
    assert any(f"{path}: expected the key 'format', found none" in text for text in failures(copied))


def test_changed_verdict_is_named(copied):
    path = copied / "darkroom-v1" / "quick" / "random" / scores.SCORES
    stored = json.loads(path.read_text())
    stored["verdicts"][0]["answer"] = "yes"
    path.write_text(json.dumps(stored))
    assert any("verdicts[0].answer is 'yes', the runs give 'no'" in text for text in failures(copied))


@pytest.mark.parametrize("is_scored", [True, False])
def test_a_leak_test_that_cannot_be_read_is_named(copied, is_scored):
    row = copied / "darkroom-v1" / "quick" / "random"
    files.write_json(row / records.LEAKS, {"format": 1})
    if not is_scored:
        (row / scores.SCORES).unlink()
    (named,) = failures(row)
    assert named.startswith(f"{row / records.LEAKS}: expected the key ")


def test_an_edited_table_is_named(copied):
    board.rescore(copied)
    written = [copied / name for name in board.STORED]
    assert failures(copied) == []
    for path in written:
        kept = path.read_text()
        path.write_text(kept.replace("no", "yes", 1))
        (text,) = failures(copied)
        assert text.startswith(f"{path}: not the table of these rows")
        path.write_text(kept)


def test_flipped_byte_is_named(copied):
    path = copied / RUN / file_names.HISTORY
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert any(str(path) in text and "altered" in text for text in failures(copied))


# Forged logs


def forge(folder, change):
    """Change a log and its record consistently; only the emulator and the seeds can show it."""
    history = history_format.read(folder / file_names.HISTORY)
    forged = change(history)
    history_format.write(folder / file_names.HISTORY, forged)
    record = files.read_json(folder / records.RECORD)
    record |= {"history_sha256": forged.content_sha256, **records.measured(forged)}
    files.write_json(folder / records.RECORD, {**record, "record_sha256": records.checksum(record)})


def test_forged_action_fails_the_replay(copied):
    def other_move(history):
        action = history.action.copy()
        move = int(np.flatnonzero(~history.explored)[10])
        action[move] = (action[move] + 1) % 5
        return replace(history, action=action)

    forge(copied / RUN, other_move)
    assert any("segment 0" in text and "lane-3" in text for text in failures(copied))


def richer(history):
    reward = history.reward.copy()
    reward[7] += 1
    return replace(history, reward=reward)


def test_forged_reward_fails_the_replay(copied):
    forge(copied / RUN, richer)
    assert any("move 7" in text and "lane-3" in text for text in failures(copied))


def test_forged_exploration_is_named(copied):
    def hidden(history):
        explored = history.explored.copy()
        explored[int(np.flatnonzero(explored)[0])] = False
        return replace(history, explored=explored)

    forge(copied / RUN, hidden)
    assert any("explored" in text and "run's seed" in text for text in failures(copied))


@pytest.mark.parametrize(("factor", "named"), [(1 + 1e-13, False), (1 + 1e-6, True)])
def test_last_bits_of_a_verdicts_numbers_are_no_difference(copied, factor, named):
    """Another version of scipy gives a quantile, and so an interval, other last bits."""
    scores.rescore(copied)
    path = copied / "darkroom-v1" / "quick" / "frozen-teacher" / scores.SCORES
    stored = files.read_json(path)
    stored["verdicts"][0]["numbers"]["imitator"]["high"] *= factor
    files.write_json(path, stored)
    assert any("numbers.imitator.high" in text for text in failures(copied)) == named
