"""The tables: cells by hand, Markdown, CSV and terminal; hostile names; what is unknown stays empty."""

import csv
import dataclasses
import io
import math
import re

import pytest
from rich.console import Console
from support import ROOT, rows

from understudy.leaderboard import (
    board,
    cells,
    controls_check,
    leak_notes,
    stored_rows,
    table_columns,
    table_files,
    tables,
)
from understudy.leaderboard.descriptions import Description
from understudy.leaderboard.tables import Estimate
from understudy.suite import benchmarks, tasks
from understudy.suite.harness import records
from understudy.suite.io import files
from understudy.suite.scoring import verdicts
from understudy.suite.scoring.horizon import Horizon, HorizonWindow
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.verdicts import Verdict

pd = pytest.importorskip("pandas")

AS_EXPECTED = "controls: 20 of 20 as expected"
HOSTILE = "strange|name *bold* [red] <b>`x`_y_\\"
QUESTIONS = {
    "skill": ("Q1 skill", "points an episode"),
    "improvement": ("Q2 improvement", "normalised gain"),
    "transfer": ("Q3 transfer", "normalised gain"),
}


def cell(name, task, answer=None, kind=cells.IMITATOR, **values):
    """Return a line of a frame; an estimate is given as (value, low, high)."""
    question, shown_as = QUESTIONS[task]
    line = dict.fromkeys(cells.COLUMNS) | {
        "benchmark": "minatar-v1",
        "budget": "quick",
        "controls": AS_EXPECTED,
        "name": name,
        "kind": kind,
        "task": task,
        "question": question,
        "shown_as": shown_as,
        "answer": answer,
        "bracketed": False,
        "notes": "",
        "marks": "",
    }
    for key, value in values.items():
        bounds = ("", "_low", "_high") if isinstance(value, tuple) else ("",)
        line |= zip((f"{key}{bound}" for bound in bounds), value if bounds[1:] else (value,), strict=True)
    return line


def frame_of(*lines):
    return pd.DataFrame(list(lines), columns=list(cells.COLUMNS))


BC = (
    cell("bc", "skill", "yes", shown=(5.25, 4.75, 5.75), teacher_points=(5.5, 5.0, 6.0), m=8, notes="a note"),
    cell(
        "bc",
        "improvement",
        "no",
        bracketed=True,
        shown=(0.03, None, 0.4),
        points=(-0.001, -0.3, 0.3),
        teacher_points=(12.5, 10.0, 15.0),
        m=8,
        notes="a note",
    ),
    cell("bc", "transfer", reason="not played", notes="a note"),
)
OTHER = (
    cell(HOSTILE, "skill", "above", shown=(1034.2, 900.0, 1100.0), notes=""),
    cell(HOSTILE, "improvement", "undecided", shown=(0.4, -1.0, 12.0), needed_runs=1487),
    cell(HOSTILE, "transfer", "undecided", reason="no reference"),
)
RANDOM = (
    cell("random", "skill", "no", cells.CONTROL, shown=(0.5, 0.25, 0.75), notes="not in the notes"),
    cell("random", "improvement", "no", cells.CONTROL, shown=(0.0, -0.1, 0.1)),
    cell("random", "transfer", "no", cells.CONTROL, shown=(0.0, -0.1, 0.1)),
)
FRAME = frame_of(*BC, *OTHER, *RANDOM)


def cells_of(line):
    """Split a line of a GitHub table at its unescaped bars."""
    return [text.strip() for text in re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1]]


# Markdown


