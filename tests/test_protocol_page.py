"""The protocol's page: every number in its tables is the code's and the benchmark files'."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path

import pytest

from understudy.leaderboard import instrument, leaks
from understudy.suite import benchmarks, tasks, verdicts
from understudy.suite.benchmarks import Benchmark
from understudy.suite.judging import conditions, horizon, lives

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "protocol.md").read_text()
BENCHMARKS = [benchmarks.load(name) for name in ("darkroom-v1", "minatar-v1", "atari-v1")]
QUESTIONS = {"Q1": "skill", "Q2": "improvement", "Q3": "transfer"}


def tables() -> list[list[list[str]]]:
    """Return the page's tables: lists of lines of cells, headings first, without the ruled line."""
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


def test_the_stakes_of_the_primary_cell_follow_from_its_published_ruler():
    benchmark = benchmarks.load("atari-v1")
    lines = table("cell", "ruler's start")
    assert [line[0][:2] for line in lines] == ["Q2", "Q3"]
    for line in lines:
        rules = benchmark.rules("full", QUESTIONS[line[0][:2]])
        ruler = rules.published
        assert ruler is not None
        gain = ruler.end_mean - ruler.start_mean
        yes, no = (ruler.start_mean + share * gain for share in (0.5, 0.1))
        shown = [float(text) for cell in line[1:] for text in re.findall(r"[\d.]+\d", cell)]
        assert shown == pytest.approx([ruler.start_mean, gain, yes, no, 0.1 * gain])
        assert f"about {round(0.5 * gain)} points of gain" in TEXT
        assert ruler.game.partition("/")[2].replace("_", " ").title() in line[0]


def test_the_questions_are_the_tasks():
    shown = {name.partition("`")[0]: cells[0] for name, cells in named(table("task", "question")).items()}
    assert shown == {name: tasks.load(name).question for name in tasks.names()}


def test_the_known_answers_are_those_that_the_check_expects():
    shown = {
        (player.strip("`"), task, answer, () if where == "all" else tuple(where.split(", ")))
        for player, where, *answers in table("player", "benchmarks")
        for task, answer in zip(QUESTIONS.values(), answers, strict=True)
        if answer
    }
    assert shown == {(each.player, each.task, each.text, each.families) for each in instrument.EXPECTATIONS}


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
    assert f"more than {conditions.KEPT_SHARE} of own" in shown["learned_rule"][1]


def test_reasons_are_spelt_as_verdicts_spell_them():
    shown = {text for line in table("reason", "why") for text in re.findall(r"`([^`]+)`", line[0])}
    method_units = BENCHMARKS[0].minima.method_units
    assert shown == {
        verdicts.TEACHER_INCOMPLETE.replace("{found:,}", "n").replace("{expected:,}", "W"),
        verdicts.LIFE_INCOMPLETE.replace("{found:,}", "n").replace("{expected:,}", "N"),
        verdicts.FEW_UNITS.format(minimum=method_units),
        verdicts.NOT_PLAYED,
        verdicts.NO_RULER,
        verdicts.FEW_ENDS,
        verdicts.NO_ROOM,
        verdicts.NO_LIKENESS,
        verdicts.NO_CEILING,
        verdicts.REWARD_FREE,
        verdicts.NOT_ISOLATED,
    }


def test_the_answers_in_the_text_have_the_files_numbers():
    thresholds, minima = BENCHMARKS[0].thresholds, BENCHMARKS[0].minima
    for said in (
        f"own - {thresholds.yes_share:g} G and level - {thresholds.yes_share:g} G are above 0;",
        f"own - {thresholds.no_share:g} G or level - {thresholds.no_share:g} G is below 0, "
        f"in an interval of {thresholds.no_confidence:.1%}",
        f"above {thresholds.skill_low:g} D and below {thresholds.skill_high:g} D",
        f"max(episode ends in it, {minima.ends})",
        f"in {minima.likeness_pieces} pieces",
        f"S in {lives.NUM_BLOCKS} equal windows",
        f"k = 0 ... {horizon.NUM_STEPS - 1}, skill over [h/2, h)",
        f"fewer than {minima.ruler_lives} ruler lives",
        f"fewer than {minima.window_caps} caps and some ruler life has fewer than {minima.window_ends} ends",
        f"above {leaks.SUSPECTED_NATS:g} nats a row reads `LEAK SUSPECTED`",
    ):
        assert said in TEXT.replace("97.5 %", "97.5%")
