"""Facts about a row beside its verdicts: the size and training of its submission, and what played it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from understudy.leaderboard.stored_rows import RowFolder
from understudy.suite.harness import row_storage

UNKNOWN: Mapping[str, Any] = {
    "parameters": None,
    "watched_runs": None,
    "watched_moves": None,
    "training": None,
}


def of_submission(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the size of a row's submission and what it was trained on, null where the row does not say."""
    return {**UNKNOWN, **(row.get("facts") or {})}


def of_playing(folder: RowFolder, of_runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what was played and by what, null where unknown; `seconds` are those of its jobs together.

    `of_runs` are the records of the row's runs.
    """
    if not of_runs:
        return {"runs": 0, "moves": 0, "seconds": None, "hardware": None}
    first = of_runs[0]
    job = first["job"]
    timing = row_storage.timing(folder.path)
    return {
        "runs": len(of_runs),
        "moves": sum(int(record["moves"]) for record in of_runs),
        "seconds": math.fsum(each["seconds"] for each in timing.values()) if timing else None,
        "hardware": {
            "device": job["device"],
            "precision": job["precision"],
            "threads": job["threads"],
            "versions": dict(job["versions"]),
            "software": dict(first["software"]),
        },
    }
