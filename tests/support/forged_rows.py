"""Rows that a hostile claimant wrote by hand: logs, records and notes that agree with each other."""

from __future__ import annotations

from pathlib import Path

from understudy.leaderboard import verification
from understudy.suite.harness import records
from understudy.suite.histories import history_format
from understudy.suite.histories.history_format import History
from understudy.suite.io import file_names, files


def put(run: Path, forged: History) -> None:
    """Write a run's log and a record of it, with every hash and number that follows from the log."""
    history_format.write(run / file_names.HISTORY, forged)
    record = files.read_json(run / records.RECORD)
    record |= {"history_sha256": forged.content_sha256, **records.measured(forged)}
    files.write_json(run / records.RECORD, {**record, "record_sha256": records.checksum(record)})


def failures(results: Path) -> list[str]:
    """Return what `understudy verify` finds wrong with a results folder."""
    return [text for found in verification.verify(results, processes=1) for text in found.failures]
