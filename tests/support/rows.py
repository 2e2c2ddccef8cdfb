"""Rows for tests: played from names, or made up with given verdicts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from understudy.leaderboard.scores import ScoredRow
from understudy.leaderboard.stored_rows import RowFolder
from understudy.submissions import resolution, scoring
from understudy.suite import benchmarks
from understudy.suite.harness import row_archive, row_storage
from understudy.suite.harness.entry import Entry
from understudy.suite.harness.interventions import Intervention
from understudy.suite.harness.requests import Request, RequestedRow
from understudy.suite.scoring.verdicts import Verdict

SHA256 = "0123456789abcdef" * 4  # of nothing


def entry(name_or_path: str, benchmark_name: str = "darkroom-v1") -> Entry:
    """Return what a name or folder stands for, with the teacher runs of this machine."""
    benchmark = benchmarks.load(benchmark_name)
    return resolution.resolve(name_or_path, benchmark, benchmarks.teacher_runs(benchmark))


def requested(
    name_or_path: str, out: Path, benchmark: str = "darkroom-v1", budget: str = "quick", **how: Any
) -> RequestedRow:
    """Return a requested row; `how` are the other fields of `Request`."""
    (row,) = scoring.rows_of([Request(name_or_path, benchmark, budget, out, **how)])
    return row


def score(
    rows: RequestedRow | Sequence[RequestedRow],
    tasks: Sequence[str] | None = None,
    engine: str = "serial",
    applied: Sequence[Intervention] = (),
) -> None:
    """Play rows and their references."""
    chosen = [rows] if isinstance(rows, RequestedRow) else list(rows)
    scoring.score(chosen, tasks, engine, applied=applied)


def copy(source: Path, target: Path) -> Path:
    """Copy a row's folder, packed or not, and return the copy, a tree whose files may be changed."""
    shutil.copytree(source, target)
    with row_storage.unpacked({target: False}):
        (target / row_archive.ARCHIVE).unlink(missing_ok=True)
    return target


def declaration(name: str = "bc", **values: Any) -> dict[str, Any]:
    """Return a sound row.json of an imitator that nobody played, with other values for some keys."""
    return {
        "format": 1,
        "name": name,
        "identity": SHA256,
        "benchmark": "darkroom-v1",
        "benchmark_identity": SHA256,
        "architecture": "bc",
        "control": False,
        "decoding": "greedy",
        "track": "frozen",
        "watched": "multi",
        "priming_moves": 0,
        "search_trials": None,
        "training_targets": None,
        "round": "dev",
        "declaration": SHA256,
        "other_teacher_data": False,
        "checkpoints": {"all": SHA256},
        **values,
    }


def job(num_lanes: int = 2, **values: Any) -> dict[str, Any]:
    """Return a sound job.json that nobody played, with other values for some keys."""
    lane = {"game": "darkroom/goal-00", "unit": "goal-00", "teacher": "goal-00/seed-0", "primed": False}
    return {
        "format": 1,
        "labels": {
            "benchmark": "darkroom-v1",
            "budget": "quick",
            "name": "bc",
            "architecture": "bc",
            "checkpoint": "all",
            "training_seed": 0,
            "training_targets": None,
        },
        "benchmark": SHA256,
        "player": {
            "identity": SHA256,
            "checkpoint_identity": SHA256,
            "track": "frozen",
            "networks_at_w": {},
        },
        "kind": "start",
        "round": "dev",
        "salt": "dev",
        "decoding": "greedy",
        "priming_moves": 0,
        "moves": 250,
        "exploration": 0.1,
        "segment_moves": 100,
        "threads": 1,
        "device": "cpu",
        "precision": "float32",
        "intervention": None,
        "versions": {"numpy": "2.0.0"},
        "lanes": [{**lane, "number": index, "seed": f"{index:032x}"} for index in range(num_lanes)],
        **values,
    }


def scored(
    results: Path,
    name: str = "bc",
    verdicts: Sequence[Verdict] = (Verdict("skill", "method", "yes"),),
    benchmark: str = "darkroom-v1",
    budget: str = "quick",
    row: dict[str, Any] | None = None,
    **fields: Any,
) -> ScoredRow:
    """Return a scored row of an imitator that nobody played.

    `row` replaces values of its row.json; `fields` are the other fields of `ScoredRow`.
    """
    folder = RowFolder(results / benchmark / budget / name, benchmark, budget, name)
    declared = declaration(name, **{"round": "1", **(row or {})})
    return ScoredRow(folder, declared, tuple(verdicts), **fields)
