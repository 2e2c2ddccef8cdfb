"""The source of a submitted checkpoint's player, as a value that can be passed to any process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from understudy.submissions.submission_format import Checkpoint, Submission
from understudy.suite.benchmarks import Benchmark
from understudy.suite.custom_code import CustomCode


@dataclass(frozen=True)
class CheckpointSource:
    """A submitted checkpoint, and the data from which it is loaded or retrained.

    It goes into every job, so it is small: the runs that were watched are named, and found when they are
    needed.
    """

    submission: Path  # the submission's folder
    folder: str  # of the checkpoint, in the submission's
    identity: str  # of the checkpoint
    architecture: str  # that the submission declares
    custom_code: CustomCode | None  # that it declares for the architecture
    training: Mapping[str, int | float | str] | None  # settings that it declares
    benchmark: Benchmark
    watched: tuple[tuple[str, int, str], ...]  # (name, moves, SHA-256) of the runs that it was trained on


def source_of(submission: Submission, checkpoint: Checkpoint, benchmark: Benchmark) -> CheckpointSource:
    """Return the source of a checkpoint of a submission to this benchmark."""
    declared, watched = submission.declaration, submission.watched
    settings = declared.training_settings
    if settings is not None:
        settings["seed"] = checkpoint.training_seed
    if checkpoint.teacher:
        watched = tuple(run for run in watched if run[0] == checkpoint.teacher)
    return CheckpointSource(
        submission=submission.folder,
        folder=checkpoint.folder,
        identity=submission.checkpoint_identity(checkpoint.folder),
        architecture=declared.architecture,
        custom_code=declared.custom_code,
        training=settings,
        benchmark=benchmark,
        watched=watched,
    )
