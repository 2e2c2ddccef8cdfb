"""`understudy histories import KIND SOURCE`: import a recorded run, or record how a trained player plays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy import arguments, suite
from understudy.suite import registry
from understudy.suite.io import file_names

if TYPE_CHECKING:
    from understudy.suite.protocols import Game

COMMAND = typer.Typer()
PLAYED_MOVES = 20_000
SUITE = Path(suite.__path__[0])
RECORDED = registry.names([SUITE / "histories" / "importers"])  # listed by file, so that help loads no torch
TRAINED = registry.names([SUITE / "teachers" / "policies"])


@COMMAND.command("import")
def import_(
    kind: Annotated[
        str,
        typer.Argument(help=f"Recorded runs: {', '.join(RECORDED)}. Trained players: {', '.join(TRAINED)}."),
    ],
    source: Annotated[
        Path, typer.Argument(parser=arguments.path, help="The folder of recorded runs, or the player's file.")
    ],
    game: Annotated[str, typer.Option(help="The game, e.g. atari/breakout.")],
    out: Annotated[Path, typer.Option(parser=arguments.folder, help="The folder for history.parquet.")],
    shards: Annotated[
        str | None, typer.Option(help="Shards of a recorded run to read: FIRST:END, without END.")
    ] = None,
    moves: Annotated[
        int | None, typer.Option(min=1, help=f"Moves of a trained player; default {PLAYED_MOVES:,}.")
    ] = None,
) -> None:
    """Import a recorded run, or let a trained player play and record its run."""
    from understudy.suite import games

    registry.choose(kind, (*RECORDED, *TRAINED), "kind of import")
    path = out / file_names.HISTORY
    _refuse(kind, path, shards, moves)
    if kind in RECORDED:
        _recorded(kind, source, games.load(game), path, _range(shards) if shards else None)
    else:
        _played(kind, source, games.load(game), out, moves or PLAYED_MOVES)


def _recorded(kind: str, source: Path, game: Game, path: Path, shards: range | None) -> None:
    from understudy import screen
    from understudy.suite.errors import InputError
    from understudy.suite.histories import imported, importers

    importer = importers.importer(kind)
    if shards is not None and not importer.takes_shards:
        raise InputError(f"--shards: {kind} data have no shards; leave the option out")
    opened = importer.open(source, game, shards)
    _warn(opened.lacks)
    try:
        with screen.progress() as shown:
            history = imported.record(
                path,
                game,
                opened.blocks,
                opened.source,
                opened.lacks,
                report=lambda moves: shown.report("importing", moves, opened.max_moves),
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; nothing was written to {path}, start the import again") from None
    typer.echo(
        f"{path}: {history.num_moves:,} moves of {game.name}, frames in the frame store of this machine"
    )
    typer.echo("for watching and for training; it can't be replayed, verified or published as a score")


def _played(kind: str, source: Path, game: Game, out: Path, moves: int) -> None:
    from understudy import screen
    from understudy.suite.io import files
    from understudy.suite.teachers import fixed_player, policies

    parameters = policies.policy(kind).load(source, game)
    origin = {
        "importer": kind,
        "file": source.name,
        "bytes": source.stat().st_size,
        "sha256": files.sha256(source),
    }
    _warn(policies.LACKS)
    with screen.progress() as shown:
        path = fixed_player.play(
            game,
            parameters,
            origin,
            policies.LACKS,
            out,
            moves,
            lambda done, total: shown.report("playing", done, total),
        )
    typer.echo(f"{path}: {moves:,} moves of {game.name}, played by {path.with_name(fixed_player.NETWORK)}")
    typer.echo("it can be replayed and verified; its player doesn't learn, so it is no teacher's run")


def _refuse(kind: str, path: Path, shards: str | None, moves: int | None) -> None:
    """Raise InputError for options that don't apply, or if a history would be overwritten."""
    from understudy.suite.errors import InputError

    if kind in RECORDED and moves is not None:
        raise InputError(
            f"--moves: {kind} imports a recorded run; leave the option out, or choose with --shards"
        )
    if kind in TRAINED and shards is not None:
        raise InputError(f"--shards: {kind} is a trained player, without shards; leave the option out")
    if path.exists():
        raise InputError(f"{path}: exists already; choose another --out, or remove it to import again")


def _range(shards: str) -> range:
    from understudy.suite.errors import InputError

    first, colon, end = shards.partition(":")
    if not (colon and first.isdecimal() and end.isdecimal() and int(first) < int(end) <= 100_000):
        raise InputError(f"--shards: expected FIRST:END with FIRST < END, e.g. 0:2; found {shards!r}")
    return range(int(first), int(end))


def _warn(lacks: tuple[str, ...]) -> None:
    from understudy import screen

    for line in lacks:
        screen.echo(f"warning: {line}", err=True)