def test_markdown_is_the_page_worked_out_by_hand():
    expected = r"""### minatar-v1, budget quick

| imitator | Q1 skill: points an episode | Q2 improvement: normalised gain | Q3 transfer: normalised gain |
| --- | --- | --- | --- |
| bc | yes 5.25 \[4.75, 5.75\] | (no) 0.03 \[unbounded, 0.40\] | not played |

- Q1 skill: the teacher scores 5.50 \[5.00, 6.00\] points an episode, 8 runs
- Q2 improvement: the teacher gains +12.5 \[+10.0, +15.0\] points an episode, 8 runs
- bc: a note

<details><summary>controls: 20 of 20 as expected</summary>

| control | Q1 skill: points an episode | Q2 improvement: normalised gain | Q3 transfer: normalised gain |
| --- | --- | --- | --- |
| random | no 0.50 \[0.25, 0.75\] | no 0.00 \[-0.10, 0.10\] | no 0.00 \[-0.10, 0.10\] |

</details>

A cell holds the answer and one number with its 95 % interval:"""
    text = tables.to_markdown(frame_of(*BC, *RANDOM))
    assert text.startswith(expected)
    assert text.endswith("All numbers: `table.csv`.\n")
    assert text.count("\n\n\n") == 0


def test_a_markdown_line_has_four_cells_whatever_a_name_holds():
    lines = [line for line in tables.to_markdown(FRAME).splitlines() if line.startswith("|")]
    assert len(lines) == 2 * 2 + 3
    assert {len(cells_of(line)) for line in lines} == {4}
    assert cells_of(lines[3]) == [
        r"strange\|name \*bold\* \[red\] \<b\>\`x\`\_y\_\\",
        r"above 1,034 \[900, 1,100\]",
        r"undecided 0.4 \[-1.0, 12.0\]",
        "undecided",
    ]
    in_two_lines = frame_of(cell("a\nb | c", "skill", "no"))
    assert cells_of(tables.to_markdown(in_two_lines).splitlines()[4]) == [r"a b \| c", "no"]


def test_hostile_names_stay_text_in_notes_and_summary():
    noted = [{**line, "notes": "<script>*", "controls": "controls: <script>"} for line in (*OTHER, *RANDOM)]
    text = tables.to_markdown(frame_of(*noted))
    assert "<script>" not in text
    assert r"- strange\|name \*bold\* \[red\] \<b\>\`x\`\_y\_\\: \<script\>\*" in text.splitlines()
    assert "<summary>controls: &lt;script&gt;</summary>" in text


def test_an_undecided_answer_has_a_note_of_the_runs_that_would_decide_it():
    (line,) = (line for line in tables.to_markdown(FRAME).splitlines() if "needs about" in line)
    assert line.startswith("- strange")
    assert line.endswith(", Q2 improvement: undecided (needs about 1,487 runs)")


def test_controls_are_folded_or_said_not_to_have_been_run():
    text = tables.to_markdown(frame_of(*BC))
    assert f"\n\n{AS_EXPECTED}\n\n" in text
    assert "<details>" not in text
    without = [{**line, "controls": None} for line in (*BC, *RANDOM)]
    text = tables.to_markdown(frame_of(*without))
    assert "<details><summary>controls not run</summary>" in text
    assert "as expected" not in text
    assert "not in the notes" not in tables.to_markdown(FRAME)  # of a control


def test_a_benchmark_without_imitators_is_in_the_csv_only():
    elsewhere = [{**line, "benchmark": "darkroom-v1"} for line in RANDOM]
    frame = frame_of(*elsewhere, *BC)
    assert "darkroom-v1" not in tables.to_markdown(frame)
    assert tables.to_markdown(frame).count("### ") == 1
    assert table_files.to_csv(frame).count("darkroom-v1") == 3
    assert tables.to_markdown(frame_of(*elsewhere)).startswith("No imitator has been scored here.\n\n")


def test_a_section_without_teacher_and_notes_has_no_gap():
    text = tables.to_markdown(frame_of(cell("bc", "skill", "yes"), *RANDOM[:1]))
    assert "\n\n\n" not in text


def test_sections_follow_the_frame_and_one_table_can_be_had_alone():
    other = [{**line, "budget": "full"} for line in BC]
    frame = frame_of(*other, *FRAME.to_dict("records"))
    heads = [line for line in tables.to_markdown(frame).splitlines() if line.startswith("###")]
    assert heads == ["### minatar-v1, budget full", "### minatar-v1, budget quick"]
    (first, second) = tables.budgets(frame)
    for of_budget in (first, second):
        assert tables.imitators_markdown(of_budget, None) in tables.to_markdown(frame)
    assert tables.imitators_markdown(first, None).count("\n") == 2


