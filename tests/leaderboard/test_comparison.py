"""Comparisons of made-up rows: what is compared, and what each format shows of it."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from scipy import stats as scipy_stats
from support import rows

from understudy.leaderboard import comparison, comparison_tables, named_rows
from understudy.leaderboard.descriptions import Description
from understudy.leaderboard.figures import compared_rows, printing
from understudy.suite.errors import InputError
from understudy.suite.harness import records
from understudy.suite.io import files
from understudy.suite.scoring import verdicts
from understudy.suite.scoring.comparisons import Comparable
from understudy.suite.scoring.contrasts import CHECKPOINT, METHOD, Sample
from understudy.suite.scoring.curves import Curves, SkillCurve
from understudy.suite.scoring.horizon import Horizon
from understudy.suite.scoring.intervals import Interval, mean_interval
from understudy.suite.scoring.references import Reference
from understudy.suite.scoring.verdicts import Verdict

UNITS = tuple(f"goal-{i:02}" for i in range(8))
TEACHER = Reference(Sample(UNITS, (9.0, 11.0, 10.0, 10.5, 9.5, 10.0, 12.0, 8.0)), Sample(UNITS, (0.0,) * 8))
LUCK = np.random.default_rng(0).normal(0.0, 2.0, 8)
NOISE = np.random.default_rng(1).normal(0.0, 0.5, (4, 8))
SKILL = {"low": LUCK, "high": LUCK + 3.0 + NOISE[0], "near": LUCK + NOISE[1]}
GAIN = {"low": NOISE[2], "high": 5.0 + NOISE[3], "near": NOISE[1]}


def curves(values) -> Curves:
    """Return curves of two blocks around these values."""
    blocks = tuple(mean_interval(np.asarray(values) + rise) for rise in (0.0, 1.0))
    player = SkillCurve(8, blocks[0], blocks[1], blocks, (False, False))
    return Curves(METHOD, (0, 500, 1000), 100, player, player, 0.5, 6.0)


def scored(name, skill=None, gain=None, claim=METHOD, row=None, reason=None, **fields):
    """Return a made-up row with these values of its units, one a unit; None: not played."""
    found, comparable, described = [], {}, {}
    for task, key, values in (("skill", "imitator", skill), ("transfer", "normalised gain", gain)):
        if values is None:
            found.append(Verdict(task, claim, None, verdicts.NOT_PLAYED))
            continue
        reference = TEACHER if task == "transfer" else None
        comparable[task] = Comparable(claim, (Sample(UNITS[: len(values)], tuple(values)),), reference)
        shown = mean_interval(np.asarray(values) / (10.0 if reference else 1.0))
        found.append(Verdict(task, claim, "no", reason, numbers={key: shown}))
        if reference:
            described[task] = Description(Horizon(None, None, ()), curves(values), None)
    return rows.scored(
        Path("results"), name, found, row=row, comparable=comparable, described=described, **fields
    )


def made(*names, **changes):
    return [scored(name, SKILL[name], GAIN[name], **changes) for name in names]


def compared(scored_rows, chosen=("skill", "transfer")):
    return comparison.compare(scored_rows, chosen)


def question(found, task):
    return next(each for each in found.questions if each.task == task)


def test_pairs_have_scipys_intervals_at_the_adjusted_confidence():
    found = compared(made("low", "high", "near"))
    skill = question(found, "skill")
    assert [(each.one, each.other) for each in skill.pairs] == list(
        itertools.combinations(("low", "high", "near"), 2)
    )
    for each in skill.pairs:
        expected = scipy_stats.ttest_rel(SKILL[each.one], SKILL[each.other]).confidence_interval(1 - 0.05 / 3)
        assert (each.pair.points.low, each.pair.points.high) == pytest.approx((expected.low, expected.high))
    assert [each.pair.shown for each in skill.pairs] == ["below", None, "above"]


def test_two_rows_are_compared_at_95_percent_and_gains_in_shares_of_the_teachers():
    found = compared(made("low", "high"))
    (each,) = question(found, "transfer").pairs
    expected = scipy_stats.ttest_rel(GAIN["low"], GAIN["high"]).confidence_interval(0.95)
    assert (each.pair.points.low, each.pair.points.high) == pytest.approx((expected.low, expected.high))
    shown = comparison.shown_difference(each.pair, is_gain=True)
    assert shown.estimate == pytest.approx((GAIN["low"].mean() - GAIN["high"].mean()) / 10.0)
    assert found.num_pairs == 1


def test_a_question_that_a_row_did_not_play_is_not_compared_in():
    found = compared([*made("low"), scored("half", SKILL["high"])])
    (each,) = question(found, "transfer").pairs
    assert (each.pair, each.reason) == (None, "half: not played")
    assert question(found, "skill").pairs[0].pair is not None


def test_a_checkpoint_and_a_method_are_compared_as_independent_with_a_note():
    other = scored("one-model", SKILL["high"], GAIN["high"], claim=CHECKPOINT)
    found = compared([*made("low"), other], ["skill"])
    (each,) = question(found, "skill").pairs
    expected = scipy_stats.ttest_ind(SKILL["low"], SKILL["high"], equal_var=False).confidence_interval(0.95)
    assert each.pair.points.low == pytest.approx(expected.low)
    assert not each.pair.paired
    assert (
        "Q1 skill: the rows speak for different things (one-model for a checkpoint, low for a method)"
        in found.notes
    )


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"row": {"control": True}}, "high is a control, and never ranked"),
        ({"row": {"round": "dev"}}, "high is not ranked: self-reported"),
        ({"reason": verdicts.REWARD_FREE}, "high, Q1 skill: gain does not depend on reward"),
        ({"track": "learning"}, "of different tracks, which are ranked apart: low frozen, high learning"),
    ],
)
def test_what_must_be_known_of_a_row_is_a_note(changes, note):
    assert note in compared([*made("low"), *made("high", **changes)]).notes
    assert compared(made("low", "high")).notes == ()


def test_tasks_can_be_chosen():
    found = compared(made("low", "high"), ["transfer"])
    assert [each.task for each in found.questions] == ["transfer"]
    with pytest.raises(InputError, match=r"unknown task 'transfr'; did you mean 'transfer'\?"):
        compared(made("low", "high"), ["transfr"])


def test_rows_that_do_not_belong_together_are_refused():
    low, high = made("low", "high")
    for wrong in ([low], [low, high, low], [low, *made("high", budget="tenth")]):
        with pytest.raises(ValueError, match="distinct, of one benchmark and budget"):
            compared(wrong)


# Rows by name.


@pytest.fixture
def results(tmp_path):
    """Rows that nobody played, at two benchmarks."""
    darkroom = [f"darkroom-v1/quick/{name}" for name in ("one", "two", "random")]
    places = [*darkroom, *(f"minatar-v1/tenth/{name}" for name in ("two", "three", "random"))]
    for place in places:
        path = tmp_path / place / records.ROW
        path.parent.mkdir(parents=True)
        files.write_json(path, {})
    return tmp_path


def test_rows_are_found_where_they_are_together(results):
    found = named_rows.find(results, ["two", "three"])
    assert [(row.benchmark, row.budget, row.name) for row in found] == [
        ("minatar-v1", "tenth", "two"),
        ("minatar-v1", "tenth", "three"),
    ]


@pytest.mark.parametrize(
    ("names", "where", "message"),
    [
        (["one", "tow"], {}, r"unknown row 'tow'; did you mean 'two'\?"),
        (["one", "three"], {"benchmark": "darkroom-v1"}, "darkroom-v1 row 'three'; known: one, random, two"),
        (["one", "three"], {}, "cannot be compared: one is at darkroom-v1 quick; three is at minatar-v1 t"),
        (["one"], {}, "expected two rows or more to compare; found one"),
        (["one", "two", "one"], {}, "one is given twice; name every row once"),
        (["two", "random"], {}, "are at darkroom-v1 quick, minatar-v1 tenth; choose one with --benchmark"),
        (["one", "two"], {"budget": "full"}, "no rows of full; it has darkroom-v1 quick, minatar-v1 tenth"),
        (["one", "two"], {"benchmark": "darkrom-v1"}, "'darkrom-v1'; did you mean 'darkroom-v1'"),
    ],
)  # fmt: skip
def test_rows_that_are_not_there_are_named(results, names, where, message):
    with pytest.raises(InputError, match=message):
        named_rows.find(results, names, **where)


# Formats. An oracle reads each as its readers do.

HOSTILE = "=1+1|<b>$x_1$</b> & \\end{tabular}\x1b[2J[i](javascript:1)"


def hostile():
    """Return a comparison whose rows' names hold markup of every format."""
    return compared([*made("low"), scored(HOSTILE, SKILL["high"], GAIN["high"])])


