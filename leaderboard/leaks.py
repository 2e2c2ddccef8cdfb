"""The leak test: does a submission predict teachers' published continuations better than held-back lives?

Weights that were trained on a continuation, which the ruler is made of, predict it better than lives that
nobody has published.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from understudy.suite import files, records
from understudy.suite.errors import InputError

SUSPECTED_NATS: Final = 0.02  # mean next-action loss on held-back lives minus that on published ones


def measured(row_folder: Path, submission_sha256: str) -> float | None:
    """Return by how many nats a submission predicts held-back lives worse, None where it was not tested.

    Raises InputError where the note can't be read.
    """
    path = row_folder / records.LEAKS
    if not path.exists():
        return None
    found = files.read_json(path)
    difference = found.get("difference_nats") if isinstance(found, dict) else None
    if not isinstance(difference, int | float):
        raise InputError(f"{path}: expected an object with the number difference_nats; test again")
    return float(difference) if found.get("submission_sha256") == submission_sha256 else None
