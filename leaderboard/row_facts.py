"""Facts about a row beside its verdicts: the size and training of its submission, and what played it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from understudy.leaderboard import stored_rows
from understudy.leaderboard.stored_rows import RowFolder
from understudy.suite.harness import records, row_storage

UNKNOWN: Mapping[str, Any] = {
    "parameters": None,
    "watched_runs": None,
    "watched_moves": None,
    "training": None,
}


def of_submission(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the size of a row's submission and what it was trained on, null where the row does not say."""
    return {**UNKNOWN, **(row.get("facts") or {})}


def of_playing(folder: RowFolder) -> dict[str, Any]:
    """Return what was played and by what, null where unknown; `seconds` are those of its jobs together."""
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