def test_json_has_plain_finite_values():
    found = compared(made("low", "high", "near"))
    document = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert (document["format"], document["rows"], document["pairs_a_question"]) == (
        1,
        ["low", "high", "near"],
        3,
    )
    first = document["questions"][0]["pairs"][0]
    assert first["difference"]["estimate"] == pytest.approx(np.mean(SKILL["low"] - SKILL["high"]))
    assert (first["shown"], first["paired"], first["units"]) == ("below", True, [8, 8])


def test_csv_reads_back_and_holds_no_formula():
    text = comparison_tables.to_csv(hostile())
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [(line["one"], line["task"]) for line in lines] == [("low", "skill"), ("low", "transfer")]
    assert all(line["other"].startswith("'=1+1") for line in lines)
    assert float(lines[0]["difference"]) == pytest.approx(np.mean(SKILL["low"] - SKILL["high"]))
    again = pd.read_csv(io.StringIO(text))
    assert again["difference_low"].dtype == np.float64


def test_csv_of_what_was_not_compared_has_empty_fields():
    found = compared([*made("low"), scored("half", SKILL["high"])], ["transfer"])
    (line,) = csv.DictReader(io.StringIO(comparison_tables.to_csv(found)))
    assert (line["difference"], line["needed_units"], line["reason"]) == ("", "", "half: not played")


