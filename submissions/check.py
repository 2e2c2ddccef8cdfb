"""Whether a submission would be accepted: everything that can be seen in seconds, without playing a life."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from understudy.submissions import entrants, watched
from understudy.submissions import format as submissions
from understudy.submissions.entrants import Entrant
from understudy.submissions.format import Checkpoint, Submission
from understudy.suite import benchmarks, games, registry, states
from understudy.suite.benchmarks import Benchmark
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.testing import imitators

CONFORMANCE_LANES = 3
CONFORMANCE_MOVES = 35
CONFORMANCE_SEED = 0


@dataclass(frozen=True)
class Report:
    """What was found in an acceptable submission."""

    entrant: Entrant
    facts: tuple[tuple[str, str], ...]  # what would be accepted, as (name, value)
    warnings: tuple[str, ...]  # what couldn't be checked here, or isn't part of the submission


def check(name_or_path: str, benchmark_name: str | None = None) -> Report:
    """Return what would be accepted; without a benchmark's name, for the one that the submission declares.

    Checked are the format, the benchmark, each checkpoint's config and weights, a short run on random
    timesteps, the size of a life's state, and the watched data as far as this machine has it. Nothing is
    written. Raises InputError with the first thing for which it would be refused.
    """
    benchmark = benchmarks.load(benchmark_name or _own_benchmark(name_or_path))
    entrant = entrants.resolve(name_or_path, benchmark.name)
    submission = entrant.submission
    if submission is None:
        return Report(entrant, (("control", "comes with the package, nothing to check"),), ())
    warnings = watched.check(submission, benchmark, benchmarks.teacher_lives(benchmark))
    if entrant.priming_moves > benchmark.watched_moves:
        raise InputError(
            f"{submission.folder / submissions.DECLARATION}: priming_moves: expected at most W = "
            f"{benchmark.watched_moves:,}; found {entrant.priming_moves:,}"
        )
    sizes = [_check_checkpoint(submission, checkpoint, benchmark) for checkpoint in entrant.checkpoints]
    surplus = [f"{name} is not part of the submission" for name in submissions.surplus_files(submission)]
    return Report(entrant, _facts(submission, benchmark, sizes), (*warnings, *surplus))


@dataclass(frozen=True)
class _Sizes:
    parameters: int
    state_bytes: int  # of one life


def _check_checkpoint(submission: Submission, checkpoint: Checkpoint, benchmark: Benchmark) -> _Sizes:
    from understudy.submissions import loading

    game = games.load(benchmark.watched_games[0])
    module: Any = loading.load(submission, checkpoint, game, benchmark.state_cap_bytes)
    timesteps = imitators.random_timesteps(game, CONFORMANCE_LANES, CONFORMANCE_MOVES, CONFORMANCE_SEED)
    try:
        with imitators.unchanged_around(module), torch.no_grad():
            imitators.check_state(module, timesteps)
            imitators.check_logits(module, game, timesteps)
            imitators.check_repeats(module, timesteps)
            imitators.check_step_equals_unroll(module, timesteps)
    except CheckFailed as error:
        raise InputError(f"{submission.folder / checkpoint.folder}: {error}") from error
    parameters = sum(tensor.numel() for tensor in module.parameters())
    return _Sizes(parameters, states.size_bytes(module.initial_state(1)))


def _facts(submission: Submission, benchmark: Benchmark, sizes: list[_Sizes]) -> tuple[tuple[str, str], ...]:
    declared = submission.declaration
    histories = declared.watched.histories
    moves = sum(history.moves for history in histories)
    largest = max(sizes, key=lambda size: size.state_bytes)
    trials = declared.search_trials
    return (
        ("SHA-256", submission.sha256),
        ("benchmark", benchmark.name),
        ("architecture", f"{declared.architecture}, {largest.parameters:,} parameters"),
        ("checkpoints", str(len(declared.checkpoints))),
        ("track", f"{declared.track}, {declared.watched.mode}, decoded {declared.decoding}"),
        ("watched", f"{moves:,} moves of {len(histories)} {'life' if len(histories) == 1 else 'lives'}"),
        ("priming moves", f"{declared.priming_moves:,}"),
        ("state of a life", f"{largest.state_bytes:,} of at most {benchmark.state_cap_bytes:,} bytes"),
        ("hyper-parameter search", "not stated" if trials is None else f"{trials:,} trials"),
    )


def _own_benchmark(name_or_path: str) -> str:
    """Return the benchmark that a submission's folder declares, or that alone has an entry of this name."""
    if Path(name_or_path).name != name_or_path or Path(name_or_path).is_dir():
        return submissions.read(Path(name_or_path)).declaration.benchmark
    having = [name for name in benchmarks.names() if name_or_path in entrants.entries(name)]
    if len(having) == 1:
        return having[0]
    if having or name_or_path in entrants.controls():
        known = ", ".join(having or benchmarks.names())
        raise InputError(f"{name_or_path}: say for which benchmark, with --benchmark; one of {known}")
    every = {entry for name in benchmarks.names() for entry in entrants.entries(name)}
    return registry.choose(name_or_path, every | set(entrants.controls()), "submission")
