"""`understudy histories info|verify`: look at recorded lives, and prove them by replay."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np

    from understudy.suite.histories.format import History

COMMAND = typer.Typer(
    name="histories", help="Recorded lives: look at them, prove them.", no_args_is_help=True
)
HISTORY = "history.parquet"
BARS = "▁▂▃▄▅▆▇█"


@COMMAND.command("info")
def info(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="History files, or journals.")],
) -> None:
    """Show who played what, for how long and how well. No emulator is started."""
    for path in paths:
        history = _read(path)
        typer.echo(str(path))
        for name, text in _facts(history).items():
            typer.echo(f"  {name:<9} {text}")


@COMMAND.command("verify")
def verify(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...|FOLDER...", help=f"History files, or folders of {HISTORY} files."),
    ],
    processes: Annotated[int | None, typer.Option(min=1, help="Default: all cores.")] = None,
) -> None:
    """Replay every move through the emulator, one line a file; exit code 1 if anything differs."""
    from understudy import screen
    from understudy.suite.errors import CheckFailed, InputError
    from understudy.suite.histories import replay

    found = [found for path in paths for found in _files(path)]
    readable: dict[Path, History] = {}
    unreadable: dict[Path, str] = {}
    for path in found:
        try:
            history = _read(path)
            replay.require_comparable(history)
            readable[path] = history
        except InputError as error:
            unreadable[path] = str(error)
    with screen.progress() as shown:
        differences = replay.verify_lives(
            list(readable.values()), processes, lambda done, total: shown.report("replay", done, total)
        )
    differing = {path: text for path, text in zip(readable, differences, strict=True) if text}
    for path in found:
        typer.echo(unreadable.get(path) or _verdict(path, readable[path], differing.get(path)))
    if differing:
        raise CheckFailed(f"{len(differing)} of {len(found)} histories differ from their replay")
    if unreadable:
        raise InputError(f"{len(unreadable)} of {len(found)} histories can't be replayed here, see above")


def _files(path: Path) -> list[Path]:
    """Return the histories that an argument names: itself, or all below a folder."""
    from understudy.suite.errors import InputError
    from understudy.suite.histories.journal import Journal

    if not path.is_dir() or Journal(path).exists:
        return [path]
    found = sorted(path.rglob(HISTORY))
    if not found:
        raise InputError(f"{path}: expected {HISTORY} files below this folder, found none")
    return found


def _read(path: Path) -> History:
    """Read a history file, or a journal's life up to its last checkpoint."""
    from understudy.suite.histories import format as history_format
    from understudy.suite.histories.journal import Journal

    return Journal(path).load() if path.is_dir() else history_format.read(path)


def _verdict(path: Path, history: History, difference: str | None) -> str:
    if difference:
        return f"{path}: differs: {difference}"
    return f"{path}: replayed, {history.num_moves:,} moves in {_segments(history)}"


def _facts(history: History) -> dict[str, str]:
    """Return what `info` shows of a life, by heading."""
    header = history.header
    explored = f", {100 * history.explored.mean():.1f} % explored" if history.num_moves else ""
    return {
        "game": header.game,
        "player": _scalars(header.player),
        "life": _scalars(header.life),
        "moves": f"{history.num_moves:,} in {_segments(history)}{explored}",
        **_episodes(history),
        "recorded": _scalars({"format": header.format, **header.versions}),
        "content": f"SHA-256 {history.content_sha256}",
    }


def _episodes(history: History) -> dict[str, str]:
    ends = history.ended.nonzero()[0]
    if not len(ends):
        return {"episodes": "none ended"}
    returns = _episode_returns(history, ends)  # [episodes]
    tenth = -(-len(returns) // 10)
    values = _skill_blocks(history)
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


def _skill_blocks(history: History) -> list[float]:
    from understudy.suite.judging import lives

    life = lives.Life("", 0, 0, history.reward, history.ended)
    count = min(lives.NUM_BLOCKS, history.num_moves)
    blocks = lives.blocks(life, history.num_moves, minimum_ends=1, num_blocks=count)
    return [block.value for block in blocks]


def sparkline(values: list[float]) -> str:
    """Return one bar a value, the lowest for the least and the highest for the greatest."""
    low, high = min(values), max(values)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in values)


def _segments(history: History) -> str:
    count = sum(segment.length > 0 for segment in history.header.segments)
    return f"{count} segment{'' if count == 1 else 's'}"


def _scalars(values: Mapping[str, Any]) -> str:
    """Return the plain values of a mapping as text; what is nested stays in the file."""
    plain = {key: value for key, value in values.items() if isinstance(value, str | int | float)}
    return ", ".join(f"{key} {value}" for key, value in plain.items()) or "-"