def test_markdown_is_a_table_a_question_without_markup_of_names():
    shown = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .render(comparison_tables.to_markdown(hostile()))
    )
    assert shown.count("<table>") == 2
    assert "<b>" not in shown
    assert "<a " not in shown
    assert "&lt;b&gt;$x_1$&lt;/b&gt;" in shown
    assert {len(re.findall("<t[dh]", line)) for line in re.findall("<tr>(.*?)</tr>", shown, re.DOTALL)} == {6}


def test_latex_has_the_rules_of_booktabs_and_as_many_cells_in_every_line():
    text = comparison_tables.to_latex(hostile())
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert [line for line in body if line.startswith("\\") and "multicolumn" not in line] == [
        r"\begin{tabular}{llllll}", r"\toprule", r"\midrule", r"\midrule", r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip
    cells = [line for line in body if line.endswith(r"\\") and "multicolumn" not in line]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in cells} == {5}
    assert len(cells) == 1 + 2
    assert "$-$" in text
    assert not re.search(r"\[-\d", "".join(body))  # every minus is one
    assert "\x1b" not in text


class Tags(HTMLParser):
    """The tags of a page, and whether each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag not in ("meta", "!doctype"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_well_formed_and_has_no_tag_of_a_name():
    page = Tags(comparison_tables.to_html(hostile(), "<svg></svg>"))
    assert page.open == []
    assert {"table", "svg"} <= page.seen
    assert not {"b", "a", "script", "link", "img"} & page.seen


def test_a_terminal_shows_every_pair_and_no_control_character():
    console = Console(width=300, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    with console.capture() as captured:
        for table in comparison_tables.to_terminal(hostile()):
            console.print(table)
    shown = captured.get()
    assert "\x1b[2J" not in shown
    assert shown.count("8 shared, paired") == 2
    assert f"{HOSTILE[:4]}" in shown


def test_cells_say_what_is_shown_and_what_would_tell():
    skill = question(compared(made("low", "high", "near")), "skill")
    by_rows = {line[0]: line for line in comparison_tables.lines(skill)}
    assert by_rows["low - high"][2] == "high is above"
    assert by_rows["high - near"][2] == "high is above"
    needed = next(
        each for each in skill.pairs if each.other == "near" and each.one == "low"
    ).pair.needed_units
    assert by_rows["low - near"][2:3] + by_rows["low - near"][-1:] == [
        "not told apart",
        f"about {comparison_tables._about(needed - 8)} more shared units",
    ]


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (7, "7"), (99, "99"), (125, "130"), (20_967, "21,000")]
)
def test_what_would_tell_is_rounded_up_to_two_digits(count, text):
    assert comparison_tables._about(count) == text


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(0.254, 0.159, 0.561, 0.95), "+0.25 [+0.16, +0.56]"),
        (Interval(0.0012, 0.0004, 0.0021, 0.95), "+0.0012 [+0.0004, +0.0021]"),
        (Interval(-0.001, -0.2, 0.004, 0.95), "0.00 [-0.20, 0.00]"),
        (Interval(1.0, None, None, 0.95), "+1.00 [unknown]"),
    ],
)
def test_a_bound_of_an_interval_beyond_0_is_not_rounded_to_0(interval, text):
    assert comparison_tables._text(interval, signed=True) == text


@pytest.mark.parametrize("count", [2, 3])
def test_a_figure_has_the_curves_and_the_differences(count):
    names = ["low", "high", "near"][:count]
    figure = compared_rows.compared_rows(compared(made(*names)))
    top, bottom = figure.axes[:2], figure.axes[2:]
    assert [axes.get_title(loc="left") for axes in top] == ["Q1 skill", "Q3 transfer"]
    assert len(top[1].get_lines()) == count + 1  # the rows' and the teacher's
    pairs = count * (count - 1) // 2
    for axes, task in zip(bottom, ("skill", "transfer"), strict=True):
        found = question(compared(made(*names)), task)
        points = [container.lines[0].get_xydata()[0] for container in axes.containers]
        expected = [
            comparison.shown_difference(each.pair, task == "transfer").estimate for each in found.pairs
        ]
        assert [point[0] for point in points] == pytest.approx(expected)
        assert len(points) == pairs
    assert bottom[0].get_yticklabels()[0].get_text() == "low - high"


def test_a_figures_bytes_are_the_same_twice_and_its_names_are_only_text():
    pictures = [printing.picture(compared_rows.compared_rows(hostile()), ".svg") for _ in range(2)]
    assert pictures[0] == pictures[1]
    root = ElementTree.fromstring(pictures[0])
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any("<b>$x_1$</b>" in str(text) for text in texts)


def test_a_figure_of_rows_that_were_not_played_says_so():
    found = compared([*made("low"), scored("half", SKILL["high"])])
    figure = compared_rows.compared_rows(found)
    assert [text.get_text() for text in figure.axes[3].texts] == ["not compared"]
