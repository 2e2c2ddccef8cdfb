"""The tables and figures of `docs/axes.md`: what was measured at the points of each axis.

`python -m understudy.leaderboard.axes_page docs/axes.md` fills the tables in and draws the figures beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from understudy.leaderboard import axes, experiments, pages, tables
from understudy.leaderboard.axes import Axis, Measured
from understudy.leaderboard.figures import printing
from understudy.leaderboard.figures.axis_figure import axis_figure
from understudy.suite.io import files

FIGURES: Final = "axes"  # the folder beside the page
HEADINGS: Final = (
    *("what differs", "million moves of windows", "watched runs", "parameters", "normalised gain", "answer"),
    *("gain shown up to, refuted from, moves", "training, core-minutes"),
)
UNKNOWN: Final = "-"


def page_tables() -> dict[str, str]:
    """Return the page's tables by name, `<benchmark> <axis>`: a line for each point, measured or not."""
    known = experiments.read()
    found = {}
    for axis in axes.read():
        kept = axes.kept(axis.benchmark)
        lines = [_line(each.changes, kept.get(each.experiment.name)) for each in axes.points(axis, known)]
        found[f"{axis.benchmark} {axis.name}"] = tables.markdown(HEADINGS, lines)
    return found


def pictures() -> dict[str, bytes]:
    """Return the figures by file name, SVG: one for each axis with a quantity and two points or more."""
    known = experiments.read()
    found = {}
    for axis in axes.read():
        kept = axes.kept(axis.benchmark)
        measured = [
            kept[each.experiment.name] for each in axes.points(axis, known) if each.experiment.name in kept
        ]
        if axis.quantity is not None and len(measured) > 1:
            figure = axis_figure(measured, axis.quantity, f"{axis.benchmark}: {axis.task} at {axis.budget}")
            found[file_name(axis)] = printing.picture(figure, ".svg")
    return found


def file_name(axis: Axis) -> str:
    """Return the name of an axis' figure."""
    return f"{axis.benchmark}-{axis.name.replace(' ', '-')}.svg"


def _line(changes: Mapping[str, Any], measured: Measured | None) -> list[str]:
    what = ", ".join(f"`{name}` {_text(value)}" for name, value in changes.items()) or "nothing"
    if measured is None:
        return [what, *(UNKNOWN for _ in HEADINGS[1:])]
    gain = tables.Estimate(measured.gain["estimate"], measured.gain["low"], measured.gain["high"])
    seconds = measured.processor_seconds.get("training")
    return [
        what,
        f"{measured.moves / 1e6:.3g}",
        f"{measured.watched_runs:,}",
        f"{measured.parameters:,}",
        tables.figure("", gain),
        measured.answer or "undecided",
        f"{_moves(measured.demonstrated_to)}, {_moves(measured.refuted_from)}",
        f"{seconds / 60:.1f}" if seconds else UNKNOWN,
    ]


def _moves(number: int | None) -> str:
    return "none" if number is None else f"{number:,}"


def _text(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(f"`{each}`" for each in value)
    return str(value)


def main(page: Path) -> None:
    """Fill in the page's tables and write its figures."""
    pages.fill(page, page_tables())
    for name, picture in pictures().items():
        files.write_atomically(page.parent / FIGURES / name, picture)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