def test_the_teacher_is_that_of_the_row_with_the_most_runs():
    lines = [
        cell("one", "skill", "yes", teacher_points=(4.0, 3.0, 5.0), m=4),
        cell("two", "skill", "yes", teacher_points=(5.0, 4.0, 6.0), m=65),
        cell("three", "skill", "yes", teacher_points=(6.0, None, None)),
        cell("one", "transfer", "no"),
    ]
    frame = frame_of(*lines)
    assert tables.teacher_lines(frame) == [
        "Q1 skill: the teacher scores 5.00 [4.00, 6.00] points an episode, 65 runs"
    ]
    assert tables.teacher_lines(frame_of(lines[2])) == ["Q1 skill: the teacher scores 6.00 points an episode"]


# Numbers


def test_figures_have_their_interval_and_few_decimals():
    assert tables.figure("yes ", Estimate(1034.2, 900.0, 1100.0)) == "yes 1,034 [900, 1,100]"
    assert tables.figure("", Estimate(-0.001, -0.3, 0.3), signed=True) == "0.00 [-0.30, +0.30]"
    assert tables.figure("", Estimate(12.34, 9.0), signed=False) == "12.3 [9.0, unbounded]"
    assert tables.figure("", Estimate(0.5)) == "0.50"


@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize("place", ["value", "low", "high"])
def test_an_estimate_is_finite(number, place):
    with pytest.raises(ValueError, match="an estimate is finite, an unknown number is None"):
        Estimate(**{"value": 1.0, place: number})


def test_wrong_intervals_and_answers_are_refused():
    with pytest.raises(ValueError, match="from low to high"):
        Estimate(1.0, 2.0, 0.0)
    with pytest.raises(ValueError, match="found 'maybe'"):
        Verdict("skill", "method", "maybe")


@pytest.mark.parametrize("answer", verdicts.ANSWERS)
def test_every_answer_that_a_task_gives_is_in_its_cell(answer):
    frame = frame_of(
        cell("a", "skill", answer),
        cell("b", "skill", answer, shown=(1.0, 0.0, 2.0), bracketed=True),
        cell("c", "skill", reason="few ends"),
        cell("d", "skill", reason="no reference", shown=(1.0, 0.0, 2.0)),
    )
    assert [tables.cell_text(line) for _, line in frame.iterrows()] == [
        answer,
        f"({answer}) 1.00 [0.00, 2.00]",
        "few ends",
        "no verdict 1.00 [0.00, 2.00]",
    ]


# CSV


def test_csv_reads_back_every_number_and_leaves_the_unknown_empty():
    lines = list(csv.DictReader(io.StringIO(table_files.to_csv(FRAME))))
    assert list(lines[0]) == list(cells.COLUMNS)
    assert len(lines) == len(FRAME)
    for found, expected in zip(lines, (*BC, *OTHER, *RANDOM), strict=True):
        for name, value in expected.items():
            if value is None:
                assert found[name] == "", name
            elif isinstance(value, str | bool):
                assert found[name] == str(value)
            else:
                assert float(found[name]) == value, name
    assert "nan" not in table_files.to_csv(FRAME).lower()
    again = pd.read_csv(io.StringIO(table_files.to_csv(FRAME)))
    assert again["shown_low"].isna().sum() == 3


def test_numbers_of_the_csv_are_written_in_full():
    text = table_files.to_csv(frame_of(cell("bc", "skill", "yes", shown=(1 / 3, -1e-9, 1234567.891))))
    (line,) = csv.DictReader(io.StringIO(text))
    assert float(line["shown"]) == 1 / 3
    assert (float(line["shown_low"]), float(line["shown_high"])) == (-1e-9, 1234567.891)


# Terminal


def on_terminal(of_budget, kind):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(tables.to_terminal(of_budget, kind))
    return console.export_text()


