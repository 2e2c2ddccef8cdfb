"""How far the lives of a lesson are, as the small file beside each tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.suite import files, games
from understudy.suite.errors import InputError
from understudy.suite.histories import format as history_format
from understudy.suite.histories.journal import Journal
from understudy.suite.teachers import checkpoints

HISTORY = "history.parquet"
PROGRESS = "teach.json"  # of a life: moves, finished, stages

Stage = dict[str, Any]  # from_move, and all that determines the bytes from there on
UNNAMED = {"device": "cpu", "precision": "float32"}  # of stages begun before these were told


@dataclass(frozen=True)
class Standing:
    """How far the lives of a lesson are, in its order."""

    moves: int  # up to which the files of all of them belong together
    stages: list[list[Stage]]  # of each life, a new one at the end if finished lives are carried on
    finished: list[bool]  # of each life


def tell(folder: Path, moves: int, finished: bool, stages: Sequence[Stage]) -> None:
    """Write how far the life in a folder is."""
    files.write_json(folder / PROGRESS, {"moves": moves, "finished": finished, "stages": list(stages)})


def of_lives(folders: Sequence[Path], target_moves: int, now: Stage) -> Standing | None:
    """Return how far the lives in these folders are, None where there are none.

    Raises:
        InputError: they are other lives, only some of them, longer than `target_moves`, of different
            lengths, or begun with other settings than those of `now`.
    """
    told = {folder: found for folder in folders if (found := _told(folder)) is not None}
    begun = any(each["moves"] for each in told.values())
    if not begun and len(told) < len(folders):  # killed as it began, at the latest
        return None
    first, *_ = told
    for folder in folders:
        if folder not in told:
            raise InputError(
                f"{first}: a life lies here, and none in {folder}; teach those that are there, or only "
                "those that are not"
            )
    moves = min(each["moves"] for each in told.values())
    for folder, each in told.items():
        if each["moves"] > target_moves:
            raise InputError(
                f"{folder}: this life is {each['moves']:,} moves long already, not {target_moves:,}"
            )
        behind = checkpoints.numbered(folder, moves)  # told of by a process that was killed before it
        if each["moves"] > moves and not behind.exists():  # could tell of the next one in all folders
            raise InputError(
                f"{folder}: {each['moves']:,} moves, but {moves:,} in other lives of this lesson; carry "
                "lives on together where they are of one length"
            )
    stages = [_stages(each, now, folder / PROGRESS) for folder, each in told.items()]
    return Standing(moves, stages, [each["finished"] for each in told.values()])


def _told(folder: Path) -> dict[str, Any] | None:
    """Return moves, finished and stages of the life in a folder, None where there is none.

    A finished life that came without its progress file tells them itself.
    """
    path, journal = folder / PROGRESS, Journal(folder / f"{HISTORY}.journal")
    if path.exists():
        found = files.read_json(path)
        whole = isinstance(found, dict) and isinstance(found.get("moves"), int) and found.get("stages")
        if not whole or "finished" not in found:
            raise InputError(f"{path}: expected moves, finished and stages; restore it, or use another --out")
        return dict(found)
    if (folder / HISTORY).exists():
        history = history_format.read(folder / HISTORY)
        return {"moves": history.num_moves, "finished": True, "stages": history.header.player["stages"]}
    if any(journal.checkpoints()):
        raise InputError(f"{path}: no such file beside an unfinished life; restore it, or use another --out")
    return None


def _stages(told: Mapping[str, Any], now: Stage, path: Path) -> list[Stage]:
    """Return the stages of a life to be gone on with, a new one if a finished life is carried on."""
    stages: list[Stage] = told["stages"]
    before, after = UNNAMED | _flat(stages[-1]), _flat(now)
    if before == after:
        return stages
    differing = games.differing_settings(before, after)
    may_differ = {*UNNAMED, "threads", "versions", "seeds", "game_names"} if told["finished"] else set()
    if any(text.partition(":")[0] not in may_differ for text in differing):
        raise InputError(f"{path}: these lives were begun with {differing[0]}; use another folder for --out")
    return [*stages, {**now, "from_move": told["moves"]}]


def _flat(stage: Stage) -> Stage:
    """Return all that determines a stage's bytes, its hyper-parameters beside the rest."""
    settings: Stage = stage.get("settings", {})
    return {k: v for k, v in stage.items() if k not in {"from_move", "settings"}} | settings
