"""`training.csv` in a submission's folder: the losses of its training, a line a report.

The same training writes the same bytes, whether it was interrupted or not; so no clock is in it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

from understudy.baselines.training.reports import TrainingReport
from understudy.suite.io import files
from understudy.suite.io.file_names import TRAINING_LOG

Line = tuple[str, TrainingReport]  # a checkpoint's folder, and a report of its training
HEADER = ("checkpoint", *(field.name for field in fields(TrainingReport)))


def write(folder: Path, lines: Sequence[Line]) -> None:
    """Write the log of a submission, atomically; a validation loss that is None is an empty cell."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows((checkpoint, *astuple(report)) for checkpoint, report in lines)
    files.write_atomically(folder / TRAINING_LOG, sink.getvalue().encode())
