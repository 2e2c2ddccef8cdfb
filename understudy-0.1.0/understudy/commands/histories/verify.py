"""`understudy histories verify FILE...`: replay every move and compare it with the log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy import arguments
from understudy.commands.histories import _named

if TYPE_CHECKING:
    from understudy.suite.histories.history_format import History
    from understudy.suite.histories.run_archive import PackedPath

COMMAND = typer.Typer()


@COMMAND.command("verify")
def verify(
    paths: Annotated[
        list[str],
        typer.Argument(
            parser=arguments.text,
            metavar="FILE...|FOLDER...",
            help="History files, folders of history.parquet files, or hf://datasets/...",
        ),
    ],
    processes: Annotated[int | None, typer.Option(min=1, help="Default: all cores.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Replay also what was replayed here before.")
    ] = False,
) -> None:
    """Replay every move in the emulator; exit code 1 if anything differs from the log.

    The segments must also be those that the moves and the header's rule give. A run that was replayed here
    before, under the same versions, is not replayed again.
    """
    from understudy import screen
    from understudy.suite.errors import CheckFailed, InputError
    from understudy.suite.histories import replay, replay_notes

    found = [found for path in paths for found in _named.files(path)]
    readable: dict[Path | PackedPath, History] = {}
    unreadable: dict[Path | PackedPath, str] = {}
    for path in found:
        try:
            history = _named.read(path)
            replay.require_comparable(history)
            readable[path] = history
        except InputError as error:
            unreadable[path] = str(error)
    notes = replay_notes.of_this_user(again)
    held = dict(zip(readable, notes.held(list(readable.values())), strict=True))
    due = {path: history for path, history in readable.items() if not held[path]}
    with screen.progress() as shown:
        differences = replay.verify_runs(
            list(due.values()), processes, lambda done, total: shown.report("replay", done, total)
        )
    notes.update(list(due.values()), differences)
    replayed = dict(zip(due, differences, strict=True))
    differing = {
        path: text
        for path, history in readable.items()
        if (text := _cut_elsewhere(history) or replayed.get(path))
    }
    try:
        for path in found:
            screen.echo(
                unreadable.get(path) or _verdict(path, readable[path], differing.get(path), held[path])
            )
    finally:  # also where the reader of this output has left: the exit code is the answer
        if differing:
            raise CheckFailed(f"{len(differing)} of {len(found)} histories differ from their replay")
        if unreadable:
            raise InputError(f"{len(unreadable)} of {len(found)} histories can't be replayed here, see above")


def _cut_elsewhere(history: History) -> str | None:
    """Return the first segment that the moves and the rule of the run's header don't give, or None."""
    from understudy.suite.histories import derived_segments

    rule = derived_segments.stated_rule(history.header)
    return None if rule is None else derived_segments.difference(history, rule)


def _verdict(path: Path | PackedPath, history: History, difference: str | None, before: bool) -> str:
    if difference:
        return f"{path}: differs: {difference}"
    state = "replayed before" if before else "replayed"
    return f"{path}: {state}, {history.num_moves:,} moves in {_named.segments(history)}"
