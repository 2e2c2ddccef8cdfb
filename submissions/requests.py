"""Requests: a row that is asked for, how it is played, and what is reported meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from understudy.submissions.plan import DEV_SALT


@dataclass(frozen=True)
class Progress:
    """What is reported while lives are played."""

    row: str
    role: str
    moves: int  # played so far, of each life of the job
    target_moves: int


@dataclass(frozen=True)
class Request:
    """A row asked for, and how it is played."""

    name_or_path: str  # of the entrant
    benchmark: str
    budget: str
    results: Path
    lanes: int | None = None  # None: the budget's
    threads: int = 1
    restart: bool = False
    salt: str = DEV_SALT  # of the round; the maintainers draw it after a submission is registered

    def results_of(self, row: str) -> Path:
        """Return the folder of a row of this benchmark and budget."""
        return self.results / self.benchmark / self.budget / row


Report = Callable[[Progress], None]


def relearning(row: str, report: Report) -> Callable[[int, int], None]:
    """Return who reports that a row's player is being made of its relearnt teachers."""
    return lambda done, total: report(Progress(row, "relearning its teachers", done, total))
