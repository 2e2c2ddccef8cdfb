"""The leak test, measured: next-action loss after W on continuations held back and on published ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from understudy.submissions import watched
from understudy.submissions.requests import Request
from understudy.submissions.scorer import Scorer
from understudy.suite import benchmarks, files, records, stats
from understudy.suite.benchmarks import TeacherLife
from understudy.suite.errors import InputError

MIN_LIVES = 2  # of each kind: fewer have no spread
Report = Callable[[int, int], None]  # predictions of a life done, and in all


def measure(request: Request, held_back: Path, report: Report = lambda done, total: None) -> dict[str, Any]:
    """Measure a submission's loss on the moves after W of lives that it watched up to W; note it.

    Of some of these lives the continuation is published, of others it is held back. To weights that were
    trained on neither they are alike: both were watched up to W, which makes any continuation easier to
    predict than that of a life that was never watched. Each life primes the player with its own last
    watched moves and is one unit, the mean over the checkpoints that watched it.

    Args:
        request: the row; its lives need not have been played.
        held_back: a data folder, laid out as the published ones, with lives whose published copies end
            at W or soon after.
        report: told how far it is.

    Returns:
        What is noted: difference_nats (held back - published) with its 95 % Welch interval, both means, the
        lives of both kinds.

    Raises InputError where fewer than two lives of a kind were watched and are long enough, or a life that is
    said to be held back has a published continuation, or another beginning than its published copy.
    """
    scorer = Scorer(request, lambda progress: None)
    if scorer.entrant.submission is None:
        raise InputError(f"{request.name_or_path}: a control has watched nothing that could leak")
    hidden = {life.name: life for life in benchmarks.teacher_lives(scorer.benchmark, [held_back])}
    players = scorer.entrant.players(scorer.benchmark, list(scorer.lives.values()))
    asked = [
        (index, life)
        for index, player in enumerate(players)
        for life in _asked(scorer, player.teachers, hidden)
    ]
    names = {life.name for _, life in asked}
    kinds = {"held-back": sorted(names & set(hidden)), "published": sorted(names - set(hidden))}
    for kind, found in kinds.items():
        if len(found) < MIN_LIVES:
            needed = scorer.benchmark.budget(request.budget).likeness_moves
            raise InputError(
                f"{request.name_or_path} watched {len(found)} lives with a {kind} continuation of {needed:,} "
                f"moves; expected {MIN_LIVES} or more: train it on more of them up to W"
            )
    losses: dict[str, list[float]] = {}
    for done, (index, life) in enumerate(asked):
        report(done, len(asked))
        losses.setdefault(life.name, []).append(scorer.loss_after_w(index, life))
    unseen, published = ([float(np.mean(losses[name])) for name in found] for found in kinds.values())
    interval = stats.welch_interval(unseen, published)
    noted = {
        "difference_nats": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "published_nats": float(np.mean(published)),
        "held_back_nats": float(np.mean(unseen)),
        "submission_sha256": scorer.entrant.sha256,
        "published": kinds["published"],
        "held_back": {name: benchmarks.read(hidden[name]).content_sha256 for name in kinds["held-back"]},
    }
    files.write_json(scorer.folder / records.LEAKS, noted)
    return noted


def _asked(
    scorer: Scorer, teachers: Sequence[str], hidden: Mapping[str, TeacherLife]
) -> Iterator[TeacherLife]:
    """Yield the lives that one checkpoint watched and that go far enough beyond W, held back or published."""
    start = scorer.benchmark.watched_moves
    for name in teachers:
        life = hidden.get(name, scorer.lives[name])
        if name in hidden:
            published, own = benchmarks.read(scorer.lives[name]), benchmarks.read(life)
            if published.num_moves > start:
                raise InputError(
                    f"{life.history_path}: {name} is published up to move {published.num_moves:,}, beyond "
                    f"W = {start:,}, so its continuation isn't held back"
                )
            if watched.sha256(own, published.num_moves) != watched.sha256(published, published.num_moves):
                raise InputError(
                    f"{life.history_path}: it doesn't begin as the published {name}; hold back a "
                    "continuation of that life"
                )
        if scorer.reaches_past_w(life):
            yield life
