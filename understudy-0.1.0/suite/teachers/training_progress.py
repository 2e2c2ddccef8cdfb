"""Progress files: how far each run of a training is, stored beside the run and read when it resumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.suite import games, stored_names
from understudy.suite.errors import InputError
from understudy.suite.histories import history_format
from understudy.suite.histories.journal import Journal
from understudy.suite.io import files
from understudy.suite.io.file_names import HISTORY
from understudy.suite.teachers import checkpoints

PROGRESS = "training.json"  # beside a run: moves, finished, stages

Stage = dict[str, Any]  # from_move, and everything that determines the run's bytes from there on
IN_LOCK_STEP = "runs_in_lock_step"  # of a stage: how many runs were trained together, with this one
UNNAMED = {"device": "cpu", "precision": "float32"}  # of stages that were stored before these had a key
MAY_CHANGE = {*UNNAMED, "threads", "versions", IN_LOCK_STEP}  # where a finished run is extended


@dataclass(frozen=True)
class SavedProgress:
    """Progress of a training's runs, in the training's order."""

    moves: int  # the newest checkpoint that all runs have
    stages: list[list[Stage]]  # of each run; extending it under changed settings adds one
    finished: list[bool]  # of each run


def write(folder: Path, moves: int, finished: bool, stages: Sequence[Stage]) -> None:
    """Write the progress file of the run in a folder."""
    files.write_json(folder / PROGRESS, {"moves": moves, "finished": finished, "stages": list(stages)})


def read(folders: Sequence[Path], target_moves: int, new_stages: Sequence[Stage]) -> SavedProgress | None:
    """Return the progress of the runs in these folders, or None if no run has begun.

    Args:
        folders: of the runs [S].
        target_moves: length of each run.
        new_stages: [S], what would determine each run's bytes from here on.

    Raises:
        InputError: the runs differ from those that are asked for, only some of them are there, one is
            longer than `target_moves`, they differ in length, or they were begun with other settings than
            those of `new_stages`.
    """
    saved = {folder: found for folder in folders if (found := _read_run(folder)) is not None}
    begun = any(each["moves"] for each in saved.values())
    if not begun and len(saved) < len(folders):  # nothing yet, or killed before every run had its first file
        return None
    first, *_ = saved
    for folder in folders:
        if folder not in saved:
            raise InputError(
                f"{first}: holds a run, but {folder} does not; train only runs that exist already, or only "
                "new ones"
            )
    moves = min(each["moves"] for each in saved.values())
    for folder, each in saved.items():
        if each["moves"] > target_moves:
            raise InputError(
                f"{folder}: this run is {each['moves']:,} moves long already, not {target_moves:,}"
            )
        # A process killed between two progress files leaves a run one checkpoint ahead; the older one exists.
        if each["moves"] > moves and not checkpoints.numbered(folder, moves).exists():
            raise InputError(
                f"{folder}: {each['moves']:,} moves, but {moves:,} in other runs of this training; extend "
                "runs together only where they have one length"
            )
    stages = [
        _stages(each, new_stage, folder / PROGRESS)
        for (folder, each), new_stage in zip(saved.items(), new_stages, strict=True)
    ]
    return SavedProgress(moves, stages, [each["finished"] for each in saved.values()])


def _read_run(folder: Path) -> dict[str, Any] | None:
    """Return moves, finished and stages of the run in a folder, None where there is none.

    For a finished run without a progress file they are read from its history.
    """
    path, journal = folder / PROGRESS, Journal(folder / f"{HISTORY}.journal")
    before = folder / stored_names.TRAINING_PROGRESS
    if before.exists() and not path.exists():
        path = before
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
        raise InputError(f"{path}: no such file beside an unfinished run; restore it, or use another --out")
    return None


def _stages(saved: Mapping[str, Any], new_stage: Stage, path: Path) -> list[Stage]:
    """Return a run's stages; a finished run that is extended under changed settings gets a new one."""
    stages: list[Stage] = saved["stages"]
    after = _flat(new_stage)
    before = UNNAMED | _flat(_without_neighbours(stages[-1], new_stage))
    if before == after:
        return stages
    differing = games.differing_settings(before, after)
    may_differ = MAY_CHANGE if saved["finished"] else set()
    if any(text.partition(":")[0] not in may_differ for text in differing):
        raise InputError(f"{path}: these runs were begun with {differing[0]}; use another folder for --out")
    return [*stages, {**new_stage, "from_move": saved["moves"]}]


def _without_neighbours(stage: Stage, own: Stage) -> Stage:
    """Return a stage without the games and seeds of the runs beside its own, which were once stored."""
    if IN_LOCK_STEP in stage:
        return stage
    listed = list(zip(stage["game_names"], stage["seeds"], strict=True))
    counted = {**stage, IN_LOCK_STEP: len(listed)}
    if (*own["game_names"], *own["seeds"]) in listed:
        counted |= {"game_names": own["game_names"], "seeds": own["seeds"]}
    return counted


def _flat(stage: Stage) -> Stage:
    """Return everything that determines a stage's bytes, the DQN's settings on the same level as the rest."""
    settings: Stage = stage.get("settings", {})
    return {k: v for k, v in stage.items() if k not in {"from_move", "settings"}} | settings
