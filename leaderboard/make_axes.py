"""Trains and plays the points of the axes that have no result: `python -m understudy.leaderboard.make_axes`.

What is there already is kept: an interrupted call goes on where it was, and a second one does nothing.
Entries and rows stay in `results/axes`; what was measured is written to `leaderboard/axes`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from understudy.leaderboard import axes, experiments
from understudy.leaderboard.axes import Axis, Point
from understudy.leaderboard.experiments import Folders
from understudy.leaderboard.make_results import Maker, wait_for
from understudy.suite import registry
from understudy.suite.errors import InputError
from understudy.suite.io import checkout


def main(arguments: Sequence[str] | None = None) -> int:
    """Make what is missing of the axes' points; return the exit code."""
    parser = argparse.ArgumentParser(prog="make_axes", description=__doc__)
    parser.add_argument("--only", action="append", metavar="AXIS", help="may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="points side by side (default: 1)")
    parser.add_argument(
        "--from-scratch", type=Path, metavar="FOLDER", help="make and measure them again, in this folder"
    )
    given = parser.parse_args(arguments)
    known = {axis.name: axis for axis in axes.read()}
    for name in given.only or []:
        registry.choose(name, known, "axis")
    wanted = [axis for axis in known.values() if not given.only or axis.name in given.only]
    work = given.from_scratch or checkout.ROOT / "results" / "axes"
    measured = given.from_scratch / "measured" if given.from_scratch else axes.MEASURED
    folders = Folders(work / "entries", work / "rows", work / "notes", work)
    maker, lock = Maker(folders, work / "logs"), Lock()
    todo = [
        (axis, point)
        for axis, point in axes.together(wanted, experiments.read())
        if point.experiment.name not in axes.kept(axis.benchmark, measured)
    ]

    def make(axis: Axis, point: Point, ready: Future[None] | None) -> None:
        maker.make(point.experiment, point.source, ready)
        with lock:
            axes.keep(point, axes.measure(axis, point, folders), measured)

    coming: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(max(1, given.jobs)) as pool:
        for axis, point in todo:
            source = None if point.source is None else coming.get(point.source.name)
            coming[point.experiment.name] = pool.submit(make, axis, point, source)
        return wait_for(coming.values(), maker)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as problem:
        sys.exit(f"make_axes: {problem}")
