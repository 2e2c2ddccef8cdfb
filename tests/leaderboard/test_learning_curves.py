"""Learning curves: what is drawn of which runs, and the files that come of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from understudy import cli
from understudy.leaderboard.figures.learning_curves import Curve, learning_curve
from understudy.leaderboard.figures.printing import picture
from understudy.suite import games
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.testing.history_checks import play_on, random_runs


def curve(game: str, seed: int, blocks: int = 5, watched_moves: int | None = None) -> Curve:
    return Curve(
        game, f"seed-{seed}", np.arange(blocks) * 10.0 + 5, np.full(blocks, float(seed)), watched_moves
    )


def lines(axes) -> dict[str, tuple[list[float], list[float]]]:
    """Return what the legend names: the x and y of each line."""
    handles, labels = axes.get_legend_handles_labels()
    return {
        label: (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist())
        for line, label in zip(handles, labels, strict=True)
    }


def test_few_runs_are_a_line_each_with_a_legend_and_units():
    (axes,) = learning_curve([curve("a/x", 1), curve("a/x", 2, watched_moves=20)]).axes
    found = lines(axes)
    assert found["seed-1"] == ([5, 15, 25, 35, 45], [1, 1, 1, 1, 1])
    assert found["seed-2"] == ([5, 15, 25, 35, 45], [2, 2, 2, 2, 2])
    assert found["W = 20"][0] == [20, 20]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("move of the run", "skill (points an episode)")
    styles = [(line.get_color(), line.get_linestyle()) for line in axes.lines]
    assert len(set(styles)) == len(styles)


def test_many_runs_are_thin_under_their_mean_where_all_have_moves():
    members = [curve("a/x", seed, blocks=3 + seed % 2) for seed in range(10)]
    (axes,) = learning_curve(members).axes
    found = lines(axes)
    assert set(found) == {"10 runs", "their mean"}
    x, y = found["their mean"]
    assert (x[0], x[-1]) == (5, 25)
    assert y == pytest.approx([4.5] * len(y))
    assert len(axes.lines) == 12


def test_each_game_has_its_panel_until_they_are_too_many():
    few = learning_curve([curve("a/x", 1), curve("a/y", 1), curve("b/z", 1)])
    assert [axes.get_title(loc="left") for axes in few.axes] == ["a/x", "a/y", "b/z"]
    many = learning_curve([*(curve(f"a/{number}", number) for number in range(7)), curve("b/z", 1)])
    assert [axes.get_title(loc="left") for axes in many.axes] == ["a, 7 games", "b/z"]


def test_a_w_far_beyond_the_runs_does_not_squeeze_them():
    (axes,) = learning_curve([curve("a/x", 1, watched_moves=1_000_000)]).axes
    assert lines(axes)["W = 1,000,000 (not reached)"] == ([], [])
    assert axes.get_xlim()[1] < 60
    (axes,) = learning_curve([curve("a/x", 1, watched_moves=55)]).axes
    assert axes.get_xlim()[1] > 55


def test_nothing_and_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="expected at least one run"):
        learning_curve([])
    with pytest.raises(ValueError, match=r"seed-0: expected moves and skill .* found \[2\] and \[3\]"):
        Curve("a/x", "seed-0", np.arange(2), np.arange(3))
    with pytest.raises(ValueError, match=r"found \[0\] and \[0\]"):
        Curve("a/x", "seed-0", np.empty(0), np.empty(0))


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_runs_give_the_same_bytes(suffix):
    first, second = (picture(learning_curve([curve("a/x", 1)]), suffix) for _ in range(2))
    assert first == second
    assert first.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix])


# The command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(2):
        (run,) = random_runs(games.load("darkroom/goal-40"), tmp_path / f"seed-{seed}", 1, seed)
        for _ in play_on([run], SegmentRule(60), 100):
            pass
        run.path.rename(run.path.with_name("history.parquet"))
    return tmp_path


def test_info_of_a_folder_shows_and_draws_all_runs_below_it(folder, tmp_path, capsys):
    out = tmp_path / "out" / "curves.png"
    assert cli.main(["histories", "info", str(folder), "--plot", str(out)]) == 0
    shown = capsys.readouterr().out.splitlines()
    heads = [line for line in shown if not line.startswith("  ")]
    assert heads == [*(f"{folder}/seed-{seed}/history.parquet" for seed in range(2)), f"{out}: 2 runs"]
    with Image.open(out) as image:
        assert min(image.size) > 500


@pytest.mark.parametrize("name", ["curves.bmp", "curves"])
def test_other_suffixes_are_refused_before_anything_is_read(folder, tmp_path, capsys, name):
    assert cli.main(["histories", "info", str(folder), "--plot", str(tmp_path / name)]) == 2
    shown = capsys.readouterr()
    assert "expected a name ending in .png, .svg, .pdf" in shown.err
    assert (shown.out, shown.err.count("\n")) == ("", 1)


def test_runs_in_which_nothing_ended_are_not_drawn(tmp_path, capsys):
    (run,) = random_runs(games.load("darkroom/goal-40"), tmp_path, 1)
    for _ in play_on([run], SegmentRule(60), 10):
        pass
    out = tmp_path / "x.png"
    assert cli.main(["histories", "info", str(run.path), "--plot", str(out)]) == 2
    assert "nothing to draw, no episode has finished in these runs" in capsys.readouterr().err
    assert not out.exists()


def test_info_without_a_plot_loads_no_matplotlib_and_a_plot_no_pyplot(folder, tmp_path):
    for options, absent in (([], "matplotlib"), (["--plot", str(tmp_path / "x.svg")], "matplotlib.pyplot")):
        arguments = ["histories", "info", str(folder), *options]
        code = (
            "import sys; from understudy.cli import main\n"
            f"assert main({arguments!r}) == 0\n"
            f"assert {absent!r} not in sys.modules and 'torch' not in sys.modules\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=120, stdout=subprocess.DEVNULL)
