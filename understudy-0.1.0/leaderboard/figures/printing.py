"""Colours and line styles of the figures, and writing them to files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from understudy.suite.errors import InputError
from understudy.suite.io import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
DOTS_PER_INCH = 200
POINTS_PER_INCH = 72
LETTER_POINTS, HANDLE_POINTS = 4.4, 44.0  # approximate widths of a letter and of a handle in a legend
# Colours that remain distinct under common colour blindness; dashes and shapes distinguish them in grey.
# Source: Okabe and Ito, Color universal design (2008), https://jfly.uni-koeln.de/color/
LINES = (
    ("#0072B2", "-", "o"),
    ("#D55E00", "--", "s"),
    ("#009E73", "-.", "^"),
    ("#CC79A7", ":", "D"),
    ("#E69F00", "-", "v"),
    ("#56B4E9", "--", "P"),
)
GREY = "#555555"  # of references


def require_suffix(path: Path) -> None:
    """Raise InputError unless the file's suffix is one of SUFFIXES."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: expected a name ending in {', '.join(SUFFIXES)}; found {path.suffix!r}")


def write(figure: Figure, path: Path) -> None:
    """Write a figure atomically; raises as `require_suffix`, and OSError."""
    require_suffix(path)
    files.write_atomically(path, picture(figure, path.suffix.lower()))


def picture(figure: Figure, suffix: str) -> bytes:
    """Return a figure as a file's bytes: `.png`, `.svg` or `.pdf`. The same figure gives the same bytes."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    undated: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix, {})
    sink = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "understudy", "svg.fonttype": "none"}):
        figure.savefig(sink, format=suffix.removeprefix("."), dpi=DOTS_PER_INCH, metadata=undated)
    return sink.getvalue()


def legend_below(figure: Figure, handles: Sequence[Any]) -> None:
    """Put a legend below the figure, in up to three columns, as many as its longest name allows."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    width = figure.get_figwidth() * POINTS_PER_INCH
    columns = int(width // (LETTER_POINTS * longest + HANDLE_POINTS))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(3, max(1, columns)),
        fontsize="small",
        frameon=False,
    )
