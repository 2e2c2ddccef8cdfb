"""Records: what is stored about a played run; a function of the job and the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from understudy.suite.harness import row_documents
from understudy.suite.histories.history_format import History
from understudy.suite.io import files
from understudy.suite.io.readable import Readable

ROW, JOB = "row.json", "job.json"  # in a row's folder and in a job's folder
RECORD = "record.json"  # in a run's folder, beside its history
TIMING = "timing.json"  # in a job's folder while its row is played, then in the row's
AGREEMENT = "agreement"  # folder of a row: <row>/agreement/<checkpoint>/<teacher>.safetensors
ISOLATION = "isolation.json"  # in a job's folder: result of checking the isolation of its lanes
RECHECKED = "rechecked.json"  # in a job's folder: whether its player, given the logs, chooses the same moves
LEAKS = "leaks.json"  # in a row's folder: result of the leak test
CHECKS = (ISOLATION, RECHECKED)
Folder = TypeVar("Folder", bound=Readable)
CHECKED_MOVES = 10_000  # checked for isolation at a run's start and at its end


def predictions_path(row_folder: Folder, checkpoint: str, teacher: str) -> Folder:
    """Return where a checkpoint's predictions of a teacher's moves are stored."""
    return row_folder / AGREEMENT / checkpoint / f"{teacher.replace('/', '.')}.safetensors"


def run_of(job: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Return what the log and the record of one run hold of a job: its own lane, and no label.

    The records of a job therefore grow with the number of its runs, not with its square.

    Args:
        job: the job's spec, as in its `job.json`.
        index: the run's position among the job's lanes.
    """
    lane, player = job["lanes"][index], job["player"]
    networks = {
        name: sha256 for name, sha256 in player.get("networks_at_w", {}).items() if name == lane["teacher"]
    }
    return {
        "lane": {"index": index, **lane},
        "job": {
            **{key: value for key, value in job.items() if key != "labels"},
            "lanes": len(job["lanes"]),
            "player": {**player, "networks_at_w": networks},
        },
    }


def record(
    history: History,
    labels: Mapping[str, Any],
    software: Mapping[str, str | None],
    parameters_sha256: Mapping[str, str],
    state_bytes: Mapping[str, int],
) -> dict[str, Any]:
    """Return a run's record, with its checksum.

    Args:
        history: the run's log; its header holds what `run_of` returns.
        labels: of the job; no part of the log.
        software: version of the package that played, and its commit.
        parameters_sha256: of the player's parameters and buffers, `before` and `after`.
        state_bytes: of the run's state, at the `start` and the `largest` over its moves.
    """
    body = {
        "format": row_documents.Record.number,
        **history.header.run,
        "labels": dict(labels),
        "software": dict(software),
        "history_sha256": history.content_sha256,
        **measured(history),
        "parameters_sha256": dict(parameters_sha256),
        "state_bytes": dict(state_bytes),
    }
    return {**body, "record_sha256": checksum(body)}


def read_job(folder: Readable) -> dict[str, Any]:
    """Return the spec stored in a job's folder; InputError if it is not one."""
    return row_documents.read_values(row_documents.Job, folder / JOB)


def read(run: Readable) -> dict[str, Any]:
    """Return the record in a run's folder; InputError if it is not one of this format."""
    return row_documents.read(row_documents.Record, run / RECORD)


def measured(history: History) -> dict[str, Any]:
    """Return the numbers of a record that are computed from the run's log."""
    return {
        "moves": history.num_moves,
        "points": float(history.reward.sum(dtype="float64")),
        "episodes": int(history.ended.sum()),
        "explored": int(history.explored.sum()),
    }


def checked_moves(moves: int) -> dict[str, int]:
    """Return how many first and last moves of a run of `moves` moves a check of isolation covers."""
    return {
        "first_moves": min(CHECKED_MOVES, moves),
        "last_moves": CHECKED_MOVES if moves > CHECKED_MOVES else 0,
    }


def provenance(
    histories_sha256: Sequence[str], parameters_sha256: str, checkpoint_identity: str
) -> dict[str, Any]:
    """Return the hashes of what a check checked: each lane's log, and the weights that played."""
    return {
        "histories_sha256": list(histories_sha256),
        "parameters_sha256": parameters_sha256,
        "checkpoint_identity": checkpoint_identity,
    }


def checksum(body: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a record's canonical text, without its checksum."""
    unsigned = {key: value for key, value in body.items() if key != "record_sha256"}
    return files.text_sha256(files.canonical_json(unsigned))
