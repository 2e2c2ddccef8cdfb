"""Axes: what their points stand for, what is measured at them, and that page and figures say it."""

from __future__ import annotations

import json
import shlex

import pytest
from support import ROOT

from understudy.leaderboard import axes, axes_page, experiments, make_axes, pages
from understudy.leaderboard.axes import Measured
from understudy.leaderboard.experiments import Folders
from understudy.leaderboard.figures.axis_figure import axis_figure
from understudy.suite.errors import InputError

PAGE = ROOT / "docs" / "axes.md"
BASE = """
[[experiment]]
name = "tiny"
benchmark = "darkroom-v1"
architecture = "transformer"
teacher_seeds = "0:1"
num_seeds = 2
plays = [{ budget = "quick", round = 1 }]
settings = { updates = 3, batch_size = 2, window_moves = 40, width = 8, layers = 1, context_moves = 20 }
"""
AXIS = """
[[axis]]
name = "moves"
base = "darkroom-v1/tiny"
values = { num_seeds = 1, settings = { updates = 4 } }
budget = "quick"
task = "transfer"
quantity = "million moves"
points = [{ updates = 2 }, {}]

[[axis]]
name = "more"
like = "moves"
points = [{}, { decoding = "sample" }, { architecture = "bc", omit = ["layers", "context_moves"] }]
"""
MEASURED = Measured(
    changes={},
    identity="0" * 64,
    watched_runs=65,
    moves=5_120_000,
    context_moves=100,
    parameters=199_237,
    answer="yes",
    gain={"estimate": 0.75, "low": 0.7, "high": 0.8},
    demonstrated_to=13_000,
    refuted_from=None,
    processor_seconds={"training": 90, "playing": 60},
)


@pytest.fixture
def files(tmp_path):
    """Return the paths of experiments and axes."""
    (tmp_path / "experiments.toml").write_text(BASE)
    (tmp_path / "axes.toml").write_text(AXIS)
    return tmp_path / "experiments.toml", tmp_path / "axes.toml"


def test_points_have_the_base_with_what_changes_and_equal_ones_are_one(files):
    known, (moves, more) = experiments.read(files[0]), axes.read(files[1])
    assert (moves.quantity, more.quantity, more.budget) == ("million moves", None, "quick")
    fewer, base = axes.points(moves, known)
    assert (fewer.experiment.settings["updates"], base.experiment.settings["updates"]) == (2, 4)
    assert fewer.experiment.settings["width"] == 8
    assert (base.experiment.num_seeds, base.experiment.teacher_seeds) == (1, "0:1")
    same, sampled, cloned = axes.points(more, known)
    assert same == base
    assert (sampled.experiment.decoding, sampled.source) == ("sample", base.experiment)
    assert sampled.experiment.weights_of == f"darkroom-v1/{base.experiment.name}"
    assert cloned.experiment.architecture == "bc"
    assert cloned.experiment.settings == {"updates": 4, "batch_size": 2, "window_moves": 40, "width": 8}
    assert [point.changes for _, point in axes.together([moves, more], known)] == [
        {"updates": 2},
        {},
        {"decoding": "sample"},
        {"architecture": "bc", "omit": ["layers", "context_moves"]},
    ]


