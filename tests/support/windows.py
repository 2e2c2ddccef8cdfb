"""Windows of short jobs, chosen by a test rather than drawn."""

from __future__ import annotations

from understudy.suite.harness.drawn_windows import Windows
from understudy.suite.harness.jobs import Job

SALT = "0123456789abcdef" * 2


def of(job: Job, *spans: tuple[int, int]) -> Windows:
    """Return windows of all lanes of a job: these, or one of all moves."""
    return Windows(SALT, spans or ((0, job.moves),), tuple(range(len(job.lanes))))
