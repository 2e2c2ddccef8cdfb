"""The leak test: does a submission predict published continuations better than those held back?

Both are of lives that it watched up to W. Weights that were trained on a published continuation, which the
ruler is made of, predict it better; to others the two kinds are alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from understudy.suite import files, records
from understudy.suite.errors import InputError

SUSPECTED_NATS: Final = 0.02  # mean next-action loss on held-back continuations minus that on published ones


@dataclass(frozen=True)
class Leak:
    """By how many nats held-back continuations are predicted worse, with its 95 % interval."""

    difference_nats: float
    low: float | None
    high: float | None

    @property
    def suspected(self) -> bool:
        """Whether the difference is worth a word, and more than chance."""
        return self.difference_nats > SUSPECTED_NATS and self.low is not None and self.low > 0


def measured(row_folder: Path, submission_sha256: str) -> Leak | None:
    """Return what the leak test found of a submission, None where it was not tested.

    Raises InputError where the note can't be read.
    """
    path = row_folder / records.LEAKS
    if not path.exists():
        return None
    found = files.read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("difference_nats"), int | float):
        raise InputError(f"{path}: expected an object with the number difference_nats; test again")
    if found.get("submission_sha256") != submission_sha256:
        return None
    return Leak(found["difference_nats"], found.get("low"), found.get("high"))