def test_the_terminal_shows_a_name_as_it_is():
    shown = on_terminal(FRAME, cells.IMITATOR)
    assert HOSTILE in shown
    assert "(no) 0.03 [unbounded, 0.40]" in shown
    assert f"minatar-v1, budget quick: imitators ({AS_EXPECTED})" in shown
    assert "random" not in shown
    assert "no 0.50 [0.25, 0.75]" in on_terminal(FRAME, cells.CONTROL)


def test_the_terminal_says_that_controls_were_not_run_and_shows_no_empty_table():
    without = frame_of(*({**line, "controls": None} for line in BC))
    assert "(controls not run)" in on_terminal(without, cells.IMITATOR)
    assert tables.to_terminal(without, cells.CONTROL) is None


# From scored rows


def points(value):
    return {"imitator": Interval(value, value - 1, value + 1, 0.95)}


def skill(value=None):
    return (Verdict("skill", "method", "yes", numbers=points(value) if value is not None else {}),)


def test_imitators_come_first_then_frozen_rows_then_more_points(tmp_path):
    control = {"control": True}
    scored = [
        rows.scored(tmp_path, "control-10", skill(10.0), row=control),
        rows.scored(tmp_path, "unknown", skill()),
        rows.scored(tmp_path, "b-5", skill(5.0)),
        rows.scored(tmp_path, "learning-9", skill(9.0), track="learning"),
        rows.scored(tmp_path, "a-5", skill(5.0)),
        rows.scored(tmp_path, "control-11", skill(11.0), row=control),
        rows.scored(tmp_path, "7", skill(7.0)),
        rows.scored(tmp_path, "elsewhere", skill(0.0), budget="full"),
    ]
    frame = cells.frame(scored)
    expected = ["7", "a-5", "b-5", "unknown", "learning-9", "control-11", "control-10", "elsewhere"]
    assert frame["name"].tolist() == expected
    assert frame["kind"].tolist() == [cells.IMITATOR] * 5 + [cells.CONTROL] * 2 + [cells.IMITATOR]


def test_a_cell_holds_the_verdicts_numbers(tmp_path):
    def interval(value):
        return Interval(value, value - 0.5, value + 0.25, 0.95)

    names = {
        "skill": ("imitator", "teacher", "agreement", "majority", "ceiling", "normalised agreement"),
        "improvement": ("gain", "teacher's gain", "normalised gain", "end above the teacher's start"),
    }
    numbers = {
        task: {name: interval(10.0 * index) for index, name in enumerate(of_task, 1)}
        for task, of_task in names.items()
    }
    marks = (verdicts.BUILT_IN, verdicts.FEW_ENDS)
    scored = rows.scored(
        tmp_path,
        "bc",
        (
            Verdict("skill", "method", "yes", numbers=numbers["skill"], n=3, m=4),
            Verdict(
                "improvement",
                "checkpoint",
                "undecided",
                "why",
                marks,
                bracketed=True,
                numbers=numbers["improvement"],
                needed_runs=12,
            ),
        ),
        row={"search_trials": 7, "priming_moves": 256},
        state_bytes=99,
        rechecked=True,
        described={"improvement": Description(HORIZON, None, None)},
    )
    first, second = csv.DictReader(io.StringIO(table_files.to_csv(cells.frame([scored]))))
    for line in (first, second):
        shared = ("name", "kind", "architecture", "track", "decoding", "watched", "rechecked")
        expected = ("bc", "imitator", "bc", "frozen", "greedy", "multi", "True")
        assert tuple(line[key] for key in shared) == expected
        counted = ("primed_moves", "search_trials", "state_bytes")
        assert tuple(float(line[key]) for key in counted) == (256, 7, 99)
    estimates = {
        "shown": (first, 10.0),
        "points": (first, 10.0),
        "teacher_points": (first, 20.0),
        "agreement": (first, 30.0),
        "constant_agreement": (first, 40.0),
        "frozen_teacher_agreement": (first, 50.0),
        "normalised_agreement": (first, 60.0),
    }
    for name, (line, value) in estimates.items():
        assert [float(line[f"{name}{bound}"]) for bound in ("", "_low", "_high")] == [
            value,
            value - 0.5,
            value + 0.25,
        ]
    of_gain = {"shown": 30, "points": 10, "teacher_points": 20, "normalised_gain": 30}
    of_gain |= {"end_above_teacher_start": 40}
    assert {name: float(second[name]) for name in of_gain} == of_gain
    assert (first["normalised_gain"], second["agreement"], first["h50_refuted"]) == ("", "", "")
    assert (second["answer"], second["claim"], second["reason"]) == ("undecided", "checkpoint", "why")
    assert (second["bracketed"], second["marks"]) == ("False", "built-in; few ends")  # it is not decided
    assert (float(second["needed_runs"]), float(first["n"]), float(first["m"])) == (12, 3, 4)
    assert (float(second["h50_demonstrated"]), float(second["h50_refuted"])) == (400, 800)


