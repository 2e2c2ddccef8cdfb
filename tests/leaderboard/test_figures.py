"""Figures of gains, horizons and profiles: what is drawn are the numbers of the runs, and nothing else."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from support import rows

from understudy import cli
from understudy.leaderboard import cells, descriptions, scores, stored_rows, table_files
from understudy.leaderboard.figures import board_figures, gain_curves, horizons, printing, profiles
from understudy.leaderboard.scores import ScoredRow
from understudy.leaderboard.site import site_data, site_folder
from understudy.suite import tasks
from understudy.suite.errors import InputError
from understudy.suite.scoring import curves, normalised
from understudy.suite.scoring.aggregates import Band
from understudy.suite.scoring.curves import Curves
from understudy.suite.scoring.evidence import Evidence
from understudy.suite.scoring.horizon import GAIN_UNCLEAR, Horizon, HorizonWindow
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.references import Reference
from understudy.suite.scoring.rules import PublishedReference, Rules
from understudy.suite.scoring.scored_runs import ScoredRun
from understudy.suite.testing.task_checks import RULES, made_up

N, BLOCK = RULES.moves, RULES.moves // 20
PUBLISHED = PublishedReference("a/x", 5, 5.0, 1.0, 15.0, 2.0, 2.0, 18)


@pytest.fixture(params=["method", "checkpoint"])
def evidence(request) -> Evidence:
    return made_up(np.random.default_rng(3), request.param)


@pytest.fixture
def whole() -> Evidence:
    return made_up(np.random.default_rng(3), "method")


def reference_of(found: Evidence, rules: Rules = RULES) -> Reference:
    return tasks.load("improvement").gain.measure(found, rules)


def measured(found: Evidence, rules: Rules = RULES) -> Curves:
    result = curves.measure(found, rules, reference_of(found, rules))
    assert result is not None
    return result


def by_hand(runs: tuple[ScoredRun, ...], begin: int, end: int, apart: bool) -> list[float]:
    """Points / ends in a window of every run, averaged within its unit unless runs are units."""
    values: dict[object, list[float]] = {}
    for run in runs:
        ends = max(sum(run.ended[begin:end].tolist()), RULES.minima.ends)
        key = (run.unit, run.lane) if apart else run.unit
        values.setdefault(key, []).append(sum(run.reward[begin:end].tolist()) / ends)
    return [float(np.mean(value)) for value in values.values()]


def t_interval(values: list[float]) -> tuple[float, float, float]:
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return float(np.mean(values)), float(np.mean(values) - half), float(np.mean(values) + half)


def drawn(figure) -> dict[str, tuple[list[float], list[float]]]:
    """The points of every line by its label."""
    return {
        str(line.get_label()): (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist())
        for axes in figure.axes
        for line in axes.lines
    }


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


# Curves


def test_blocks_are_the_means_of_units_with_their_t_intervals(evidence):
    found = measured(evidence)
    apart = evidence.claim == "checkpoint"
    for curve, runs, separate in (
        (found.imitator, evidence.runs, apart),
        (found.reference, evidence.reference_runs, False),
    ):
        assert curve is not None
        for k, block in enumerate(curve.blocks):
            expected = t_interval(by_hand(runs, BLOCK * k, BLOCK * (k + 1), separate))
            assert (block.estimate, block.low, block.high) == pytest.approx(expected)
    assert found.edges == tuple(range(0, N + 1, BLOCK))
    assert found.imitator.units == (15 if apart else 5)


def test_starts_ends_and_threshold_are_those_of_the_verdict(evidence):
    found = measured(evidence)
    numbers = tasks.load("improvement").verdict(evidence, RULES).numbers
    assert found.reference is not None
    assert found.imitator.start == numbers["imitator start"]
    assert found.imitator.end == numbers["imitator end"]
    assert (found.reference.start, found.reference.end) == (
        numbers["reference start"],
        numbers["reference end"],
    )
    gain = found.reference.end.estimate - found.reference.start.estimate
    assert found.yes_threshold == pytest.approx(found.reference.start.estimate + 0.5 * gain)


def test_few_ends_in_a_block_are_marked():
    found = made_up(np.random.default_rng(3), "method")
    silent = replace(found.runs[0], ended=np.zeros(N, dtype=bool))
    marked = measured(replace(found, runs=(silent, *found.runs[1:]))).imitator.few_ends
    assert marked == (True,) * 20
    often = tuple(replace(run, ended=np.ones(N, dtype=bool)) for run in found.runs)
    assert measured(replace(found, runs=often)).imitator.few_ends == (False,) * 20


def test_curves_without_runs_or_reference(evidence):
    reference = reference_of(evidence)
    assert curves.measure(replace(evidence, runs=()), RULES, reference) is None
    without = replace(evidence, reference_runs=())
    assert (measured(without).reference, measured(without).yes_threshold) == (None, None)
    published = measured(without, replace(RULES, published=PUBLISHED))
    assert published.reference is not None
    assert (published.reference.blocks, published.yes_threshold) == ((), 10.0)


# The gain curve


def test_a_gain_curve_draws_the_curves(evidence):
    found = measured(evidence)
    figure = gain_curves.gain_curve(found, "a title", "bc", "teacher")
    lines, units = drawn(figure), "5 teacher runs" if evidence.claim == "method" else "15 runs"
    assert found.reference is not None
    middles = [BLOCK * (k + 0.5) for k in range(20)]
    assert lines[f"bc, {units}"] == (middles, [block.estimate for block in found.imitator.blocks])
    assert lines["teacher, 5 runs"] == (middles, [block.estimate for block in found.reference.blocks])
    assert lines["teacher's start + 0.5 x its gain"][1] == [found.yes_threshold, found.yes_threshold]
    few = [k for k, few in enumerate(found.imitator.few_ends) if few]
    assert lines["bc: few ends"][0] == [middles[k] for k in few]
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("move of the run", "skill (points an episode)")
    assert (axes.get_title(loc="left"), axes.get_xlim()[1]) == ("a title", N)


def test_a_gain_curve_has_bands_starts_and_the_end_window(evidence):
    found = measured(evidence)
    (axes,) = gain_curves.gain_curve(found, "x").axes
    band = axes.collections[0].get_paths()[0].vertices
    assert found.imitator.blocks[0].low in band[:, 1]
    assert found.imitator.blocks[19].high in band[:, 1]
    starts = {bar.get_label(): bar for bar in axes.containers}
    data, _, (bars,) = starts["player's start"].lines
    assert (data.get_xdata()[0], data.get_ydata()[0]) == (0, found.imitator.start.estimate)
    (segment,) = bars.get_segments()
    assert segment[:, 1] == pytest.approx([found.imitator.start.low, found.imitator.start.high])
    (window,) = axes.patches
    assert (window.get_x(), window.get_width()) == (N - RULES.end_moves, RULES.end_moves)


def test_a_published_reference_is_two_marks_and_a_single_run_has_no_band():
    found = made_up(np.random.default_rng(3), "checkpoint")
    published = measured(replace(found, reference_runs=()), replace(RULES, published=PUBLISHED))
    figure = gain_curves.gain_curve(published, "x")
    assert {"reference's start", "reference's end"} <= set(legend(figure))
    assert "reference, 5 runs" not in drawn(figure)
    one = replace(found, runs=found.runs[:1], starts=found.starts[:1], reference_runs=())
    (axes,) = gain_curves.gain_curve(measured(one), "x").axes
    assert not [collection for collection in axes.collections if len(collection.get_paths()[0]) > 40]
    assert "reference" not in " ".join(legend(axes.figure))


# The horizon


def window(moves: int, gain: float, teacher_gain: float, left_out: str | None = None) -> HorizonWindow:
    """Return a window whose intervals reach one point to each side."""

    def around(value: float) -> Interval:
        return Interval(value, value - 1, value + 1, 0.95)

    beyond, found = around(gain - 0.5 * teacher_gain), around(gain)
    return HorizonWindow(moves, moves // 2, found, found, around(teacher_gain), beyond, beyond, left_out)


HORIZON = Horizon(
    0.5,
    (
        window(100, 0.0, 0.0, "few ends"),
        window(200, 1.0, 0.5, GAIN_UNCLEAR),
        window(400, 8.0, 4.0),
        window(800, 3.0, 6.0),
        window(1_600, 1.0, 9.0),
    ),
)


def test_a_horizon_draws_both_gains_of_every_window():
    figure = horizons.horizon(HORIZON, "bc")
    (axes,), lines = figure.axes, drawn(figure)
    assert lines["gain"][1] == [0.0, 1.0, 8.0, 3.0, 1.0]
    assert lines["teacher's gain"][1] == [0.0, 0.5, 4.0, 6.0, 9.0]
    assert lines["0.5 x teacher's gain"] == ([100, 200, 400, 800, 1_600], [0.0, 0.25, 2.0, 3.0, 4.5])
    assert (lines["demonstrated"][0], lines["refuted"][0]) == ([400], [1_600])
    apart = np.array(lines["teacher's gain"][0]) / lines["gain"][0]
    assert apart == pytest.approx(np.full(5, 1.04**2))
    assert axes.get_title(loc="left").splitlines() == [
        "bc",
        "H50 400 / 1.6k (demonstrated to / refuted from, in moves)",
    ]
    assert axes.get_xscale() == "log"
    bounds = [segment[:, 1].tolist() for bars in axes.collections for segment in bars.get_segments()]
    assert bounds[:5] == [[-1, 1], [0, 2], [7, 9], [2, 4], [0, 2]]


def test_windows_that_are_left_out_are_hollow_or_half_filled():
    figure = horizons.horizon(HORIZON, "x")
    names = ("_few ends", f"_{GAIN_UNCLEAR}")
    marks = [line for line in figure.axes[0].lines if line.get_label() in names]
    places = [(names.index(str(line.get_label())), *np.round(line.get_xdata())) for line in marks]
    assert sorted(places) == [(0, 96), (0, 104), (1, 192), (1, 208)]
    styles = {line.get_label(): (line.get_fillstyle(), line.get_markerfacecolor()) for line in marks}
    assert styles["_few ends"] == ("full", "white")
    assert styles[f"_{GAIN_UNCLEAR}"][0] == "left"
    assert {"left out: few ends", f"left out: {GAIN_UNCLEAR}"} <= set(legend(figure))
    everything = horizons.horizon(replace(HORIZON, windows=HORIZON.windows[2:]), "x")
    assert not [text for text in legend(everything) if text.startswith("left out")]


def test_a_horizon_without_windows_is_not_drawn():
    with pytest.raises(ValueError, match="expected windows to draw; found none: no reference"):
        horizons.horizon(Horizon(0.5, reason="no reference"), "x")


# Profiles


LEVELS = np.array([0.0, 0.5, 1.0])


def band(*values: float) -> Band:
    curve = np.array(values)
    return Band(curve, np.maximum(curve - 0.1, 0), np.minimum(curve + 0.1, 1), 0.95)


def test_profiles_draw_every_player_of_every_panel_with_its_band():
    panels = {"Q2": {"one": band(1.0, 0.5, 0.0), "two": band(0.5, 0.25, 0.0)}, "Q3": {"two": band(1, 1, 0.5)}}
    figure = profiles.profiles(panels, LEVELS)
    q2, q3 = figure.axes
    found = {line.get_label(): line for line in q2.lines}
    assert found["one"].get_ydata().tolist() == [1.0, 0.5, 0.0]
    assert found["one"].get_xdata().tolist() == LEVELS.tolist()
    heights = q2.collections[0].get_paths()[0].vertices[:, 1]
    assert {0.9, 0.4, 0.6} <= set(np.round(heights, 9))
    assert q3.lines[0].get_ydata().tolist() == [1, 1, 0.5]
    assert q3.lines[0].get_color() == found["two"].get_color() != found["one"].get_color()
    assert found["one"].get_linestyle() != found["two"].get_linestyle()
    assert legend(figure) == ["one", "two"]
    assert [axes.get_title(loc="left") for axes in (q2, q3)] == ["Q2", "Q3"]


def test_a_profile_of_nothing_or_of_another_length_is_refused():
    with pytest.raises(ValueError, match="at least one player"):
        profiles.profiles({}, LEVELS)
    with pytest.raises(ValueError, match=r"Q2, one: expected a curve \[3\]; found \[2\]"):
        profiles.profiles({"Q2": {"one": band(1.0, 0.5)}}, LEVELS)


# Normalised scores and aggregates


def test_scores_are_normalised_by_one_gain_for_all_units(evidence):
    reference = reference_of(evidence)
    found = normalised.measure(evidence, RULES, reference)
    apart = evidence.claim == "checkpoint"
    ends = by_hand(evidence.runs, N - RULES.end_moves, N, apart)
    reference_ends = by_hand(evidence.reference_runs, N - RULES.end_moves, N, False)
    start = np.mean(reference.start.values)
    assert found is not None
    expected = (np.array(ends) - start) / (np.mean(reference_ends) - start)
    assert sorted(found.scores) == pytest.approx(sorted(expected))
    assert found.column.shape == (len(expected), 1)


@pytest.mark.parametrize(
    "change",
    [{"reference_runs": ()}, {"runs": ()}, {"watched_moves": 1}],
    ids=lambda change: next(iter(change)),
)
def test_nothing_is_normalised_without_a_reference_or_runs(evidence, change):
    changed = replace(evidence, **change)
    reference = reference_of(changed)
    assert normalised.measure(changed, RULES, reference) is None


def test_nothing_is_divided_by_a_gain_that_is_not_clear(evidence):
    still = replace(evidence, reference_runs=tuple(replace(one) for one in evidence.reference_starts[::3]))
    reference = reference_of(still)
    assert reference.m >= 4
    assert normalised.measure(still, RULES, reference) is None


def test_aggregates_are_of_method_claims_with_their_seed():
    units = tuple(f"goal-{i}/seed-0" for i in range(8))
    one = normalised.Normalised("method", units, (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 5.0))
    other = normalised.Normalised("method", units, (0.0, 0.2, 0.1, 0.2, 0.5, 0.4, 0.5, 0.6))
    found = descriptions.aggregates_of(one, other)
    assert found is not None
    assert found["interquartile_mean"]["estimate"] == pytest.approx(np.mean([0.2, 0.3, 0.4, 0.5]))
    # one tie, two losses, five wins
    assert found["probability_of_improvement"]["estimate"] == pytest.approx((5 + 0.5) / 8)
    rng = np.random.default_rng(descriptions.SEED)
    wins = np.array([0.5, 0, 1, 1, 0, 1, 1, 1])
    resamples = wins[rng.integers(8, size=(2_000, 8, 1))[..., 0]].mean(axis=1)
    low, high = np.quantile(resamples, [0.025, 0.975])
    assert found["probability_of_improvement"]["low"] == pytest.approx(low)
    assert found["probability_of_improvement"]["high"] == pytest.approx(high)
    assert (found["units"], found["seed"], found["resamples"]) == (8, descriptions.SEED, 2_000)
    assert descriptions.aggregates_of(one, other) == found


def test_other_units_and_single_checkpoints_have_no_aggregates():
    one = normalised.Normalised("method", ("a", "b"), (0.0, 1.0))
    other = replace(one, units=("a", "c"))
    for reference in (None, other):
        found = descriptions.aggregates_of(one, reference)
        assert found is not None
        assert found["probability_of_improvement"] is None
    assert descriptions.aggregates_of(replace(one, claim="checkpoint"), None) is None
    assert descriptions.aggregates_of(None, one) is None


# Files


def scored_row(found: Evidence, name: str) -> ScoredRow:
    every = [tasks.load(task) for task in ("skill", "improvement", "transfer")]
    return rows.scored(
        Path("no-results"),
        name,
        [task.verdict(found, RULES) for task in every],
        described={
            task.name: descriptions.describe(task, found, RULES) for task in every if task.gain is not None
        },
    )


def test_figures_are_written_for_each_row_and_table_and_twice_the_same(whole, tmp_path):
    scored = [scored_row(whole, "bc"), scored_row(replace(whole, runs=()), "absent")]
    written = board_figures.write(scored, tmp_path)
    folder = tmp_path / "figures" / "darkroom-v1" / "quick"
    kinds = ("improvement", "improvement-horizon", "transfer", "transfer-horizon")
    assert written == [*(folder / f"bc-{kind}.svg" for kind in kinds), folder / "profiles.svg"]
    before = {path: path.read_bytes() for path in written}
    assert board_figures.write(scored, tmp_path) == written
    assert before == {path: path.read_bytes() for path in written}
    assert all(content.startswith(b"<?xml") for content in before.values())
    assert b"bc" in before[folder / "profiles.svg"]


def test_rows_without_runs_have_no_figures(whole, tmp_path):
    assert board_figures.write([scored_row(replace(whole, runs=()), "absent")], tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_the_board_has_figures_unless_they_are_not_wanted(whole, tmp_path, monkeypatch, capsys):
    absent = scored_row(replace(whole, runs=()), "absent")
    monkeypatch.setattr(stored_rows, "rows_in", lambda results, left_out: [absent.folder])
    monkeypatch.setattr(scores, "score_with", lambda scorer, rows, left_out: [absent])
    monkeypatch.setattr(site_data, "document", lambda *given: {})
    monkeypatch.setattr(site_folder, "write", lambda data, out, films: 0)
    monkeypatch.setattr(stored_rows, "every_row_in", lambda results: [absent.folder])
    out = tmp_path / "board"
    assert cli.main(["board", str(tmp_path), "--out", str(out), "--figures"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{out / 'figures'}: 0 figures"
    monkeypatch.setattr(board_figures, "write", lambda scored, out: pytest.fail("figures are drawn"))
    assert cli.main(["board", str(tmp_path), "--out", str(out)]) == 0
    assert (out / "table.md").exists()


def test_profiles_cover_the_scores_within_fixed_bounds():
    def reach(*scores: float) -> tuple[float, float]:
        thresholds = board_figures._thresholds(
            [normalised.Normalised("method", ("a",), (one,)) for one in scores]
        )
        return float(thresholds[0]), float(thresholds[-1])

    assert reach(0.2, 0.9) == (-0.25, 1.25)
    assert reach(-0.3, 1.3) == (-0.5, 1.5)
    assert reach(-90.0, 70.0) == (-1.0, 2.0)


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_the_same_numbers_give_the_same_bytes(suffix):
    first, second = (printing.picture(horizons.horizon(HORIZON, "x"), suffix) for _ in range(2))
    assert first == second


def test_another_suffix_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"x.bmp: expected a name ending in .png, .svg, .pdf; found '.bmp'"):
        printing.write(horizons.horizon(HORIZON, "x"), tmp_path / "x.bmp")
    assert list(tmp_path.iterdir()) == []


def test_a_long_legend_stays_inside_the_picture(whole):
    name = "an-imitator-of-a-dqn-with-a-name-as-long-as-a-name-may-ever-get"
    figure = gain_curves.gain_curve(measured(whole), "x", name)
    printing.picture(figure, ".png")
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1


# CSV and scores


def test_h50_is_in_the_csv_where_a_gain_was_measured(evidence):
    found = scored_row(evidence, "bc")
    frame = cells.frame([found, scored_row(replace(evidence, runs=()), "absent")])
    lines = list(csv.DictReader(io.StringIO(table_files.to_csv(frame))))
    for task in ("improvement", "transfer"):
        horizon = found.described[task].horizon
        (line,) = (line for line in lines if (line["name"], line["task"]) == ("bc", task))
        assert number(line["h50_demonstrated"]) == horizon.demonstrated_to
        assert number(line["h50_refuted"]) == horizon.refuted_from
    without = [line for line in lines if line["name"] == "absent" or line["task"] == "skill"]
    assert {(line["h50_demonstrated"], line["h50_refuted"]) for line in without} == {("", "")}


def number(field: str) -> float | None:
    return float(field) if field else None


def test_scores_hold_horizons_and_aggregates_as_plain_json(evidence):
    found = scored_row(evidence, "bc")
    written = scores.scores_of(replace(found, frozen_teacher=found.described))
    assert json.loads(json.dumps(written, allow_nan=False)) == json.loads(json.dumps(written))
    for task, described in found.described.items():
        assert written["horizons"][task] == described.horizon.as_json()
        aggregates = written["aggregates"][task]
        if evidence.claim == "checkpoint":
            assert aggregates is None
        else:
            assert aggregates["compared_with"] == "frozen-teacher"
            assert aggregates["probability_of_improvement"]["estimate"] == 0.5
