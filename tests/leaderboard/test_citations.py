"""BibTeX of the suite, a release and a row: read back whole, whatever a name holds; CITATION.cff is valid."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support import ROOT, rows

import understudy
from understudy import cli
from understudy.leaderboard import citations, releases, scores, stored_rows
from understudy.leaderboard.citations import Citation
from understudy.suite import escaping
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.verdicts import Verdict

CFF = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
REPORTING = (ROOT / "docs" / "reporting.md").read_text(encoding="utf-8")
SPELLED = {
    r"\textbackslash{}": "\\",
    r"\textbraceleft{}": "{",
    r"\textbraceright{}": "}",
    r"\textasciicircum{}": "^",
    r"\textasciitilde{}": "~",
    **{f"\\{char}": char for char in "%$&#_"},
}
NAMED = re.compile("|".join(map(re.escape, SPELLED)))


def parsed(text: str) -> tuple[str, str, dict[str, str]]:
    """Read one BibTeX entry as BibTeX does: type, key, and each field's value up to its own closing brace.

    Braces count even behind a backslash. Source: Patashnik, BibTeXing (1988).
    """
    head = re.match(r"@(\w+)\{([A-Za-z0-9:.+/_-]+),\n", text)
    assert head is not None, text
    position, found = head.end(), {}
    while text[position] != "}":
        field = re.compile(r" *([a-z]+) = \{").match(text, position)
        assert field is not None, text[position:]
        begin = end = field.end()
        depth = 1
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        assert field[1] not in found
        found[field[1]] = text[begin : end - 1]
        position = end + len(re.compile(r",?\n?").match(text, end)[0])
    assert text[position:] == "}\n"
    return head[1], head[2], found


def typeset(value: str) -> str:
    """Return what TeX prints of a value that has no other commands than those of `SPELLED`."""
    whole = value[1:-1] if value.startswith("{") and value.endswith("}") else value
    plain = NAMED.sub("", whole)
    assert not set(plain) & set("\\{}^~%$&#_"), f"TeX would read {plain!r} as a command"
    return NAMED.sub(lambda match: SPELLED[match[0]], whole)


VERDICT = Verdict(
    "transfer",
    "method",
    "yes (unverified)",
    "leaks",
    numbers={"normalised gain": Interval(0.78, 0.72, 0.84, 0.95)},
    n=16,
    m=12,
)


def test_the_suite_is_cited_as_citation_cff_says(capsys):
    assert cli.main(["cite"]) == cli.DONE
    kind, key, found = parsed(capsys.readouterr().out)
    assert (kind, key) == ("misc", "understudy")
    assert typeset(found["title"]) == CFF["title"]
    assert [typeset(found["author"])] == [author["name"] for author in CFF["authors"]]
    assert found["version"] == understudy.__version__ == str(CFF["version"])
    assert ("year" in found) == ("date-released" in CFF), "no year before there is one"


def test_citation_cff_is_valid():
    schema = json.loads((ROOT / "tests" / "support" / "cff-1.2.0.schema.json").read_text(encoding="utf-8"))
    written = json.loads(json.dumps(CFF, default=str))  # a date is a text in the schema
    jsonschema.Draft7Validator.check_schema(schema)
    assert [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(written)] == []
    wrong = [{**written, "cff-version": "9"}, {**written, "licence": "MIT"}, {**written, "authors": []}]
    for each in wrong:
        assert list(jsonschema.Draft7Validator(schema).iter_errors(each))


def test_a_row_is_cited_with_its_answers(tmp_path):
    skill = Verdict("skill", "checkpoint", None, "not played")
    one = rows.scored(tmp_path, "mine_2", (skill, VERDICT))
    kind, key, found = parsed(str(citations.of_row(one)))
    assert (kind, key) == ("misc", "understudy-darkroom-v1-quick-mine-2")
    assert typeset(found["title"]) == "mine_2 on darkroom-v1, budget quick"
    assert typeset(found["howpublished"]) == f"Scored with Understudy {understudy.__version__}"
    drawn = json.loads((ROOT / "leaderboard" / "rounds.json").read_text())["rounds"][0]["drawn"]
    assert found["year"] == drawn[:4]
    assert "author" not in found
    assert typeset(found["note"]) == (
        f"identity {rows.SHA256[:16]}; round 1; benchmark identity {rows.SHA256[:16]}; "
        "Q1 skill (points an episode): not played; "
        "Q3 transfer (normalised gain): yes (unverified) 0.78 [0.72, 0.84] "
        "(method claim, n = 16, m = 12, (leaks))"
    )


def test_a_row_that_is_not_ranked_says_so_and_has_no_year_before_its_round(tmp_path):
    one = rows.scored(tmp_path, "mine", (VERDICT,), row={"round": "dev"})
    found = parsed(str(citations.of_row(one)))[2]
    assert typeset(found["note"]).endswith("; not ranked: self-reported")
    assert "year" not in found


@given(st.text(max_size=30))
def test_whatever_a_text_holds_is_printed_as_it_is(text):
    found = parsed(str(Citation("key", (("title", text), ("note", text)))))[2]
    shown = escaping.terminal(" ".join(text.split()))
    assert typeset(found["title"]) == shown
    assert typeset("{" + found["note"] + "}") == shown


@pytest.mark.parametrize("text", ["a{b", "a}b", r"\{x", r"100% of $x_1$ & #2 ~ ^", "\\", "}\n}@misc{evil,"])
def test_a_hostile_text_stays_one_value(text):
    found = parsed(str(Citation("key", (("title", text), ("note", "x")))))[2]
    assert found["note"] == "x"
    assert typeset(found["title"]) == " ".join(text.split())


# Sentences


def test_a_report_says_all_that_a_reader_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_rows, "RESULTS", tmp_path / "none")  # whatever controls were run there
    points = {
        "gain": Interval(10.04, 9.24, 10.85, 0.95),
        "teacher's gain": Interval(12.88, 12.37, 13.38, 0.95),
    }
    verdict = replace(VERDICT, numbers={**VERDICT.numbers, **points}, marks=("provisional",))
    settings = {"search_trials": 10, "round": "2"}
    one = rows.scored(tmp_path, "mine", (verdict,), budget="full", row=settings, rechecked=True)
    setting = f"Understudy {understudy.__version__}, darkroom-v1, budget full, round 2, track frozen, "
    assert citations.report(one, "transfer") == (
        f"{setting}watched multi, greedy decoding: mine ({rows.SHA256[:16]}): Q3 transfer yes (unverified), "
        "method claim, n = 16, m = 12, (leaks), provisional, gain +10.0 [+9.2, +10.8] points an episode, "
        "teacher's gain +12.9 [+12.4, +13.4] points an episode, normalised gain 0.78 [0.72, 0.84]; "
        "controls not run; the best of 10 settings; rechecked; exploratory. Intervals: 95 %."
    )


def test_a_report_says_what_speaks_against_an_answer(tmp_path):
    bracketed = Verdict("improvement", "method", "no", bracketed=True)
    absent = Verdict("skill", "method", None, "not played")
    one = rows.scored(tmp_path, "mine", (bracketed, absent), row={"round": "dev"})
    assert "Q2 improvement (no), method claim;" in citations.report(one, "improvement")
    assert "; not ranked: self-reported; exploratory." in citations.report(one, "improvement")
    assert "Q1 skill no verdict (not played);" in citations.report(one, "skill")


def test_only_the_declared_cell_is_the_primary_result(tmp_path):
    def said(claim="method", task="transfer", budget="full", **row):
        verdict = Verdict(task, claim, "no")
        declared = {"watched": "single", **row}
        one = rows.scored(tmp_path, "mine", (verdict,), "atari-v1", budget, row=declared)
        return citations.report(one, task).split("; ")[-1]

    assert said() == said(task="improvement") == "primary result. Intervals: 95 %."
    others = [
        said(claim="checkpoint"),
        said(task="skill"),
        said(budget="tenth"),
        said(watched="multi"),
        said(decoding="sample"),
    ]
    assert set(others) == {"exploratory. Intervals: 95 %."}


@pytest.mark.parametrize(
    ("of", "budget", "name", "task", "sentence"),
    re.findall(r"^<!-- (\S+) (\S+) (\S+) (\S+) -->\n> (.*)$", REPORTING, re.MULTILINE),
)
def test_an_example_of_the_page_is_what_a_stored_row_says(of, budget, name, task, sentence):
    results = ROOT / "leaderboard" / "results"
    row = stored_rows.RowFolder(results / of / budget / name, of, budget, name)
    assert sentence == citations.report(scores.score_row(results, row), task)


def test_the_page_has_examples():
    assert REPORTING.count("<!-- ") == REPORTING.count("\n> ") == 2


# Of stored rows


@pytest.fixture
def frozen(copied, monkeypatch, capsys):
    """Rows with a release 1."""
    monkeypatch.setattr(releases, "ELSEWHERE", ())
    assert cli.main(["release", "1", "--results", str(copied), "--date", "2027-03-04"]) == cli.DONE
    capsys.readouterr()
    return copied


def cite(*arguments):
    return cli.main(["cite", *map(str, arguments)])


def test_a_release_and_a_row_of_it_are_cited(frozen, capsys):
    assert cite("--results", frozen, "--release", 1) == cli.DONE
    kind, key, found = parsed(capsys.readouterr().out)
    manifest = json.loads((frozen.parent / "releases" / "1.json").read_text())
    assert (kind, key, found["year"]) == ("misc", "understudy-release-1", "2027")
    assert typeset(found["note"]).endswith(f"manifest {manifest['sha256'][:16]}")
    of_row = ("random", "--benchmark", "darkroom-v1", "--budget", "quick", "--results", frozen)
    assert cite(*of_row, "--release", 1) == cli.DONE
    found = parsed(capsys.readouterr().out)[2]
    version = understudy.__version__
    assert found["howpublished"] == f"Row of Understudy's release 1 (Understudy {version})"
    assert found["year"] == "2027"
    assert cite(*of_row, "--release", 2) == cli.BAD_INPUT
    assert "no release 2" in capsys.readouterr().err


def test_a_row_that_is_not_what_a_release_froze_is_not_cited_with_it(frozen, tmp_path):
    manifest = releases.load(1, frozen.parent / "releases")
    one = rows.scored(tmp_path, "mine", (VERDICT,))
    with pytest.raises(InputError, match="mine: not a row of release 1"):
        citations.of_row(one, manifest)
    random = next(row for row in manifest.rows if row.name == "random")
    changed = rows.scored(tmp_path, "random", (VERDICT,), row={"control": True})
    with pytest.raises(CheckFailed, match="no longer the row that release 1 froze"):
        citations.of_row(changed, manifest)
    assert replace(changed, verdicts=()).row["name"] == random.name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--benchmark", "darkroom-v1"], "--benchmark: expected the NAME of a row before it"),
        (["random"], "random: expected --benchmark too"),
        (["random", "--benchmark", "darkroom-v1"], "random: expected --budget too"),
        (["rando", "--benchmark", "darkroom-v1", "--budget", "quick"], "did you mean 'random'?"),
        (["random", "--benchmark", "darkroom-v9", "--budget", "quick"], "did you mean 'darkroom-v1'?"),
        (["random", "--benchmark", "darkroom-v1", "--budget", "slow"], "slow"),
        (
            ["random", "--benchmark", "darkroom-v1", "--budget", "quick", "--badge", "a.svg"],
            "--badge: expected --task",
        ),
    ],
)
def test_wrong_arguments_are_one_line(results, arguments, said, capsys):
    assert cite(*arguments, "--results", results) == cli.BAD_INPUT
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
