"""Badges: an SVG that says its answer in words, escapes what it shows, and is the same every time."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest
from support import rows

from understudy import cli
from understudy.leaderboard import citations
from understudy.leaderboard.figures import badges
from understudy.suite.errors import InputError
from understudy.suite.scoring import verdicts
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.verdicts import Verdict

SVG = "{http://www.w3.org/2000/svg}"
GAIN = {"normalised gain": Interval(0.78, 0.72, 0.84, 0.95)}


def texts(picture):
    return [each.text for each in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def luminance(colour):
    """Return the relative luminance of `#rrggbb`. Source: WCAG 2.2, relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_badge_says_question_benchmark_answer_and_interval(tmp_path):
    one = rows.scored(tmp_path, "mine", (Verdict("transfer", "method", "yes", numbers=GAIN),))
    picture = citations.badge_of_row(one, "transfer")
    assert texts(picture) == ["understudy Q3 darkroom-v1 quick", "yes 0.78 [0.72, 0.84]"]
    root = ElementTree.fromstring(picture)
    said = "understudy Q3 darkroom-v1 quick: yes 0.78 [0.72, 0.84]"
    assert (root.get("role"), root.get("aria-label"), root.findtext(f"{SVG}title")) == ("img", said, said)
    assert picture == citations.badge_of_row(one, "transfer")


@pytest.mark.parametrize(
    ("verdict", "shown", "row"),
    [
        (Verdict("improvement", "method", "no", bracketed=True), "(no)", {}),
        (Verdict("improvement", "method", None, "no reference"), "no reference", {}),
        (Verdict("improvement", "method", "yes (unverified)", "leaks"), "yes (unverified)", {}),
        (Verdict("improvement", "method", "yes (not retrained)", "none declared"), "yes (not retrained)", {}),
        (Verdict("improvement", "method", "yes"), "yes, not ranked", {"round": "dev"}),
    ],
)
def test_what_limits_an_answer_is_in_its_words(tmp_path, verdict, shown, row):
    one = rows.scored(tmp_path, "mine", (verdict,), row=row)
    assert texts(citations.badge_of_row(one, "improvement"))[1] == shown


def test_answers_differ_in_sign_and_words_and_can_be_read():
    for colour in (badges.LEFT_COLOUR, badges.UNKNOWN_COLOUR, *badges.COLOURS.values()):
        assert 1.05 / (luminance(colour) + 0.05) >= 5
    pictures = {answer: badges.badge("q", "x", answer) for answer in ("yes", "partial", "no", None)}
    without_colour = {re.sub("#[0-9A-Fa-f]{3,6}", "", picture) for picture in pictures.values()}
    assert len(without_colour) == 4, "the sign tells them apart without colour"
    assert set(badges.COLOURS) == set(verdicts.ANSWERS) - {verdicts.UNDECIDED}


@pytest.mark.parametrize("text", ["<script>\"&'", "a\x1b[31m", "]]>", "x" * 300, "\u202eabc", "漢字"])
def test_a_hostile_text_stays_text_inside_the_picture(text):
    picture = badges.badge(text, text, "yes")
    root = ElementTree.fromstring(picture)
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
        "svg",
        "title",
        "rect",
        "g",
        "path",
        "text",
    }
    shown = text.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    assert texts(picture) == [shown, shown]
    left, right = root.findall(f"{SVG}rect")
    ends = [float(each.get("x")) + float(each.get("textLength")) for each in root.iter(f"{SVG}text")]
    assert ends[0] <= float(left.get("width"))
    assert ends[1] <= float(right.get("x")) + float(right.get("width"))


def test_nothing_is_fetched_by_a_badge():
    picture = badges.badge("a", "b", "no")
    assert re.findall(r"https?://[^\"]*", picture) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"href|url\(|@import|style", picture)


def test_the_command_writes_a_badge_beside_the_citation(results, tmp_path, capsys):
    path = tmp_path / "badge.svg"
    of_row = ["cite", "random", "--benchmark", "darkroom-v1", "--budget", "quick", "--results", str(results)]
    assert cli.main([*of_row, "--badge", str(path), "--task", "skill"]) == cli.DONE
    out, err = capsys.readouterr()
    sentence, empty, entry = out.split("\n")[:3]
    assert sentence.startswith("Understudy ")
    assert sentence.endswith("; a control; exploratory. Intervals: 95 %.")
    assert (empty, entry) == ("", "@misc{understudy-darkroom-v1-quick-random,")
    assert err == f"{path}: badge\n"
    assert texts(path.read_text())[0] == "understudy Q1 darkroom-v1 quick"
    assert cli.main([*of_row, "--badge", str(tmp_path / "b.png"), "--task", "skill"]) == cli.BAD_INPUT
    assert cli.main([*of_row, "--badge", str(path), "--task", "skil"]) == cli.BAD_INPUT
    assert "did you mean 'skill'?" in capsys.readouterr().err


def test_a_task_that_a_row_does_not_have_is_named(tmp_path):
    one = rows.scored(tmp_path, "mine", (Verdict("skill", "method", "no"),))
    with pytest.raises(InputError, match="unknown task of mine: 'transfer'; known: skill"):
        citations.badge_of_row(one, "transfer")
