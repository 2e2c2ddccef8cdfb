"""Measures the leak test: next-action loss after W on held-back and on published continuations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from understudy.submissions import submission_format
from understudy.suite import benchmarks
from understudy.suite.benchmarks import TeacherRun
from understudy.suite.errors import InputError
from understudy.suite.harness import records, row_documents
from understudy.suite.harness.requests import RequestedRow
from understudy.suite.harness.row_player import RowPlayer
from understudy.suite.histories import moves_hash
from understudy.suite.scoring import intervals

MIN_RUNS = 2  # of each kind: fewer have no spread
Report = Callable[[int, int], None]  # predictions done, predictions in all


def measure(row: RequestedRow, held_back: Path, report: Report = lambda done, total: None) -> dict[str, Any]:
    """Measure and store a submission's loss on the moves after W of runs that it watched up to W.

    The continuation of some of these runs is published, that of others is held back. For weights that were
    trained on neither, the two kinds are alike: both were watched up to W, which makes any continuation
    easier to predict than that of a run that was never watched. For each run the player is primed with the
    run's last watched moves. Each run is one unit: the mean over the checkpoints that watched it.

    Args:
        row: the row; its runs need not have been played.
        held_back: a data folder, laid out as the published ones, with runs whose published copies end
            at W or soon after.
        report: called with the progress.

    Returns:
        The stored result: difference_nats (held back - published) with its 95 % Welch interval, both means,
        and the runs of both kinds.

    Raises InputError if fewer than two runs of a kind were watched and are long enough, or if a held-back run
    has a published continuation, or another beginning than its published copy.
    """
    if row.entry.is_control:
        raise InputError(f"{row.request.name_or_path}: a control has watched nothing that could leak")
    player_of_row = RowPlayer(row, lambda progress: None)
    hidden = {run.name: run for run in benchmarks.teacher_runs(row.benchmark, [held_back])}
    assert row.entry.folder is not None, "of a submission"
    watched = {name for name, _, _ in submission_format.read(row.entry.folder).watched}
    asked = [
        (index, run)
        for index, player in enumerate(row.entry.players)
        for run in _asked(player_of_row, [name for name in player.teachers if name in watched], hidden)
    ]
    names = {run.name for _, run in asked}
    kinds = {"held-back": sorted(names & set(hidden)), "published": sorted(names - set(hidden))}
    for kind, found in kinds.items():
        if len(found) < MIN_RUNS:
            needed = row.benchmark.budget(row.request.budget).agreement_moves
            raise InputError(
                f"{row.request.name_or_path} watched {len(found)} runs with a {kind} continuation of "
                f"{needed:,} moves; expected {MIN_RUNS} or more: train it on more of them up to W"
            )
    losses: dict[str, list[float]] = {}
    for done, (index, run) in enumerate(asked):
        report(done, len(asked))
        losses.setdefault(run.name, []).append(player_of_row.loss_after_w(index, run))
    unseen, published = ([float(np.mean(losses[name])) for name in found] for found in kinds.values())
    interval = intervals.welch_interval(unseen, published)
    noted = {
        "difference_nats": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "published_nats": float(np.mean(published)),
        "held_back_nats": float(np.mean(unseen)),
        "submission_identity": row.entry.identity,
        "published": kinds["published"],
        "held_back": {name: benchmarks.read(hidden[name]).content_sha256 for name in kinds["held-back"]},
    }
    row_documents.write(row_documents.Leaks, row.folder / records.LEAKS, noted)
    return noted


def _asked(
    player: RowPlayer, teachers: Sequence[str], hidden: Mapping[str, TeacherRun]
) -> Iterator[TeacherRun]:
    """Yield the runs that one checkpoint watched and that are long enough after W, held back or published."""
    start, runs = player.row.benchmark.watched_moves, player.row.runs_by_name
    for name in teachers:
        if name not in runs:
            raise InputError(
                f"the watched run {name} is not on this machine; fetch it: "
                f"understudy histories pull --benchmark {player.row.benchmark.name}"
            )
        run = hidden.get(name, runs[name])
        if name in hidden:
            published, own = benchmarks.read(runs[name]), benchmarks.read(run)
            if published.num_moves > start:
                raise InputError(
                    f"{run.history_path}: {name} is published up to move {published.num_moves:,}, beyond "
                    f"W = {start:,}, so its continuation is not held back"
                )
            if moves_hash.sha256(own, published.num_moves) != moves_hash.sha256(
                published, published.num_moves
            ):
                raise InputError(
                    f"{run.history_path}: it does not begin as the published {name}; hold back a "
                    "continuation of that run"
                )
        if player.reaches_past_w(run):
            yield run
