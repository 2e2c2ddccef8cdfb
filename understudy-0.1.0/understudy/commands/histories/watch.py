"""`understudy histories watch FILE`: write moves of a run as a GIF or video, replayed from the log."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy import arguments
from understudy.commands.histories import _named

if TYPE_CHECKING:
    import numpy as np

    from understudy.suite.histories.history_format import History
    from understudy.suite.histories.run_archive import PackedPath

COMMAND = typer.Typer()


@COMMAND.command("watch")
def watch(
    named: Annotated[
        str,
        typer.Argument(
            parser=arguments.text,
            metavar="FILE",
            help="A history file, a journal, or hf://datasets/...@.../...",
        ),
    ],
    out: Annotated[Path, typer.Option(parser=arguments.file, help="The film to write: .gif, .webp or .mp4.")],
    first_move: Annotated[int, typer.Option("--from", min=0, help="The first move to show.")] = 0,
    moves: Annotated[int, typer.Option(min=1, help="How many moves, at most to the run's end.")] = 500,
    scale: Annotated[int, typer.Option(min=1, max=16, help="Enlargement of a frame 84 pixels high.")] = 4,
    fps: Annotated[int, typer.Option(min=1, max=50, help="Moves per second; an Atari makes 15.")] = 15,
) -> None:
    """Replay moves of a run and write them as a film, with move, points and action in each picture."""
    from understudy import screen
    from understudy.suite.histories import films, frame_store, move_images
    from understudy.suite.io import files

    suffix = films.require_suffix(out)
    path = _only(named)
    history = _named.read(path)
    _require_inside(path, history, first_move)
    _require_writable(out)
    stop = min(first_move + moves, history.num_moves)
    with screen.progress() as shown, _cache(path) as cache:
        store = frame_store.open_store(
            history,
            move_images.first_frame(history, first_move),
            stop,
            report=lambda done, total: shown.report("replay", done, total),
            cache=cache,
        )

        def drawn() -> Iterator[np.ndarray]:
            for done, picture in enumerate(move_images.pictures(history, store, first_move, stop, scale), 1):
                yield picture
                shown.report("drawing", done, stop - first_move)

        files.write_atomically(out, films.film(drawn(), suffix, fps))
    screen.echo(f"{out}: moves {first_move:,} to {stop - 1:,} of {history.header.game}")


def _only(named: str) -> Path | PackedPath:
    """Return the one history that an argument names; raise InputError for a folder of several."""
    from understudy.suite.errors import InputError

    found = _named.files(named)
    if len(found) > 1:
        raise InputError(f"{named}: expected one run, found {len(found)}; name one, e.g. {found[0]}")
    return found[0]


def _require_inside(path: Path | PackedPath, history: History, first_move: int) -> None:
    from understudy.suite.errors import InputError

    if not history.num_moves:
        raise InputError(f"{path}: this run has no moves yet")
    if first_move >= history.num_moves:
        raise InputError(
            f"{path}: this run has the moves 0 to {history.num_moves - 1:,}; found --from {first_move:,}"
        )


def _require_writable(out: Path) -> None:
    """Raise MachineError now rather than after minutes of replay."""
    from understudy.suite.errors import MachineError

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(
            f"{out.parent}: can't be created ({error.strerror}); choose another --out"
        ) from error
    if not os.access(out.parent, os.W_OK) or out.is_dir():
        raise MachineError(f"{out}: can't be written; choose another --out")


@contextmanager
def _cache(path: Path | PackedPath) -> Iterator[Path | None]:
    """Yield the cache for the frames: the user's (None), or a temporary one for a journal, which grows."""
    if not _named.is_journal(path):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="understudy-") as folder:
        yield Path(folder)
