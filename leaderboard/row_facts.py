"""Facts about a row beside its verdicts: its submission's size and training, and the machines that played it.

What a row does not say of its submission comes from an entry of this package with the row's identity.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from understudy.leaderboard import stored_rows
from understudy.leaderboard.stored_rows import RowFolder
from understudy.submissions import submission_format, tensors
from understudy.submissions.submission_format import Submission
from understudy.suite import reserved_names
from understudy.suite.errors import InputError
from understudy.suite.harness import records, row_storage

WEIGHTS = "model.safetensors"
UNKNOWN: Mapping[str, Any] = {
    "parameters": None,
    "watched_runs": None,
    "watched_moves": None,
    "training": None,
}


def of(folder: RowFolder, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's facts as plain JSON values, null where unknown.

    `parameters` is the number of one checkpoint's, the largest; `watched_runs` and `watched_moves` count the
    histories that it was trained on; `seconds` is what its jobs took by the clock, one after another.
    """
    return {**of_submission(folder, row), **_of_playing(folder)}


def of_submission(folder: RowFolder, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the size of a row's submission and what it was trained on, null where unknown."""
    if row.get("facts"):
        return {**UNKNOWN, **row["facts"]}
    entry = reserved_names.ENTRIES / folder.benchmark / str(row["name"])
    if row["control"] or not (entry / reserved_names.DECLARATION).is_file():
        return dict(UNKNOWN)
    try:
        submission = _read(entry)
    except InputError:  # `understudy check` says what is wrong with it
        return dict(UNKNOWN)
    if submission.identity != row["identity"]:
        return dict(UNKNOWN)
    histories = submission.declaration.watched.histories
    settings = submission.declaration.training_settings
    return {
        "parameters": max(_parameters(entry / name) for name, _ in submission.checkpoints),
        "watched_runs": len(histories),
        "watched_moves": sum(each.moves for each in histories),
        "training": None if settings is None else dict(settings),
    }


def _of_playing(folder: RowFolder) -> dict[str, Any]:
    runs = stored_rows.run_folders(folder)
    if not runs:
        return {"runs": 0, "moves": 0, "seconds": None, "hardware": None}
    first = records.read(runs[0])
    job = first["job"]
    timing = row_storage.timing(folder.path)
    return {
        "runs": len(runs),
        "moves": sum(int(records.read(run)["moves"]) for run in runs),
        "seconds": math.fsum(each["seconds"] for each in timing.values()) if timing else None,
        "hardware": {
            "device": job["device"],
            "precision": job["precision"],
            "threads": job["threads"],
            "versions": dict(job["versions"]),
            "software": dict(first["software"]),
        },
    }


@functools.lru_cache(maxsize=256)
def _read(entry: Path) -> Submission:
    return submission_format.read(entry)


def _parameters(checkpoint: Path) -> int:
    """Return the number of weights in a checkpoint's file."""
    path = checkpoint / WEIGHTS
    return sum(math.prod(shape) for _, _, shape, _ in tensors.identities(path.read_bytes(), path))
