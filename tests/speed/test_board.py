"""The board of 10,000 stored runs, which are made up, and of this checkout's rows: time, memory, first page.

Each board is made by a process of its own: first with nothing kept of an earlier one, then with its scores.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from speed.ratios import add_figure, describe
from support import browsers, many_rows

from understudy.leaderboard import stored_rows

LOADS = 5  # of the first page
pytestmark = pytest.mark.skipif(not hasattr(os, "wait4"), reason="a process's peak is asked of its parent")


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """A folder of 100 made-up submissions with 10,000 runs."""
    folder = tmp_path_factory.mktemp("made-up")
    assert many_rows.write(folder) == many_rows.RUNS
    return folder


@pytest.fixture(scope="module")
def board(made_up, tmp_path_factory):
    """Return a function that makes the board of a folder and returns its site and what that used.

    Scores are kept from one call to the next.
    """
    cache, site = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("site")

    def make(name):
        results = {"10,000 made-up runs": made_up, "this checkout's rows": stored_rows.RESULTS}[name]
        return site / name, used_by("board", str(results), "--out", str(site / name), cache=cache)

    return make


def used_by(*arguments, cache):
    """Run understudy in a process of its own; return elapsed seconds and the resources that it used."""
    environment, began = {**os.environ, "UNDERSTUDY_CACHE": str(cache)}, time.monotonic()
    running = subprocess.Popen(
        [sys.executable, "-m", "understudy", *arguments], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    assert running.returncode == 0
    return time.monotonic() - began, used


def add_use(benchmark, elapsed_seconds, used):
    add_figure(benchmark, "elapsed time", elapsed_seconds, "s")
    add_figure(benchmark, "processor time", used.ru_utime + used.ru_stime, "s")
    add_figure(benchmark, "peak memory of a process", used.ru_maxrss / 2**20, "GiB")


@pytest.mark.parametrize("name", ["10,000 made-up runs", "this checkout's rows"])
@pytest.mark.parametrize("label", ["nothing kept", "scores kept"])
def test_board(board, name, label, benchmark):
    describe(benchmark, f"board of {name}", label)
    _, use = benchmark.pedantic(board, (name,))
    add_use(benchmark, *use)


def test_rescore(made_up, tmp_path, benchmark):
    describe(benchmark, "rescore of 10,000 made-up runs", "understudy rescore")
    add_use(benchmark, *benchmark.pedantic(used_by, ("rescore", str(made_up)), {"cache": tmp_path}))


def test_first_page_in_chromium(board, benchmark):
    """Its script is its last element, so the page is interactive once the script has ended."""
    site, _ = board("10,000 made-up runs")
    describe(benchmark, "first page of 100 submissions", "index.html")
    add_figure(benchmark, "size", (site / "index.html").stat().st_size / 1e6, "MB")
    with browsers.chromium() as browser:
        page = browser.new_page(viewport={"width": 1360, "height": 900})

        def load():
            page.goto((site / "index.html").as_uri())
            return page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")

        milliseconds = [load() for _ in range(LOADS)]
        benchmark.pedantic(load)
    add_figure(benchmark, "interactive, the fastest of five", min(milliseconds) / 1e3, "s")
    add_figure(benchmark, "interactive, the slowest of five", max(milliseconds) / 1e3, "s")
