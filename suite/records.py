"""Records: what a played life says of itself, all of it a function of the job and the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from understudy.suite import files
from understudy.suite.errors import InputError
from understudy.suite.histories.format import History

RECORD_FORMAT = 2
HISTORY, RECORD, RUN, JOB = "history.parquet", "record.json", "run.json", "job.json"
ISOLATION = "isolation.json"  # in a job's folder: what a check of its lives found
REDERIVED = "rederived.json"  # likewise: whether its player, fed the log, chooses the same moves
LEAKS = "leaks.json"  # in a row's folder: how well its weights predict continuations that are held back
FED_AGAIN = (ISOLATION, REDERIVED)
CHECKED_MOVES = 10_000  # that a check of isolation feeds again, from a life's start and up to its end


def life_of(job: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Return what one life says of its job: its own lane, and the job without the others.

    So the lives of a job take room in proportion to their number, and not to its square.

    Args:
        job: the job's spec, as in its `job.json`.
        index: the life's position among the job's lanes.
    """
    lane, player = job["lanes"][index], job["player"]
    networks = {
        name: sha256 for name, sha256 in player.get("networks_at_w", {}).items() if name == lane["teacher"]
    }
    return {
        "lane": {"index": index, **lane},
        "job": {**job, "lanes": len(job["lanes"]), "player": {**player, "networks_at_w": networks}},
    }


def record(
    history: History,
    parameters_sha256: Mapping[str, str],
    state_bytes: Mapping[str, int],
) -> dict[str, Any]:
    """Return a life's record, sealed.

    Args:
        history: the life's log, whose header says what `life_of` gives.
        parameters_sha256: of the player's parameters and buffers, `before` and `after`.
        state_bytes: of the life's state, at `start` and `end`.
    """
    body = {
        "format": RECORD_FORMAT,
        **history.header.life,
        "history_sha256": history.content_sha256,
        **measured(history),
        "parameters_sha256": dict(parameters_sha256),
        "state_bytes": dict(state_bytes),
    }
    return {**body, "record_sha256": seal(body)}


def read_job(folder: Path) -> dict[str, Any]:
    """Return the spec in a job's folder; InputError where it is none."""
    path = folder / JOB
    found = files.read_json(path)
    player = found.get("player") if isinstance(found, dict) else None
    named = isinstance(player, dict) and {"checkpoint", "checkpoint_sha256", "training_seed"} <= set(player)
    if not (named and isinstance(found.get("lanes"), list)):
        raise InputError(f"{path}: expected a job's lanes and its player; fetch or play it again")
    return dict(found)


def read(life: Path) -> dict[str, Any]:
    """Return the record in a life's folder; InputError where it is not one of this format."""
    path = life / RECORD
    found: dict[str, Any] = files.read_json(path)
    number = found.get("format") if isinstance(found, dict) else None
    if number != RECORD_FORMAT:
        raise InputError(
            f"{path}: expected a record of format {RECORD_FORMAT}, found {number}; play its job again"
        )
    return found


def measured(history: History) -> dict[str, Any]:
    """Return a life's own numbers, each a function of its log."""
    return {
        "moves": history.num_moves,
        "points": float(history.reward.sum(dtype="float64")),
        "episodes": int(history.ended.sum()),
        "explored": int(history.explored.sum()),
    }


def checked_moves(moves: int) -> dict[str, int]:
    """Return how many of the first and last moves of a life of so many a whole check feeds again."""
    return {
        "first_moves": min(CHECKED_MOVES, moves),
        "last_moves": CHECKED_MOVES if moves > CHECKED_MOVES else 0,
    }


def binding(
    histories_sha256: Sequence[str], parameters_sha256: str, checkpoint_sha256: str
) -> dict[str, Any]:
    """Return what ties a check to what was checked: each lane's log, and the weights that played."""
    return {
        "histories_sha256": list(histories_sha256),
        "parameters_sha256": parameters_sha256,
        "checkpoint_sha256": checkpoint_sha256,
    }


def seal(body: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a record's canonical text, its own seal left out."""
    unsealed = {key: value for key, value in body.items() if key != "record_sha256"}
    return files.text_sha256(files.canonical_json(unsealed))
