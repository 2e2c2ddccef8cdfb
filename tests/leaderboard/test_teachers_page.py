"""The page of the teachers: its tables, curves and commands are those of the stored runs."""

from __future__ import annotations

import re

import matplotlib
import numpy as np
import pytest
from support import ROOT

from understudy.leaderboard import pages, teachers_page
from understudy.suite import benchmarks
from understudy.suite.errors import InputError
from understudy.suite.histories import history_format, run_archive

PAGE = ROOT / "docs" / "teachers.md"


@pytest.mark.usefixtures("own_data")
def test_the_page_is_what_the_stored_runs_give():
    text = PAGE.read_text()
    assert pages.filled(text, teachers_page.page_tables(), PAGE.name) == text, (
        "run: python -m understudy.leaderboard.teachers_page docs/teachers.md"
    )


@pytest.mark.usefixtures("own_data")
def test_the_pages_learning_curves_are_those_of_the_stored_runs():
    drawn = teachers_page.pictures()
    kept = {path.name: path.read_bytes() for path in (PAGE.parent / teachers_page.CURVES).iterdir()}
    assert drawn.keys() == kept.keys()
    assert all(f"{teachers_page.CURVES}/{name})" in PAGE.read_text() for name in kept)
    if f"Matplotlib v{matplotlib.__version__},".encode() not in kept["minatar-v1.svg"]:
        pytest.skip("another matplotlib drew them, so their bytes differ")
    assert drawn == kept, "run: python -m understudy.leaderboard.teachers_page docs/teachers.md"


def test_every_stored_run_is_on_the_page_with_its_hash():
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.read_text().splitlines()]
    shown = {(cells[0], cells[1], cells[-1]) for cells in lines if len(cells) == 8}
    data = ROOT / "suite" / "data"
    in_folders = sorted(data.glob("*/*/seed-*/history.parquet"))
    packed = [path for archive in data.glob("*/histories.zip") for path in run_archive.histories(archive)]
    assert in_folders
    assert packed
    for path in (*in_folders, *packed):
        sha256 = history_format.read(path).content_sha256[:12]
        assert (path.parent.parent.name, path.parent.name.removeprefix("seed-"), sha256) in shown


def test_the_pages_skill_is_points_over_ends_by_hand():
    values = []
    for path in sorted(ROOT.glob("*/data/minatar-v1/breakout/seed-*/history.parquet")) + sorted(
        ROOT.glob("data/minatar-v1/breakout/seed-*/history.parquet")
    ):
        log = history_format.read(path)
        window = slice(100_000, 200_000)
        values.append(log.reward[window].sum() / (log.terminated | log.truncated)[window].sum())
    line = f"| 100,000-200,000 | {len(values)} | {np.mean(values):.2f} ± {np.std(values, ddof=1):.2f} |"
    assert line in PAGE.read_text()


def test_the_pages_commands_exist():
    commands = re.findall(r"`understudy (train-teacher [^`]*--out RUNS)`", PAGE.read_text())
    assert len(commands) >= 5
    for command in commands:
        options = dict(zip(*[iter(command.split()[2:])] * 2, strict=True))
        assert set(options) <= {
            "--game",
            "--seeds",
            "--moves",
            "--threads",
            "--precision",
            "--update-every",
            "--out",
        }
        assert command.split()[1] in benchmarks.names()


def test_published_figures_are_those_of_the_benchmarks_file():
    atari = benchmarks.load("atari-v1")
    for task, window in (("improvement", (10_500_000, 11_000_000)), ("transfer", (9_500_000, 10_000_000))):
        reference = atari.rules("full", task).published
        assert (
            teachers_page.PUBLISHED[reference.game][window][0] == f"{reference.end_mean} ± {reference.end_sd}"
        )


def test_a_place_without_a_table_or_a_table_without_a_place_is_named():
    text = "a\n<!-- table: one -->\nold\n<!-- /table -->\nb\n"
    once = pages.filled(text, {"one": "| new |"}, "page.md")
    assert once == "a\n<!-- table: one -->\n\n| new |\n\n<!-- /table -->\nb\n"
    assert pages.filled(once, {"one": "| new |"}, "page.md") == once
    with pytest.raises(InputError, match=r"unknown table in page.md 'one'; did you mean 'once'"):
        pages.filled(text, {"once": ""}, "page.md")
    with pytest.raises(InputError, match=r"table: two --> .* found 0"):
        pages.filled(text, {"one": "", "two": ""}, "page.md")
    with pytest.raises(InputError, match="found 2"):
        pages.filled(text + text, {"one": ""}, "page.md")


def test_a_missing_page_is_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match="no such page"):
        pages.fill(tmp_path / "absent.md", {})
