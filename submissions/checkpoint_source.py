"""The source of a submitted checkpoint's player, as a value that can be passed to any process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from understudy.submissions.submission_format import Checkpoint, Submission
from understudy.suite.benchmarks import Benchmark, TeacherRun


@dataclass(frozen=True)
class CheckpointSource:
    """A submitted checkpoint, and the data from which it is loaded or retrained."""

    submission: Submission
    checkpoint: Checkpoint
    identity: str  # of the checkpoint
    benchmark: Benchmark
    watched: tuple[str, ...]  # names of the runs that it was trained on
    runs: Mapping[str, TeacherRun]  # those of them that are on this machine, by name
