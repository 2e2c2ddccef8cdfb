"""How pictures look in colour and in grey, and how they become files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from understudy.suite import files
from understudy.suite.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
DOTS_PER_INCH = 200
POINTS_PER_INCH = 72
LETTER_POINTS, HANDLE_POINTS = 4.4, 44.0  # about the width of a letter of a legend, and of what is beside it
# Colours that no common colour blindness confuses; dashes and shapes tell them apart in grey.
# Source: Okabe and Ito, Color universal design (2008), https://jfly.uni-koeln.de/color/
LINES = (
    ("#0072B2", "-", "o"),
    ("#D55E00", "--", "s"),
    ("#009E73", "-.", "^"),
    ("#CC79A7", ":", "D"),
    ("#E69F00", "-", "v"),
    ("#56B4E9", "--", "P"),
)
GREY = "#555555"  # of what a player is compared with


def require_suffix(path: Path) -> None:
    """Raise InputError unless a picture can have this name."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: expected a name ending in {', '.join(SUFFIXES)}; found {path.suffix!r}")


def write(figure: Figure, path: Path) -> None:
    """Write a figure, whole or not at all; raises as `require_suffix`, and OSError."""
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
    """Put a legend under the whole picture, in as many columns, up to three, as its longest name allows."""
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