def window(moves, beyond):
    """Return a window whose gain lies above (or below) half the teacher's by `beyond`."""
    gain, above = Interval(1.0, 0.5, 1.5, 0.95), Interval(beyond, beyond - 0.5, beyond + 0.5, 0.95)
    return HorizonWindow(moves, moves // 2, gain, gain, gain, above, above)


HORIZON = Horizon(0.5, (window(200, 1.0), window(400, 1.0), window(800, -1.0)))


def test_every_estimate_of_a_frame_is_finite(tmp_path):
    scored = [rows.scored(tmp_path, "bc", skill(5.0)), rows.scored(tmp_path, "absent", skill())]
    for _, line in cells.frame(scored).iterrows():
        for name in table_columns.ESTIMATES:
            if not pd.isna(line[name]):
                assert isinstance(tables.estimate(line, name), Estimate)
    with pytest.raises(ValueError, match="not finite"):
        Verdict("skill", "method", "yes", numbers={"imitator": Interval(math.nan, None, None, 0.95)})


def test_what_a_reader_must_know_of_a_row_is_in_its_notes(tmp_path):
    frozen = next(name for name in benchmarks.names() if benchmarks.load(name).frozen)
    scored = rows.scored(
        tmp_path,
        benchmark=frozen,
        row={"search_trials": 1200},
        rechecked=False,
        state_bytes=benchmarks.load(frozen).state_cap_bytes + 1,
        leak=leak_notes.Leak(0.03, 0.01, 0.05),
        track="learning",
        moved=True,
        other_lanes=(4,),
        gains_under={"improvement": {"yoked": Interval(1.5, 1.0, 2.0, 0.95)}},
    )
    budget = benchmarks.load(frozen).budget("quick")
    assert cells.frame([scored]).iloc[0]["notes"].split("; ") == [
        f"4 lanes, not the budget's {budget.lanes}: not ranked",
        "leak suspected, not citable: not ranked",
        "recheck failed, as reported: its weights choose other moves: not ranked",
        f"state of {scored.state_bytes:,} bytes is over the cap: not ranked",
        "the best of 1,200 settings",
        "declared frozen, but its parameters changed in play",
        "gain in improvement with yoked: +1.50 points",
    ]
    assert cells.frame([rows.scored(tmp_path, benchmark=frozen)]).iloc[0]["notes"] == ""


def test_an_unfrozen_benchmark_is_not_citable(tmp_path, monkeypatch):
    draft = dataclasses.replace(benchmarks.load("darkroom-v1"), frozen=False)
    monkeypatch.setattr(benchmarks, "load", lambda name: draft)
    frame = cells.frame([rows.scored(tmp_path)])
    assert "benchmark is a draft: not citable" in frame.iloc[0]["notes"]


def test_a_cell_without_a_reason_of_its_own_gets_it_below_the_printed_table():
    lines = [
        cell("a", "skill", "yes", shown=(1.0, 0.0, 2.0), reason="not shown"),
        cell("a", "improvement", "undecided", needed_runs=1487),
        cell("a", "transfer", "undecided", reason="no reference"),
        cell("b", "skill", reason="few ends", shown=(1.0, 0.0, 2.0)),
        cell("b", "improvement", reason="not played"),  # the cell says so
        cell("b", "transfer", "undecided", reason="skill and agreement undecided", needed_runs=8),
    ]
    assert list(tables.reasons(frame_of(*lines))) == [
        "a, Q2 improvement: undecided (needs about 1,487 runs): an interval holds one of the thresholds",
        "a, Q3 transfer: undecided: no reference, the teacher's gain or skill is not clearly measured",
        "b, Q1 skill: no verdict: few ends, too few episodes end in a window",
        "b, Q3 transfer: undecided (needs about 8 runs): skill and agreement undecided",
    ]


def test_a_heading_says_whose_controls_were_run(tmp_path, monkeypatch):
    """Those of the package's results are not those of the rows beside them."""
    identity = benchmarks.load("darkroom-v1").identity
    stored = controls_check.ControlsCheck("darkroom-v1", identity, "quick", (), "0" * 64).as_json()
    stored["text"] = AS_EXPECTED
    own, packaged = tmp_path / "own", tmp_path / "packaged"
    files.write_json(
        packaged / "darkroom-v1" / "quick" / controls_check.CONTROLS, {**stored, "understudy": "0.0.1"}
    )
    monkeypatch.setattr(stored_rows, "RESULTS", packaged)
    of_package = "controls of the package's results: 20 of 20 as expected (0.0.1)"
    assert controls_check.status(own, "darkroom-v1", "quick") == of_package
    assert controls_check.status(packaged, "darkroom-v1", "quick") == f"{AS_EXPECTED} (0.0.1)"


def test_a_frame_has_the_stored_controls_check(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_rows, "RESULTS", tmp_path / "none")
    assert cells.frame([rows.scored(tmp_path)])["controls"].tolist() == [None]
    identity = benchmarks.load("darkroom-v1").identity
    stored = controls_check.ControlsCheck("darkroom-v1", identity, "quick", (), "0" * 64).as_json()
    path = tmp_path / "darkroom-v1" / "quick" / controls_check.CONTROLS
    files.write_json(path, {**stored, "text": AS_EXPECTED, "understudy": "0.0.1"})
    assert cells.frame([rows.scored(tmp_path)])["controls"].tolist() == [f"{AS_EXPECTED} (0.0.1)"]


# Files


def test_the_board_is_four_files_and_writing_again_changes_nothing(tmp_path):
    scored = [rows.scored(tmp_path, "bc", skill(5.0))]
    folder = tmp_path / "new" / "board"
    paths = board.write(scored, folder)
    assert [path.name for path in paths] == ["table.md", "table.csv", "table.json", "table.parquet"]
    frame = cells.frame(scored)
    assert paths[0].read_text() == tables.to_markdown(frame)
    assert paths[1].read_text() == table_files.to_csv(frame)
    before = [path.read_bytes() for path in paths]
    assert board.write(scored, folder) == paths
    assert [path.read_bytes() for path in paths] == before
    assert sorted(folder.iterdir()) == sorted(paths)


def test_rescoring_writes_scores_and_tables(copied):
    scored = board.rescore(copied)
    assert [one.folder.name for one in scored] == ["frozen-teacher", "random"]
    written = {path.name: path.read_bytes() for path in copied.glob("table.*")}
    assert written == board.contents(scored, copied, ["table.md", "table.csv"])
    assert all((one.folder.path / "scores.json").exists() for one in scored)
    assert all((one.folder.path / records.ROW).exists() for one in scored)


def test_headings_link_to_the_glossary_inside_a_checkout_only(tmp_path):
    scored = [rows.scored(tmp_path, "bc", skill(5.0))]

    def markdown(folder):
        return board.contents(scored, folder, ["table.md"])["table.md"].decode()

    inside = markdown(ROOT / "leaderboard" / "results")
    assert "| Q1 skill: [points an episode](../../docs/glossary.md#skill) |" in inside
    outside = markdown(tmp_path)
    assert "| imitator | Q1 skill: points an episode |" in outside
    assert "glossary" not in outside


def test_every_heading_has_its_place_in_the_glossary():
    headings = re.findall(r"^#+ (.*)$", board.GLOSSARY.read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert {tasks.load(name).column.heading for name in tasks.names()} == set(tables.ANCHORS)
    assert set(tables.ANCHORS.values()) <= anchors
