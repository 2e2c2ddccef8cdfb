"""`understudy histories info FILE...`: who played what, for how long and how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from understudy.history_commands import _named

if TYPE_CHECKING:
    import numpy as np

    from understudy.suite.histories.format import History
    from understudy.suite.pictures.learning_curve import Curve

COMMAND = typer.Typer()
BARS = "▁▂▃▄▅▆▇█"


@COMMAND.command("info")
def info(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...|FOLDER...", help="History files, journals, folders of them, hf://datasets/..."
        ),
    ],
    plot: Annotated[
        Path | None, typer.Option(help="Draw the learning curves too: .png, .svg or .pdf.")
    ] = None,
) -> None:
    """Show who played what, for how long and how well. No emulator is started."""
    from understudy.suite.pictures import learning_curve

    if plot is not None:
        _require_drawable(plot)
    curves: list[Curve] = []
    for path in [file for named in paths for file in _named.files(named)]:
        history = _named.read(path)
        typer.echo(str(path))
        for name, text in _facts(history).items():
            typer.echo(f"  {name:<9} {text}")
        if plot is not None and history.ended.any():
            curves.append(learning_curve.of_history(history, _short(path)))
    if plot is not None:
        _write_plot(plot, curves)


def _facts(history: History) -> dict[str, str]:
    """Return what `info` shows of a life, by heading."""
    header = history.header
    explored = f", {100 * history.explored.mean():.1f} % explored" if history.num_moves else ""
    return {
        "game": header.game,
        "player": _scalars(header.player),
        "life": _scalars(header.life),
        "moves": f"{history.num_moves:,} in {_named.segments(history)}{explored}",
        **_episodes(history),
        "recorded": _scalars({"format": header.format, **header.versions}),
        "content": f"SHA-256 {history.content_sha256}",
    }


def _episodes(history: History) -> dict[str, str]:
    from understudy.suite.pictures import learning_curve

    ends = history.ended.nonzero()[0]
    if not len(ends):
        return {"episodes": "none ended"}
    returns = _episode_returns(history, ends)  # [episodes]
    tenth = -(-len(returns) // 10)
    values = learning_curve.of_history(history, "").skill
    truncated = int((history.truncated & ~history.terminated).sum())
    return {
        "episodes": f"{len(ends):,} ended: {len(ends) - truncated:,} terminal, {truncated:,} by the cap",
        "returns": f"{returns.min():g} to {returns.max():g}; mean of the first tenth "
        f"{returns[:tenth].mean():.4g}, of the last {returns[-tenth:].mean():.4g}",
        "skill": f"{sparkline(values)} {min(values):.4g} to {max(values):.4g} points an episode, "
        f"in {len(values)} blocks",
    }


def _episode_returns(history: History, ends: np.ndarray) -> np.ndarray:
    """Return the points of each ended episode, float64 [episodes]."""
    import numpy as np

    return np.diff(np.cumsum(history.reward, dtype=np.float64)[ends], prepend=0.0)


def _require_drawable(plot: Path) -> None:
    from understudy.suite.pictures import printing

    printing.require_suffix(plot)


def _short(path: Path) -> str:
    """Return a life's name for a legend: the folder it lies in, or its file where it isn't named as usual."""
    return path.absolute().parent.name if path.name.startswith(_named.HISTORY) else path.stem


def _write_plot(plot: Path, curves: list[Curve]) -> None:
    from understudy.suite.errors import InputError
    from understudy.suite.pictures import learning_curve, printing

    if not curves:
        raise InputError(f"{plot}: nothing to draw, no episode has ended in these lives")
    printing.write(learning_curve.learning_curve(curves), plot)
    typer.echo(f"{plot}: {len(curves)} {'life' if len(curves) == 1 else 'lives'}")


def sparkline(values: Sequence[float] | np.ndarray) -> str:
    """Return one bar a value, the lowest for the least and the highest for the greatest."""
    low, high = min(values), max(values)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in values)


def _scalars(values: Mapping[str, Any]) -> str:
    """Return the plain values of a mapping as text; what is nested stays in the file."""
    plain = {key: value for key, value in values.items() if isinstance(value, str | int | float)}
    return ", ".join(f"{key} {value}" for key, value in plain.items()) or "-"
