"""The controls check: which answers are as expected, what happens where one is not, and what is stored."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from support import ROOT

from understudy.cli import main
from understudy.leaderboard import (
    cells,
    controls_check,
    controls_page,
    pages,
    scores,
    stored_rows,
    tables,
    verification,
)
from understudy.leaderboard.controls_check import Expectation
from understudy.submissions import scoring
from understudy.suite import benchmarks
from understudy.suite.errors import InputError
from understudy.suite.io import files
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.verdicts import Verdict

PAGE = ROOT / "docs" / "controls.md"
SMALL = (
    Expectation("random", "skill", "no"),
    Expectation("random", "improvement", "no"),
    Expectation("frozen-teacher", "skill", "yes"),
    Expectation("frozen-teacher", "transfer", "no"),
)

UNDECIDED = {  # known answers that the stored runs are too few for, by benchmark and budget
    ("darkroom-v1", "quick"): {
        ("dqn-continued", "skill"),
        ("dqn-continued", "improvement"),
        ("frozen-teacher", "improvement"),
    },
    ("minatar-v1", "tenth"): {("dqn-continued", "skill"), ("frozen-teacher", "improvement")},
}


def verdict(answer, reason=None, normalised=None):
    numbers = {"normalised gain": normalised} if normalised else {}
    return Verdict("improvement", "method", answer, reason, numbers=numbers)


@pytest.mark.parametrize(
    ("expected", "found", "quick", "full"),
    [
        ("yes", verdict("yes"), "as expected", "as expected"),
        ("yes", verdict("yes (unverified)", "not measured: reward"), "missed", "missed"),
        ("yes", verdict("undecided", "no room"), "undecided", "missed"),
        ("yes", verdict("partial"), "missed", "missed"),
        ("no", verdict("no"), "as expected", "as expected"),
        ("no", verdict("undecided"), "undecided", "missed"),
        ("no", verdict(None, "not played"), "missed", "missed"),
        ("not yes", verdict("undecided", "gain does not depend on reward"), "as expected", "as expected"),
        ("not yes", verdict("no"), "as expected", "as expected"),
        ("not yes", verdict("yes (unverified)", "not measured: reward"), "missed", "missed"),
        ("measured", verdict("no"), None, None),
    ],
)
def test_which_answers_are_as_expected(expected, found, quick, full):
    expectation = Expectation("player", "improvement", expected)
    assert controls_check._outcome(expectation, found, "quick") == quick
    assert controls_check._outcome(expectation, replace(found, n=8), "tenth") == quick
    assert controls_check._outcome(expectation, replace(found, n=32), "tenth") == full
    assert controls_check._outcome(expectation, replace(found, n=8), "full") == full


@pytest.mark.parametrize(
    ("normalised", "quick", "full"),
    [
        (Interval(0.2, 0.1, 0.3, 0.95), "as expected", "as expected"),
        (Interval(0.4, 0.3, 0.5, 0.95), "missed", "missed"),
        (Interval(0.4, None, None, 0.95), "undecided", "missed"),
        (None, "undecided", "missed"),
    ],
)
def test_an_injected_share_must_be_covered(normalised, quick, full):
    expectation = Expectation("injected-0.25", "improvement", controls_check.COVERS, share=0.25)
    assert expectation.text == "normalised gain covers 0.25"
    found = verdict("partial", normalised=normalised)
    assert controls_check._outcome(expectation, found, "quick") == quick
    assert controls_check._outcome(expectation, replace(found, n=8), "tenth") == quick
    assert controls_check._outcome(expectation, replace(found, n=32), "tenth") == full
    assert controls_check._outcome(expectation, replace(found, n=8), "full") == full


def test_every_family_has_positive_and_negative_controls_for_all_three_questions():
    every = ("skill", "improvement", "transfer")
    for name in benchmarks.names():
        expected = controls_check.expected_of(benchmarks.load(name).family, every)
        for task in every:
            answers = {each.answer for each in expected if each.task == task}
            assert {"yes", "no"} <= answers
    assert "in-state-learner" in controls_check.players_of("darkroom", ["transfer"])
    assert controls_check.players_of("darkroom", ["skill"]) == [
        "dqn-continued",
        "transformer",
        "random",
        "frozen-teacher",
    ]


@pytest.mark.parametrize(
    ("name", "budget", "lanes"),
    [("darkroom-v1", "quick", 16), ("darkroom-v1", "full", 65), ("minatar-v1", "full", 8)],
)
def test_above_quick_each_watched_game_has_a_run(name, budget, lanes, tmp_path, monkeypatch):
    asked = []

    def play(rows, *others):
        asked.extend(row.request for row in rows)
        raise InputError("enough")

    monkeypatch.setattr(scoring, "score", play)
    command = ["controls", "--benchmark", name, "--budget", budget, "--out", str(tmp_path)]
    assert main(command) == 2
    assert {request.lanes for request in asked} == {lanes}
    asked.clear()
    assert main([*command, "--num-envs", "4"]) == 2
    assert {request.lanes for request in asked} == {4}


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """A real check of two players on darkroom, by the command."""
    out = tmp_path_factory.mktemp("controls")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controls_check, "EXPECTATIONS", SMALL)
        assert main(["controls", "--benchmark", "darkroom-v1", "--out", str(out), "--engine", "serial"]) == 0
    return out


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(controls_check, "EXPECTATIONS", SMALL)


@pytest.fixture
def scored_rows(monkeypatch):
    """The names of the rows that were scored, one each time."""
    names, score = [], scores._BudgetScorer.score

    def noted(self, folder):
        names.append(folder.name)
        return score(self, folder)

    monkeypatch.setattr(scores._BudgetScorer, "score", noted)
    return names


def test_a_check_is_a_function_of_the_stored_runs(checked, small, scored_rows):
    kept = files.read_json(checked / "darkroom-v1" / "quick" / controls_check.CONTROLS)
    assert kept["text"] == "controls: 4 of 4 as expected"
    found = controls_check.check(checked, "darkroom-v1", "quick")
    assert [one.found for one in found.results][:3] == ["no", "(no)", "yes"]
    assert found.results[1].n == 16
    assert 0 < found.results[1].detection_limit < 1
    scored_rows.clear()
    verification.require(verification.verify(checked, processes=1))
    assert sorted(scored_rows) == ["frozen-teacher", "random"]  # each once, for its scores, controls, tables


def test_a_table_says_how_many_controls_are_as_expected(checked, small):
    frame = cells.frame(scores.score_all(checked))
    assert set(frame["controls"]) == {"controls: 4 of 4 as expected"}
    title = "darkroom-v1, budget quick: controls (controls: 4 of 4 as expected)"
    assert tables.title(frame, cells.CONTROL) == title


def test_a_check_of_another_benchmark_file_counts_for_nothing(checked, small, tmp_path, monkeypatch):
    path = checked / "darkroom-v1" / "quick" / controls_check.CONTROLS
    kept = path.read_bytes()
    monkeypatch.setattr(stored_rows, "RESULTS", tmp_path)
    try:
        files.write_json(path, {**files.read_json(path), "benchmark_identity": "0" * 64})
        assert controls_check.status(checked, "darkroom-v1", "quick") is None
        files.write_json(path, {**json.loads(kept), "understudy": "0.0.1"})
        assert controls_check.status(checked, "darkroom-v1", "quick").endswith("4 of 4 as expected (0.0.1)")
        files.write_json(path, {**json.loads(kept), "benchmark_identity": "0" * 64})
        (finding, *_) = [one for one in verification.verify(checked, processes=1) if one.failures]
        assert "benchmark_identity" in finding.failures[0]
    finally:
        path.write_bytes(kept)
    assert controls_check.status(checked, "minatar-v1", "quick") is None


def test_a_missed_answer_is_an_error_and_is_named_in_the_text(checked, monkeypatch, capsys):
    path = checked / "darkroom-v1" / "quick" / controls_check.CONTROLS
    kept = path.read_bytes()
    monkeypatch.setattr(controls_check, "EXPECTATIONS", (*SMALL[1:], replace(SMALL[0], answer="yes")))
    try:
        assert main(["controls", "--benchmark", "darkroom-v1", "--out", str(checked)]) == 1
        text = "controls: 3 of 4 as expected, NOT AS EXPECTED: random skill"
        assert text in capsys.readouterr().err
        assert files.read_json(path)["text"] == text
    finally:
        path.write_bytes(kept)


def test_a_player_that_is_only_measured_may_be_left_out(checked, monkeypatch):
    path = checked / "darkroom-v1" / "quick" / controls_check.CONTROLS
    kept = path.read_bytes()
    measured = Expectation("dqn-warm-start", "transfer", controls_check.MEASURED)
    monkeypatch.setattr(controls_check, "EXPECTATIONS", (*SMALL, measured))
    assert "dqn-warm-start" in controls_check.players_of("darkroom", ["transfer"])
    command = ["controls", "--benchmark", "darkroom-v1", "--out", str(checked), "--known-only"]
    assert main(command) == 0
    assert path.read_bytes() == kept


def test_other_lanes_than_the_budgets_are_in_the_text(small, tmp_path, capsys):
    command = ["controls", "--benchmark", "darkroom-v1", "--out", str(tmp_path), "--num-envs", "4"]
    main([*command, "--engine", "serial"])
    found = controls_check.check(tmp_path, "darkroom-v1", "quick")
    assert found.other_lanes == (4,)
    assert {result.n for result in found.results} == {4}
    assert found.text.startswith("controls at 4 lanes: ")


def test_the_conditions_of_a_yes_are_due_for_the_tasks_that_got_one():
    names = ["sandbagger", "random"]  # sandbagger: yes in Q3, undecided in Q2
    due = controls_check.claiming_yes(stored_rows.RESULTS, "darkroom-v1", "quick", names)
    assert due == {"transfer": ["sandbagger"]}
    assert controls_check.owing_flipped(stored_rows.RESULTS, "darkroom-v1", "quick", ["sandbagger"]) == {}


def test_players_that_were_not_played(tmp_path):
    with pytest.raises(InputError, match=re.escape("has not been played; run understudy controls")):
        controls_check.check(tmp_path, "darkroom-v1", "quick")


def test_the_page_holds_what_the_stored_checks_found():
    text = PAGE.read_text()
    assert pages.filled(text, controls_page.page_tables(), PAGE.name) == text, (
        "run: python -m understudy.leaderboard.controls_page docs/controls.md"
    )


def assert_near(found, expected):
    """Assert that two JSON values are equal but for the last digits, which numpy's versions change."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_near(found[key], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, value in zip(found, expected, strict=True):
            assert_near(one, value)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
    else:
        assert found == expected


