"""Names that files and seeds of before keep, whatever the code calls the same things now.

Histories of format 1 are published, and the stored rows are bound by hashes to what they were played under.
Their words stay on disk and in seeds; code that reads or writes them maps the words here and nowhere else.
"""

from __future__ import annotations

from typing import Final

HISTORY_RUN: Final = "life"  # key of `Header.run` in a history, part of its content hash
RUN_SEED_STREAM: Final = "life"  # first part of what a run's seed derives from
WEIGHTS_RUN_SEED: Final = "life_seed"  # key in the metadata of a teacher's weights
IMPORTED_KIND: Final = "foreign"  # kind of an imported run and of its player in a history's header
JOB_INTERVENTION: Final = "probe"  # key of `Job.intervention` in job.json, record.json and headers
TRAINING_UPDATES: Final = "steps"  # key of `TrainingSettings.updates` in submission.json
TRAINING_WARMUP_UPDATES: Final = "warmup_steps"  # key of `TrainingSettings.warmup_updates` in submission.json

TRAINING_PROGRESS: Final = "teach.json"  # progress file of teacher runs that were begun before the renaming
ROLLOUT_FIRST_OF_RUN: Final = "first_of_life"  # key in progress.json of jobs that were begun before it
OLD_PREDICTIONS: Final = "likeness"  # folder of a row played before it
TRAINING_FIT_STREAM: Final = "probe"  # from which the windows of a reported fit are drawn

# Name now -> name in row.json, job.json, submission.json and config.json, and in the seeds of controls.
_STORED: Final = {
    "bc": "markov",
    "bc-time": "step-counter",
    "dqn-continued": "dqn-carrying-on",
    "dqn-scratch": "dqn-fresh",
    "dqn-warm-start": "dqn-transplanted",
    "frozen-teacher": "policy-at-w",
    "open-loop-replay": "teacher-replayer",
}
_CURRENT: Final = {stored: current for current, stored in _STORED.items()}


def stored(name: str) -> str:
    """Return the name under which a player or an architecture is stored, and from which its seeds derive."""
    return _STORED.get(name, name)


def current(name: str) -> str:
    """Return what a stored player or architecture is called now."""
    return _CURRENT.get(name, name)


# SHA-256 of a benchmark's file -> that of the file with the same values under which stored rows were played.
_BENCHMARK_FILES: Final = {
    "3b5c4fa1dffdf3e1bca9df09a7004db2af9ee6317c297a5c32d5acbba5407056": (
        "e2439a6f8cc7c09312f0aff67b93b9d6a51165659024be689078f30a78c097a4"
    ),
    "c2a6ff56ec5e4a1133f32b23f2eb9d7b61a72d27438891fc012579fe796a17bc": (
        "76e8436b0a1afd71fc92c5e94c85ad2a5750b488222049e36ffb67640627984b"
    ),
    "9adc95fd01fa1dca13faf8a374de848feffe4727aa33e8b27b029f09103db4ea": (
        "0aa1fdd1e6b580204b0e556c5371d176bf513cafabb1f2c6f73b5892539ac0f0"
    ),
}


def benchmark_sha256(file_sha256: str) -> str:
    """Return the hash that a benchmark's file has in stored rows and seeds."""
    return _BENCHMARK_FILES.get(file_sha256, file_sha256)
