"""The protocol's page: every number in its tables is the code's and the benchmark files'."""

from __future__ import annotations

import dataclasses
import importlib
import re

import pytest
from support import ROOT

from understudy.leaderboard import controls_check, leak_notes
from understudy.suite import benchmarks, tasks
from understudy.suite.benchmarks import Benchmark
from understudy.suite.scoring import conditions, horizon, scored_runs, verdicts

TEXT = (ROOT / "docs" / "protocol.md").read_text()
BENCHMARKS = [benchmarks.load(name) for name in ("darkroom-v1", "minatar-v1", "atari-v1")]
QUESTIONS = {"Q1": "skill", "Q2": "improvement", "Q3": "transfer"}


def tables() -> list[list[list[str]]]:
    """Return the page's tables: lists of lines of cells, headings first, without the line under them."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", TEXT, re.MULTILINE):
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        assert len({len(line) for line in lines}) == 1, f"unequal lines in {lines[0]}"
        found.append([lines[0], *lines[2:]])
    return found


def table(*headings: str) -> list[list[str]]:
    """Return the lines of the one table with these first headings."""
    (found,) = [one for one in tables() if tuple(one[0][: len(headings)]) == headings]
    return found[1:]


def named(lines: list[list[str]]) -> dict[str, list[str]]:
    return {line[0].strip("`"): line[1:] for line in lines}


def number(text: str) -> float:
    return float(text.replace(",", ""))


@pytest.mark.parametrize("declared", BENCHMARKS, ids=lambda declared: declared.name)
@pytest.mark.parametrize(("heading", "part"), [("threshold", "thresholds"), ("minimum", "minima")])
def test_thresholds_and_minima_are_those_of_every_benchmark(declared: Benchmark, heading, part):
    shown = {name: number(cells[0]) for name, cells in named(table(heading, "value")).items()}
    assert shown == dataclasses.asdict(getattr(declared, part))


def test_budgets_and_settings_are_those_of_the_files():
    assert sorted(one.name for one in BENCHMARKS) == sorted(benchmarks.names())
    found = named(table("", *(f"`{one.name}`" for one in BENCHMARKS)))

    def listed(*values: float) -> str:
        return "; ".join(f"{value:,}" for value in values)

    expected: dict[str, list[str]] = {
        "W, watched moves": [f"{one.watched_moves:,}" for one in BENCHMARKS],
        "episode cap, moves": [f"{one.episode_cap_moves:,}" for one in BENCHMARKS],
        "exploration eps": [f"{one.exploration}" for one in BENCHMARKS],
    }
    for name in ("full", "tenth", "quick"):
        budgets = [one.budget(name) for one in BENCHMARKS]
        expected[f"{name}`: N, end window, start moves, lanes"] = [
            listed(one.moves, one.end_moves, one.start_moves, one.lanes) for one in budgets
        ]
        expected[f"{name}` asks"] = [
            ", ".join(question for question, task in QUESTIONS.items() if task in one.tasks)
            for one in budgets
        ]
    assert found == expected


def test_the_borders_of_the_primary_cell_follow_from_its_published_reference():
    benchmark = benchmarks.load("atari-v1")
    lines = table("cell", "reference's start")
    assert [line[0][:2] for line in lines] == ["Q2", "Q3"]
    for line in lines:
        rules = benchmark.rules("full", QUESTIONS[line[0][:2]])
        reference = rules.published
        assert reference is not None
        gain = reference.end_mean - reference.start_mean
        yes, no = (reference.start_mean + share * gain for share in (0.5, 0.1))
        shown = [float(text) for cell in line[1:] for text in re.findall(r"[\d.]+\d", cell)]
        assert shown == pytest.approx([reference.start_mean, gain, yes, no, 0.1 * gain])
        assert f"about {round(0.5 * gain)} points of gain" in TEXT
        assert reference.game.partition("/")[2].replace("_", " ").title() in line[0]


def test_the_questions_are_the_tasks():
    shown = {name.partition("`")[0]: cells[0] for name, cells in named(table("task", "question")).items()}
    assert shown == {name: tasks.load(name).question for name in tasks.names()}


def test_the_answers_of_controls_are_those_that_the_check_expects():
    shown = {
        (player.strip("`"), task, answer, () if where == "all" else tuple(where.split(", ")))
        for player, where, *answers in table("player", "benchmarks")
        for task, answer in zip(QUESTIONS.values(), answers, strict=True)
        if answer
    }
    assert shown == {
        (each.player, each.task, each.text, each.families) for each in controls_check.EXPECTATIONS
    }


def test_every_function_that_the_page_names_exists():
    found = re.findall(r"`((?:suite|leaderboard)/[\w/]+)\.py(?:: ([\w.]+))?`", TEXT)
    assert len(found) > 15
    for path, name in found:
        target = importlib.import_module("understudy." + path.replace("/", "."))
        for part in name.split(".") if name else ():
            target = getattr(target, part)


def test_conditions_are_those_of_the_code():
    shown = named(table("condition", "what is played"))
    assert list(shown) == [condition.__name__ for condition in conditions.CONDITIONS]
    assert shown["learned_rule"][0].startswith(f"{conditions.DRAWS} draws each")
    assert f"more than {conditions.KEPT_SHARE} of the gain" in shown["learned_rule"][1]


def test_every_reason_of_the_verdicts_is_listed_as_they_spell_it():
    shown = {text for line in table("reason", "why") for text in re.findall(r"`([^`]+)`", line[0])}
    constants = {value for name, value in vars(verdicts).items() if name.isupper() and isinstance(value, str)}
    marks = {verdicts.BUILT_IN, verdicts.PROVISIONAL, verdicts.OTHER_DATA, verdicts.SURVIVAL}
    reasons = constants - {*verdicts.ANSWERS} - marks
    assert shown == {
        *reasons - {text for text in reasons if "{" in text},
        verdicts.TEACHER_INCOMPLETE.replace("{found:,}", "n").replace("{expected:,}", "W"),
        verdicts.RUN_INCOMPLETE.replace("{found:,}", "n").replace("{expected:,}", "N"),
        verdicts.REFERENCE_INCOMPLETE.format(found="k", expected="K"),
        verdicts.FEW_UNITS.format(minimum=BENCHMARKS[0].minima.method_units),
    }
    assert len([text for text in reasons if "{" in text]) == 4, "a reason with a number: list it above"


def test_the_answers_in_the_text_have_the_files_numbers():
    thresholds, minima = BENCHMARKS[0].thresholds, BENCHMARKS[0].minima
    for said in (
        f"*yes*: at a share of {thresholds.yes_share:g} both contrasts are above 0;",
        f"*no*: at a share of {thresholds.no_share:g} one of them is below 0, in an interval of "
        f"{thresholds.no_confidence:.1%} each;",
        f"*partial*: at a share of {thresholds.no_share:g} both are above 0, and at {thresholds.yes_share:g} "
        "one of them is below 0;",
        f"above {thresholds.skill_low:g} D and below {thresholds.skill_high:g} D",
        f"max(episode ends in it, {minima.ends})",
        f"in {minima.agreement_pieces} pieces",
        f"skill in {scored_runs.NUM_BLOCKS} equal windows",
        f"k = 0 ... {horizon.NUM_WINDOWS - 1}, skill over [h/2, h)",
        f"fewer than {minima.reference_runs} reference runs",
        f"fewer than {minima.window_caps} caps and some reference run has fewer than "
        f"{minima.window_ends} ends",
        f"above {leak_notes.SUSPECTED_NATS:g} nats a row reads `leak suspected`",
    ):
        assert said in TEXT.replace("97.5 %", "97.5%")
