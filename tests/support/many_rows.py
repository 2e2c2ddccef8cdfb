"""A results folder of made-up submissions: whole, packed, ranked rows whose runs nobody played.

Every file is as `understudy score` writes it, with the hashes that follow from it. The moves are drawn at
random, and the weights do not exist. A run's rewards rise from a start to an end that are its submission's,
so that the table holds every answer.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import numpy as safetensors

from understudy.leaderboard import stored_rows
from understudy.suite import benchmarks, draws, games
from understudy.suite.benchmarks import Benchmark, TeacherRun, pinned_runs
from understudy.suite.harness import (
    interventions,
    records,
    rounds,
    row_archive,
    row_documents,
    software,
    work,
)
from understudy.suite.harness.entry import Entry, Facts, Loader, Player
from understudy.suite.harness.jobs import Job, PlannedJob
from understudy.suite.harness.requests import Request, RequestedRow
from understudy.suite.histories import history_format
from understudy.suite.histories.history_format import Header, History, Segment
from understudy.suite.io import file_names, files
from understudy.suite.protocols import ROLES

BENCHMARK, BUDGET, CHECKPOINT = "darkroom-v1", "full", "all"
SUBMISSIONS, RUNS = 100, 10_000  # of `write`, unless it is asked for fewer
MOST_POINTS: Final = 14.0  # points an episode of the best submission, about those of a teacher at its end
ARCHITECTURES: Final = ("transformer", "gru", "mamba", "bc-time")
REFERENCE_PLAYERS: Final = ("frozen-teacher", "random")  # whose stored rows are copied


def write(results: Path, submissions: int = SUBMISSIONS) -> int:
    """Write rows of made-up submissions and the reference players' into a folder; return the number of runs.

    A submission has 96 runs: 16 of each role, and as many of the improvement and the transfer under yoked
    rewards. Every fourth has 16 more, of the improvement under flipped rewards: 100 each in the mean.
    """
    benchmark = benchmarks.load(BENCHMARK)
    teachers = pinned_runs.pinned_among(benchmark, benchmarks.teacher_runs(benchmark))
    entries = [_entry(number, submissions, benchmark, teachers) for number in range(submissions)]
    committed = [entry.committed for entry in entries if entry.committed is not None]
    of_round = dataclasses.replace(rounds.of_controls(), committed=tuple(committed))
    found = 0
    for number, entry in enumerate(entries):
        row = RequestedRow(
            Request(entry.name, BENCHMARK, BUDGET, results, round=of_round), entry, benchmark, tuple(teachers)
        )
        found += _write_row(row, number, number / max(1, submissions - 1))
    for name in REFERENCE_PLAYERS:
        of_budget = Path(BENCHMARK) / BUDGET / name
        shutil.copytree(stored_rows.RESULTS / of_budget, results / of_budget)
    return found


def _entry(number: int, count: int, benchmark: Benchmark, teachers: Sequence[TeacherRun]) -> Entry:
    identity = files.text_sha256(f"made-up submission {number}")
    watched = tuple(run.name for run in teachers if run.game in benchmark.watched_games)
    player = Player(
        CHECKPOINT,
        number,
        watched,
        files.text_sha256(identity),
        (),
        tuple(_tasks(benchmark)),
        Loader("none:none"),
    )
    return Entry(
        name=f"made-up-{number:03d}",
        benchmark=benchmark.name,
        identity=identity,
        architecture=ARCHITECTURES[number % len(ARCHITECTURES)],
        decoding="greedy" if number % 2 else "sample",
        track="frozen",
        priming_moves=100,
        is_control=False,
        players=(player,),
        watched="multi",
        search_trials=3,
        declaration=identity,
        training_targets="chosen",
        facts=Facts(10_000 * (number + 1), len(watched), 1_300 * len(watched), (("updates", 300),)),
    )


def _tasks(benchmark: Benchmark) -> Sequence[str]:
    return benchmark.budget(BUDGET).tasks


def _write_row(row: RequestedRow, number: int, quality: float) -> int:
    """Write one row, packed, and return the number of its runs; `quality` in [0, 1] is how good it is."""
    rng = np.random.default_rng(draws.derive("made-up row", number))
    planned = [job for role in ROLES for job in row.jobs(role)]
    applied = [("continue", interventions.YOKED), ("transfer", interventions.YOKED)]
    applied += [("continue", interventions.FLIPPED)] if number % 4 == 0 else []
    planned += [job for role, each in applied for job in row.jobs(role, each)]
    members: dict[str, bytes] = {}
    for one in planned:
        members |= _job_files(one, quality, rng, row.folder)
    for name, data in _predictions(row, quality, rng):
        members[name] = data
    row_archive.write(row.folder / row_archive.ARCHIVE, members, members.__getitem__)
    files.write_json(row.folder / records.ROW, work.declared(row))
    seconds = {one.path: _timing(one.job) for one in planned}
    row_documents.write(row_documents.Timing, row.folder / records.TIMING, {"jobs": seconds})
    return sum(len(one.job.lanes) for one in planned)


def _job_files(
    planned: PlannedJob, quality: float, rng: np.random.Generator, folder: Path
) -> Mapping[str, bytes]:
    """Return the files of a job by their place in the row: its runs, and the checks of them."""
    job, sha256 = planned.job, files.text_sha256(planned.job.player["identity"])
    found = {records.JOB: row_documents.with_format(row_documents.Job, job.spec())}
    histories = [_history(planned, lane, quality, rng) for lane in range(len(job.lanes))]
    members = {}
    for lane, history in enumerate(histories):
        scratch = folder / "scratch.parquet"
        history_format.write(scratch, history)
        members[f"{planned.path}/lane-{lane}/{file_names.HISTORY}"] = scratch.read_bytes()
        scratch.unlink()
        found[f"lane-{lane}/{records.RECORD}"] = records.record(
            history,
            dataclasses.asdict(job.labels),
            software.versions(),
            {"before": sha256, "after": sha256},
            {"start": 1_000, "largest": 1_000},
        )
    checked = {
        "holds": True,
        **records.provenance(
            [history.content_sha256 for history in histories], sha256, job.player["checkpoint_identity"]
        ),
    }
    if job.kind != "start":
        found[records.ISOLATION] = row_documents.with_format(
            row_documents.Isolation, {**checked, **records.checked_moves(job.moves), "differs_at": None}
        )
    compared = {"moves": job.moves, "differing": 0, "largest_gap": 0.0, "predicted_otherwise": 0.0}
    found[records.RECHECKED] = row_documents.with_format(row_documents.Rechecked, {**checked, **compared})
    return {**members, **{f"{planned.path}/{name}": _json(value) for name, value in found.items()}}


def _history(planned: PlannedJob, lane: int, quality: float, rng: np.random.Generator) -> History:
    """Return a run of random moves; its points an episode go from the submission's start to its end."""
    job = planned.job
    game, run, moves = games.load(job.lanes[lane].game), records.run_of(job.spec(), lane), job.moves
    on_new_games = ROLES[planned.role].on_new_games
    start = 0.3 if on_new_games else 8.0 * quality
    learnt = 0.0 if job.kind == "start" or job.intervention else (MOST_POINTS - start) * quality**2
    spread = rng.normal(1.0, 0.1)  # of this run among the submission's
    points = spread * (start + learnt * np.minimum(1.0, 2.0 * np.arange(moves) / moves))
    cap = game.episode_cap_moves
    segments = tuple(
        Segment(
            first,
            min(job.segment_moves, moves - first),
            int(rng.integers(1 << 31)),
            int(rng.integers(1 << 32)),
        )
        for first in range(0, moves, job.segment_moves)
    )
    return History(
        Header(game.name, dict(game.fingerprint), run["job"]["player"], run, segments, dict(job.versions)),
        action=rng.integers(game.num_actions, size=moves, dtype=np.uint8),
        reward=(rng.random(moves) < points / cap).astype(np.float32),
        terminated=np.zeros(moves, np.bool_),
        truncated=np.arange(1, moves + 1) % cap == 0,
        explored=rng.random(moves) < job.exploration,
    )


def _predictions(row: RequestedRow, quality: float, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Yield made-up predictions of the teachers' moves after W, right as often as the row is good."""
    begin, moves = row.benchmark.watched_moves, row.benchmark.budget(BUDGET).agreement_moves
    (started,) = row.jobs("start")
    for teacher in sorted({lane.teacher for lane in started.job.lanes}):
        history = benchmarks.read(row.runs_by_name[teacher])
        chosen = history.action[begin : begin + moves].astype(np.int64)
        columns = {
            "chosen": chosen,
            "explored": history.explored[begin : begin + moves],
            "predicted": np.where(rng.random(moves) < quality, chosen, rng.integers(5, size=moves)),
            "loss_nats": rng.exponential(1.0, moves),
            "ceiling": (rng.random(moves) < 0.9).astype(np.float64),
        }
        place = records.predictions_path(Path(), CHECKPOINT, teacher)
        yield place.as_posix(), safetensors.save(columns)


def _timing(job: Job) -> dict[str, Any]:
    return {"began": "2026-01-01T00:00:00+00:00", "host": "made-up", "moves": job.moves, "seconds": 60.0}


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=1) + "\n").encode()