@pytest.mark.parametrize("path", sorted(stored_rows.RESULTS.glob(f"*/*/{controls_check.CONTROLS}")), ids=str)
def test_the_stored_checks_follow_from_the_stored_runs_and_hold(path, monkeypatch):
    monkeypatch.delenv("UNDERSTUDY_DATA", raising=False)
    found = controls_check.check(stored_rows.RESULTS, path.parts[-3], path.parts[-2])
    assert_near(files.read_json(path), json.loads(json.dumps(found.as_json())))
    assert not found.missed
    expected = [one for one in found.results if one.outcome is not None]
    undecided = {(one.player, one.task) for one in expected if one.outcome != controls_check.AS_EXPECTED}
    assert len(expected) >= 20
    assert undecided == UNDECIDED[path.parts[-3], path.parts[-2]]


@pytest.mark.skipif(
    not (stored_rows.RESULTS / "minatar-v1" / "tenth" / "controls.json").exists(),
    reason="MinAtar's controls are not played yet under round 1",
)
@pytest.mark.parametrize(("player", "task"), [("dqn-continued", "improvement"), ("dqn-scratch", "transfer")])
def test_a_learner_that_survives_by_yoked_rewards_gets_its_yes(player, task, monkeypatch):
    """MinAtar's DQNs keep much of their gain with yoked rewards, and none of it with flipped ones."""
    monkeypatch.delenv("UNDERSTUDY_DATA", raising=False)
    path = stored_rows.RESULTS / "minatar-v1" / "tenth" / player
    scored = scores.score_row(stored_rows.RESULTS, stored_rows.RowFolder(path, "minatar-v1", "tenth", player))
    (found,) = [verdict for verdict in scored.verdicts if verdict.task == task]
    assert found.label.replace("(yes)", "yes") == "yes: survival, built-in"  # in brackets: skill undecided
    assert not found.numbers["gain - 0.5 x teacher's gain, yoked"].above(0)
    assert found.numbers["gain - 0.5 x teacher's gain, flipped"].above(0)
    gains_under = scored.gains_under[task]
    assert gains_under["yoked"].above(0)
    assert gains_under["flipped"].below(0)


@pytest.mark.long
def test_darkrooms_controls_are_as_expected_when_played_anew(tmp_path):
    assert main(["controls", "--benchmark", "darkroom-v1", "--out", str(tmp_path)]) == 0
    verification.require(verification.verify(tmp_path))