def test_a_point_plays_one_question_in_the_dev_round(files, tmp_path):
    (axis, _), known = axes.read(files[1]), experiments.read(files[0])
    point = axes.points(axis, known)[0]
    folders = Folders(tmp_path / "e", tmp_path / "r", tmp_path / "n", tmp_path)
    (step,) = experiments.rows(point.experiment, folders)
    name = point.experiment.name
    assert shlex.join(step.arguments) == (
        f"score {tmp_path}/e/darkroom-v1/{name} --benchmark darkroom-v1 --budget quick --out {tmp_path}/r "
        "--round dev --task transfer --isolation"
    )


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (('base = "darkroom-v1/tiny"', 'base = "darkroom-v1/tyni"'), "did you mean 'darkroom-v1/tiny'?"),
        (('like = "moves"', 'like = "move"'), "did you mean 'moves'?"),
        (('name = "more"', 'name = "moves"'), "axis 2: 'moves' stands twice; give another name"),
        (('task = "transfer"', 'task = "skill"'), "axis 1: task: "),
        (("points = [{ updates = 2 }, {}]", "points = []"), "axis 1: points: "),
        (("updates = 2", "updates = [2]"), "axis 'moves': settings.updates"),
        (("[[axis]]", "[[axis"), "not readable TOML"),
        (('like = "moves"', 'like = ["moves"]'), "axis in "),
        ((AXIS, "axis = 3"), "expected tables [[axis]]; found none"),
        ((AXIS, "[axis]"), "expected tables [[axis]]; found none"),
    ],
)
def test_a_malformed_axis_is_one_line(change, line, files):
    files[1].write_text(AXIS.replace(*change))
    known = experiments.read(files[0])
    with pytest.raises(InputError) as error:
        _ = [axes.points(axis, known) for axis in axes.read(files[1])]
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_what_was_measured_is_read_from_a_row_and_kept(files, tmp_path):
    (axis, _), known = axes.read(files[1]), experiments.read(files[0])
    _, point = axes.points(axis, known)
    name = point.experiment.name
    folders = Folders(tmp_path / "e", tmp_path / "r", tmp_path / "n", tmp_path)
    row = tmp_path / "r" / "darkroom-v1" / "quick" / name
    row.mkdir(parents=True)
    training = {"updates": 400, "batch_size": 64, "window_moves": 200}
    facts = {"parameters": 199_237, "watched_runs": 65, "training": training}
    (row / "row.json").write_text(json.dumps({"identity": "0" * 64, "facts": facts}))
    gain = {"estimate": 0.75, "low": 0.7, "high": 0.8, "confidence": 0.95}
    verdicts = [
        {"task": "improvement", "answer": None, "numbers": {}},
        {"task": "transfer", "answer": "yes", "numbers": {"normalised gain": gain}},
    ]
    windows = [{"moves": 6_500}, {"moves": 13_000}]
    horizon = {"windows": windows, "demonstrated_to": 13_000, "refuted_from": None}
    scored = {"verdicts": verdicts, "horizons": {"transfer": horizon}}
    (row / "scores.json").write_text(json.dumps(scored))
    for what, seconds in (("training", 90.4), ("playing", 60.0)):
        experiments.add_cost(point.experiment, what, seconds, folders)
    measured = axes.measure(axis, point, folders)
    assert measured == MEASURED.model_copy(update={"context_moves": 20})
    axes.keep(point, measured, tmp_path / "kept")
    axes.keep(axes.points(axis, known)[0], MEASURED, tmp_path / "kept")
    found = axes.kept("darkroom-v1", tmp_path / "kept")
    assert found[name] == measured
    assert len(found) == 2


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', '{"a": {"moves": 1}}'])
def test_a_damaged_file_of_results_is_one_line(content, tmp_path):
    (tmp_path / "darkroom-v1.json").write_text(content)
    with pytest.raises(InputError) as error:
        axes.kept("darkroom-v1", tmp_path)
    assert str(error.value).startswith(f"{tmp_path}/darkroom-v1.json: ")
    assert str(error.value).endswith("; restore it")
    assert "\n" not in str(error.value)


def test_the_page_has_the_tables_of_what_was_measured_and_its_figures():
    text = PAGE.read_text()
    assert pages.filled(text, axes_page.page_tables(), PAGE.name) == text, (
        "run: python -m understudy.leaderboard.axes_page docs/axes.md"
    )
    drawn = {path.name for path in (PAGE.parent / axes_page.FIGURES).glob("*.svg")}
    assert drawn == axes_page.pictures().keys()
    assert all(f"{axes_page.FIGURES}/{name}" in text for name in drawn)


def test_every_stored_point_is_a_point_of_an_axis():
    known = experiments.read()
    names = {f"{axis.benchmark}/{point.experiment.name}" for axis, point in axes.together(axes.read(), known)}
    for path in axes.MEASURED.glob("*.json"):
        assert {f"{path.stem}/{name}" for name in axes.kept(path.stem)} <= names


def test_a_figure_has_the_gains_in_order_of_the_quantity():
    more = MEASURED.model_copy(
        update={"moves": 20_480_000, "gain": {"estimate": 0.9, "low": 0.8, "high": 1.0}}
    )
    (drawn,) = axis_figure([more, MEASURED], "million moves", "moves").axes
    assert drawn.lines[0].get_xydata().tolist() == [[5.12, 0.75], [20.48, 0.9]]
    bounds = [segment.tolist() for each in drawn.collections for segment in each.get_segments()]
    assert bounds == [[[5.12, 0.7], [5.12, 0.8]], [[20.48, 0.8], [20.48, 1.0]]]
    assert [line.get_ydata()[0] for line in drawn.lines[1:]] == [1.0, 0.5, 0.1]
    with pytest.raises(ValueError, match="expected a point to draw"):
        axis_figure([], "parameters", "none")


@pytest.mark.parametrize(
    ("quantity", "at"),
    [("million moves", 5.12), ("watched runs", 65), ("moves of context", 100), ("parameters", 199_237)],
)
def test_where_a_point_lies(quantity, at):
    assert axes.position(quantity, MEASURED) == at


@pytest.mark.long
def test_points_are_trained_played_and_measured_once(files, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiments.read, "__defaults__", (files[0],))
    monkeypatch.setattr(axes.read, "__defaults__", (files[1],))
    command = ["--from-scratch", str(tmp_path / "out"), "--jobs", "2"]
    assert make_axes.main(command) == 0
    assert capsys.readouterr().out.count("done in") == 7  # three trainings, four rows
    found = axes.kept("darkroom-v1", tmp_path / "out" / "measured")
    assert sorted(each.moves for each in found.values()) == [160, 320, 320, 320]
    assert len({each.identity for each in found.values()}) == 3
    assert make_axes.main(command) == 0
    assert capsys.readouterr().out == ""
