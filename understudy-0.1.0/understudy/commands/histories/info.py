"""`understudy histories info FILE...`: show game, player, length, returns and skill of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from understudy import arguments
from understudy.commands.histories import _named
from understudy.suite import reserved_names, stored_names
from understudy.suite.io import file_names

if TYPE_CHECKING:
    import numpy as np

    from understudy.leaderboard.figures.learning_curves import Curve
    from understudy.suite.histories.history_format import History
    from understudy.suite.histories.run_archive import PackedPath

COMMAND = typer.Typer()
BARS = "▁▂▃▄▅▆▇█"


@COMMAND.command("info")
def info(
    paths: Annotated[
        list[str],
        typer.Argument(
            parser=arguments.text,
            metavar="FILE...|FOLDER...",
            help="History files, journals, folders of them, hf://datasets/...",
        ),
    ],
    plot: Annotated[
        Path | None,
        typer.Option(parser=arguments.file, help="Also draw the learning curves: .png, .svg or .pdf."),
    ] = None,
) -> None:
    """Show game, player, length, returns and skill of runs. Nothing is replayed."""
    from understudy import screen
    from understudy.leaderboard.figures import learning_curves

    if plot is not None:
        _require_drawable(plot)
    curves: list[Curve] = []
    for path in [file for named in paths for file in _named.files(named)]:
        history = _named.read(path)
        screen.echo(path)
        for name, text in _facts(history, path).items():
            screen.echo(f"  {name:<9} {text}")
        if plot is not None and history.ended.any():
            curves.append(learning_curves.of_history(history, _short(path)))
    if plot is not None:
        _write_plot(plot, curves)


def _facts(history: History, path: Path | PackedPath) -> dict[str, str]:
    """Return the lines of `info` for a run, by heading."""
    header = history.header
    explored = f", {100 * history.explored.mean():.1f} % explored" if history.num_moves else ""
    return {
        "game": header.game,
        "player": _scalars(_named_now(header.player, path)),
        "run": _scalars(_named_now(header.run, path)),
        "moves": f"{history.num_moves:,} in {_named.segments(history)}{explored}",
        **_episodes(history),
        "recorded": _scalars({"format": header.format, **header.versions}),
        "content": f"SHA-256 {history.content_sha256}",
    }


def _named_now(values: Mapping[str, Any], path: Path | PackedPath) -> Mapping[str, Any]:
    """Return a header's values with what is called otherwise now; another's submission keeps its name.

    The package's own players are known by their checkpoint or by the folder of their row.
    """
    name, kind = str(values.get("name")), values.get("kind")
    current = stored_names.current(name)
    ours = (
        values.get("checkpoint") == reserved_names.CONTROL_CHECKPOINT
        or current in Path(str(path)).absolute().parts
    )
    named = {"name": current} if current != name and ours else {}
    return {**values, **named, **({"kind": "imported"} if kind == stored_names.IMPORTED_KIND else {})}


def _episodes(history: History) -> dict[str, str]:
    from understudy.leaderboard.figures import learning_curves

    ends = history.ended.nonzero()[0]
    if not len(ends):
        return {"episodes": "none finished"}
    returns = _episode_returns(history, ends)  # [episodes]
    part = -(-len(returns) // 10)
    values = learning_curves.of_history(history, "").skill
    truncated = int((history.truncated & ~history.terminated).sum())
    return {
        "episodes": f"{len(ends):,} finished: {len(ends) - truncated:,} terminated, {truncated:,} truncated",
        "returns": f"{returns.min():g} to {returns.max():g}; mean of the first 10 %: "
        f"{returns[:part].mean():.4g}, of the last: {returns[-part:].mean():.4g}",
        "skill": f"{sparkline(values)} {min(values):.4g} to {max(values):.4g} points per episode, "
        f"in {len(values)} blocks",
    }


def _episode_returns(history: History, ends: np.ndarray) -> np.ndarray:
    """Return the returns of the finished episodes, float64 [episodes]."""
    import numpy as np

    return np.diff(np.cumsum(history.reward, dtype=np.float64)[ends], prepend=0.0)


def _require_drawable(plot: Path) -> None:
    from understudy.leaderboard.figures import printing

    printing.require_suffix(plot)


def _short(path: Path | PackedPath) -> str:
    """Return a run's name for a legend: its folder's name, or the file's if it isn't HISTORY."""
    found = Path(str(path))
    return found.absolute().parent.name if found.name.startswith(file_names.HISTORY) else found.stem


def _write_plot(plot: Path, curves: list[Curve]) -> None:
    from understudy.leaderboard.figures import learning_curves, printing
    from understudy.suite.errors import InputError

    if not curves:
        raise InputError(f"{plot}: nothing to draw, no episode has finished in these runs")
    printing.write(learning_curves.learning_curve(curves), plot)
    typer.echo(f"{plot}: {len(curves)} {'run' if len(curves) == 1 else 'runs'}")


def sparkline(values: Sequence[float] | np.ndarray) -> str:
    """Return one bar per value, the lowest bar for the smallest value and the highest for the largest."""
    low, high = min(values), max(values)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in values)


def _scalars(values: Mapping[str, Any]) -> str:
    """Return the texts and numbers of a mapping as text; nested values are left out."""
    plain = {key: value for key, value in values.items() if isinstance(value, str | int | float)}
    return ", ".join(f"{key} {value}" for key, value in plain.items()) or "-"
