"""Records: what a played life says of itself, all of it a function of the job and the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from understudy.suite import files
from understudy.suite.histories.format import History

RECORD_FORMAT = 1
HISTORY, RECORD, RUN, JOB = "history.parquet", "record.json", "run.json", "job.json"
ISOLATION = "isolation.json"  # in a job's folder: what a check of its lives found
REDERIVED = "rederived.json"  # likewise: whether its player, fed the log, chooses the same moves
LEAKS = "leaks.json"  # in a row's folder: how well its weights predict lives that nobody has published
FED_AGAIN = (ISOLATION, REDERIVED)


def record(
    job: Mapping[str, Any],
    lane: int,
    history: History,
    parameters_sha256: Mapping[str, str],
    state_bytes: Mapping[str, int],
) -> dict[str, Any]:
    """Return a life's record, sealed.

    Args:
        job: the job's spec.
        lane: the life's position in the job.
        history: the life's log.
        parameters_sha256: of the player's parameters and buffers, `before` and `after`.
        state_bytes: of the life's state, at `start` and `end`.
    """
    body = {
        "format": RECORD_FORMAT,
        "job": dict(job),
        "lane": lane,
        "history_sha256": history.content_sha256,
        **measured(history),
        "parameters_sha256": dict(parameters_sha256),
        "state_bytes": dict(state_bytes),
    }
    return {**body, "record_sha256": seal(body)}


def measured(history: History) -> dict[str, Any]:
    """Return a life's own numbers, each a function of its log."""
    return {
        "moves": history.num_moves,
        "points": float(history.reward.sum(dtype="float64")),
        "episodes": int(history.ended.sum()),
        "explored": int(history.explored.sum()),
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
