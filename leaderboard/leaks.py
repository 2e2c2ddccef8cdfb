"""The leak test: does a submission predict teachers' published continuations better than held-back lives?

Weights that were trained on a continuation, which the ruler is made of, predict it better than lives that
nobody has published.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from understudy.suite import files
from understudy.suite.errors import InputError

LEAKS: Final = "leaks.json"  # in a row's folder
SUSPECTED_NATS: Final = 0.02  # mean next-action loss on held-back lives minus that on published ones


def measured(row_folder: Path) -> float | None:
    """Return by how many nats held-back lives are predicted worse, None where it was not tested.

    Raises InputError where the note can't be read.
    """
    path = row_folder / LEAKS
    if not path.exists():
        return None
    found = files.read_json(path)
    difference = found.get("difference_nats") if isinstance(found, dict) else None
    if not isinstance(difference, int | float):
        raise InputError(f"{path}: expected an object with the number difference_nats; test again")
    return float(difference)
