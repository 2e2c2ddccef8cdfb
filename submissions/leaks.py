"""The leak test, measured: next-action loss on held-back lives beside that on published continuations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from understudy.submissions.requests import Request
from understudy.submissions.scorer import Scorer
from understudy.suite import benchmarks, files, records
from understudy.suite.benchmarks import TeacherLife
from understudy.suite.errors import InputError
from understudy.suite.histories.format import History

MIN_HELD_BACK = 2  # lives
COMPARED_MOVES = 1_000  # by whose actions a life is told from another's longer or shorter copy
Report = Callable[[int, int], None]  # lives done, and in all


def measure(request: Request, held_back: Path, report: Report = lambda done, total: None) -> dict[str, Any]:
    """Measure a submission's loss on the moves after W of published and of held-back lives; note it.

    Each life primes the player with its own last watched moves and is one unit; of a submission with several
    checkpoints each sees all held-back lives, and the published ones that it is ruled by.

    Args:
        request: the row; its lives need not have been played.
        held_back: a data folder, laid out as the published ones, whose lives nobody has seen.
        report: told how far it is.

    Returns:
        What is noted: difference_nats (held back - published), both means, the lives' names and hashes.

    Raises InputError where fewer than two lives are held back, one is published, or none is long enough.
    """
    scorer = Scorer(request, lambda progress: None)
    if scorer.entrant.submission is None:
        raise InputError(f"{request.name_or_path}: a control has watched nothing that could leak")
    hidden = _hidden(scorer, held_back)
    players = scorer.entrant.players(scorer.benchmark, list(scorer.lives.values()))
    asked = [
        (index, life, known)
        for index, player in enumerate(players)
        for known, lives in ((True, [scorer.lives[name] for name in player.teachers]), (False, hidden))
        for life in lives
        if scorer.reaches_past_w(life)
    ]
    losses: dict[bool, list[float]] = {True: [], False: []}
    for done, (index, life, known) in enumerate(asked):
        report(done, len(asked))
        losses[known].append(scorer.loss_after_w(index, life))
    if not all(losses.values()):
        side = "published" if not losses[True] else "held-back"
        raise InputError(f"{scorer.benchmark.name}: no {side} life is recorded far enough past W")
    published, unseen = (float(np.mean(losses[known])) for known in (True, False))
    found = {
        "difference_nats": unseen - published,
        "published_nats": published,
        "held_back_nats": unseen,
        "submission_sha256": scorer.entrant.sha256,
        "held_back": {life.name: benchmarks.read(life).content_sha256 for life in hidden},
    }
    files.write_json(scorer.folder / records.LEAKS, found)
    return found


def _hidden(scorer: Scorer, folder: Path) -> Sequence[TeacherLife]:
    """Return the held-back lives of watched games; InputError if they are too few, or known."""
    benchmark = scorer.benchmark
    found = [
        life for life in benchmarks.teacher_lives(benchmark, [folder]) if life.game in benchmark.watched_games
    ]
    if len(found) < MIN_HELD_BACK:
        raise InputError(
            f"{folder}: expected at least {MIN_HELD_BACK} held-back lives of {benchmark.name}; "
            f"found {len(found)}"
        )
    for life in found:
        for other in scorer.lives.values():
            if life.game == other.game and _same_beginning(benchmarks.read(life), benchmarks.read(other)):
                raise InputError(
                    f"{life.history_path}: this life begins as {other.name}, which is published, so it isn't "
                    "held back"
                )
    return found


def _same_beginning(one: History, other: History) -> bool:
    """Whether two lives of a game made the same first moves, as a life and a longer or shorter copy do."""
    moves = min(one.num_moves, other.num_moves, COMPARED_MOVES)
    return bool(np.array_equal(one.action[:moves], other.action[:moves]))
