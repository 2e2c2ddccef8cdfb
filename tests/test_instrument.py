"""The instrument check: what counts as a known answer found, what a miss costs, and what is kept of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from understudy.cli import main
from understudy.leaderboard import instrument, instrument_page, pages, rows, scores, stored, tables, verify
from understudy.leaderboard.instrument import Expectation
from understudy.submissions import scoring
from understudy.suite import benchmarks, files
from understudy.suite.errors import InputError
from understudy.suite.stats import Interval
from understudy.suite.verdicts import Verdict

PAGE = Path(__file__).parent.parent / "docs" / "instrument.md"
SMALL = (
    Expectation("random", "skill", "no"),
    Expectation("random", "improvement", "no"),
    Expectation("policy-at-w", "skill", "yes"),
    Expectation("policy-at-w", "transfer", "no"),
)


def verdict(answer, reason=None, f=None):
    return Verdict("improvement", "method", answer, reason, numbers={"f": f} if f else {})


@pytest.mark.parametrize(
    ("expected", "found", "quick", "full"),
    [
        ("yes", verdict("yes"), "found", "found"),
        ("yes", verdict("yes (unverified)", "not measured: reward"), "missed", "missed"),
        ("yes", verdict("undecided", "no room"), "undecided", "missed"),
        ("yes", verdict("partial"), "missed", "missed"),
        ("no", verdict("no"), "found", "found"),
        ("no", verdict("undecided"), "undecided", "missed"),
        ("no", verdict(None, "not played"), "missed", "missed"),
        ("not yes", verdict("undecided", "gain does not depend on reward"), "found", "found"),
        ("not yes", verdict("no"), "found", "found"),
        ("not yes", verdict("yes (unverified)", "not measured: reward"), "missed", "missed"),
        ("measured", verdict("no"), None, None),
    ],
)
def test_what_counts_as_found(expected, found, quick, full):
    expectation = Expectation("player", "improvement", expected)
    assert instrument._outcome(expectation, found, "quick") == quick
    assert instrument._outcome(expectation, found, "full") == full


@pytest.mark.parametrize(
    ("f", "quick", "full"),
    [
        (Interval(0.2, 0.1, 0.3, 0.95), "found", "found"),
        (Interval(0.4, 0.3, 0.5, 0.95), "missed", "missed"),
        (Interval(0.4, None, None, 0.95), "undecided", "missed"),
        (None, "undecided", "missed"),
    ],
)
def test_an_injected_share_must_be_covered(f, quick, full):
    expectation = Expectation("injected-0.25", "improvement", instrument.COVERS, share=0.25)
    assert expectation.text == "f covers 0.25"
    found = verdict("partial", f=f)
    assert instrument._outcome(expectation, found, "quick") == quick
    assert instrument._outcome(expectation, found, "full") == full


def test_every_family_has_known_answers_to_all_three_questions_on_either_side():
    every = ("skill", "improvement", "transfer")
    for name in benchmarks.names():
        expected = instrument.expected_of(benchmarks.load(name).family, every)
        for task in every:
            answers = {each.answer for each in expected if each.task == task}
            assert {"yes", "no"} <= answers
    assert "in-state-learner" in instrument.players_of("darkroom", ["transfer"])
    assert instrument.players_of("darkroom", ["skill"]) == [
        "dqn-carrying-on",
        "transformer",
        "random",
        "policy-at-w",
    ]


@pytest.mark.parametrize(
    ("name", "budget", "lanes"),
    [("darkroom-v1", "quick", 16), ("darkroom-v1", "full", 65), ("minatar-v1", "full", 8)],
)
def test_where_undecided_is_a_miss_each_watched_game_has_a_life(name, budget, lanes, tmp_path, monkeypatch):
    asked = []

    def play(requests, *others):
        asked.extend(requests)
        raise InputError("enough")

    monkeypatch.setattr(scoring, "score", play)
    command = ["instrument", "--benchmark", name, "--budget", budget, "--out", str(tmp_path)]
    assert main(command) == 2
    assert {request.lanes for request in asked} == {lanes}
    asked.clear()
    assert main([*command, "--lanes", "4"]) == 2
    assert {request.lanes for request in asked} == {4}


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """A real check of two players on darkroom, by the command."""
    out = tmp_path_factory.mktemp("instrument")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instrument, "EXPECTATIONS", SMALL)
        assert (
            main(["instrument", "--benchmark", "darkroom-v1", "--out", str(out), "--engine", "serial"]) == 0
        )
    return out


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(instrument, "EXPECTATIONS", SMALL)


def test_a_check_is_a_function_of_the_stored_lives(checked, small):
    kept = files.read_json(checked / "darkroom-v1" / "quick" / instrument.INSTRUMENT)
    assert kept["text"] == "instrument checked, 4 of 4 known answers"
    found = instrument.check(checked, "darkroom-v1", "quick")
    assert [one.found for one in found.findings][:3] == ["no", "(no)", "yes"]
    assert found.findings[1].n == 16
    assert 0 < found.findings[1].detection_limit < 1
    verify.require(verify.verify(checked, processes=1))


def test_a_table_says_that_its_instrument_was_checked(checked, small):
    (table,) = rows.tables_of(scores.judge_all(checked))
    assert "darkroom-v1, budget quick: instrument checked, 4 of 4 known answers" in tables.to_markdown(
        [table]
    )


def test_a_check_of_another_benchmark_file_counts_for_nothing(checked, small, tmp_path, monkeypatch):
    path = checked / "darkroom-v1" / "quick" / instrument.INSTRUMENT
    kept = path.read_bytes()
    monkeypatch.setattr(stored, "RESULTS", tmp_path)
    try:
        files.write_json(path, {**files.read_json(path), "benchmark_sha256": "0" * 64})
        assert instrument.status(checked, "darkroom-v1", "quick") is None
        files.write_json(path, {**json.loads(kept), "understudy": "0.0.1"})
        assert instrument.status(checked, "darkroom-v1", "quick").endswith("4 of 4 known answers (0.0.1)")
        files.write_json(path, {**json.loads(kept), "benchmark_sha256": "0" * 64})
        (finding, *_) = [one for one in verify.verify(checked, processes=1) if one.failures]
        assert "benchmark_sha256" in finding.failures[0]
    finally:
        path.write_bytes(kept)
    assert instrument.status(checked, "minatar-v1", "quick") is None


def test_a_missed_answer_is_an_error_and_stands_in_the_title(checked, monkeypatch, capsys):
    path = checked / "darkroom-v1" / "quick" / instrument.INSTRUMENT
    kept = path.read_bytes()
    monkeypatch.setattr(instrument, "EXPECTATIONS", (*SMALL[1:], replace(SMALL[0], answer="yes")))
    try:
        assert main(["instrument", "--benchmark", "darkroom-v1", "--out", str(checked)]) == 1
        assert "INSTRUMENT FAILS, 3 of 4 known answers, missed: random skill" in capsys.readouterr().err
        assert "FAILS" in files.read_json(path)["text"]
    finally:
        path.write_bytes(kept)


def test_a_player_that_is_only_measured_may_be_left_out(checked, monkeypatch):
    path = checked / "darkroom-v1" / "quick" / instrument.INSTRUMENT
    kept = path.read_bytes()
    measured = Expectation("dqn-transplanted", "transfer", instrument.MEASURED)
    monkeypatch.setattr(instrument, "EXPECTATIONS", (*SMALL, measured))
    assert "dqn-transplanted" in instrument.players_of("darkroom", ["transfer"])
    command = ["instrument", "--benchmark", "darkroom-v1", "--out", str(checked), "--known-only"]
    assert main(command) == 0
    assert path.read_bytes() == kept


def test_a_check_says_that_it_was_made_with_other_lanes(small, tmp_path, capsys):
    command = ["instrument", "--benchmark", "darkroom-v1", "--out", str(tmp_path), "--lanes", "4"]
    main([*command, "--engine", "serial"])
    found = instrument.check(tmp_path, "darkroom-v1", "quick")
    assert found.other_lanes == (4,)
    assert {finding.n for finding in found.findings} == {4}
    assert " at 4 lanes, " in found.text


def test_what_a_yes_needs_is_owed_for_the_questions_that_it_answers():
    names = ["sandbagger", "random"]  # sandbagger: yes to Q3, undecided in Q2
    owed = instrument.claiming_yes(stored.RESULTS, "darkroom-v1", "quick", names)
    assert owed == {"transfer": ["sandbagger"]}
    assert instrument.owing_flipped(stored.RESULTS, "darkroom-v1", "quick", ["sandbagger"]) == {}


def test_players_that_were_not_played(tmp_path):
    with pytest.raises(InputError, match=re.escape("has not been played; run understudy instrument")):
        instrument.check(tmp_path, "darkroom-v1", "quick")


def test_the_page_holds_what_the_stored_checks_found():
    text = PAGE.read_text()
    assert pages.filled(text, instrument_page.page_tables(), PAGE.name) == text, (
        "run: python -m understudy.leaderboard.instrument_page docs/instrument.md"
    )


@pytest.mark.parametrize("path", sorted(stored.RESULTS.glob(f"*/*/{instrument.INSTRUMENT}")), ids=str)
def test_the_stored_checks_follow_from_the_stored_lives_and_hold(path, monkeypatch):
    monkeypatch.delenv("UNDERSTUDY_DATA", raising=False)
    found = instrument.check(stored.RESULTS, path.parts[-3], path.parts[-2])
    assert files.read_json(path) == json.loads(json.dumps(found.as_json()))
    assert not found.missed
    outcomes = [one.outcome for one in found.findings if one.outcome is not None]
    assert len(outcomes) >= 20
    assert outcomes.count(instrument.FOUND) >= 19


@pytest.mark.parametrize(("player", "task"), [("dqn-carrying-on", "improvement"), ("dqn-fresh", "transfer")])
def test_a_learner_that_lives_on_by_anothers_rewards_gets_its_yes(player, task, monkeypatch):
    """MinAtar's DQNs keep much of their gain with yoked rewards, and none of it with flipped ones."""
    monkeypatch.delenv("UNDERSTUDY_DATA", raising=False)
    path = stored.RESULTS / "minatar-v1" / "tenth" / player
    judged = scores.judge_row(stored.RESULTS, stored.RowFolder(path, "minatar-v1", "tenth", player))
    (found,) = [verdict for verdict in judged.verdicts if verdict.task == task]
    assert found.label == "yes: survival, built-in"
    assert not found.numbers["own - 0.5 G, yoked"].above(0)
    assert found.numbers["own - 0.5 G, flipped"].above(0)
    probed = judged.probed[task]
    assert probed["yoked"].above(0)
    assert probed["flipped"].below(0)


@pytest.mark.long
def test_darkrooms_players_get_their_known_answers_when_played_anew(tmp_path):
    assert main(["instrument", "--benchmark", "darkroom-v1", "--out", str(tmp_path)]) == 0
    verify.require(verify.verify(tmp_path))
