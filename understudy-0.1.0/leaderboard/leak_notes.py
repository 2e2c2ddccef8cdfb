"""Results of the leak test: does a submission predict published continuations better than held-back ones?

Both kinds are of runs that it watched up to W. Weights that were trained on a published continuation, which
is part of the reference, predict it better; for other weights the two kinds are alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from understudy.suite.harness import records, row_documents

SUSPECTED_NATS: Final = 0.02  # mean next-action loss on held-back continuations minus that on published ones


@dataclass(frozen=True)
class Leak:
    """How much worse held-back continuations are predicted, in nats, with a 95 % interval."""

    difference_nats: float
    low: float | None
    high: float | None

    @property
    def suspected(self) -> bool:
        """Whether the difference is large enough and its interval is above 0."""
        return self.difference_nats > SUSPECTED_NATS and self.low is not None and self.low > 0


def measured(row_folder: Path, submission_identity: str) -> Leak | None:
    """Return the result of a submission's leak test, or None if it was not tested.

    Raises InputError if the stored result cannot be read.
    """
    path = row_folder / records.LEAKS
    if not path.exists():
        return None
    found = row_documents.read(row_documents.Leaks, path)
    if found["submission_identity"] != submission_identity:
        return None
    return Leak(found["difference_nats"], found["low"], found["high"])
