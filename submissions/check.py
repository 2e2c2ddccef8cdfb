"""Checks in seconds, without playing a run, whether a submission would be accepted."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from understudy.baselines import controls
from understudy.baselines.training import settings as training_settings
from understudy.submissions import (
    architectures,
    checkpoint_source,
    hub_submissions,
    resolution,
    submission_format,
    watched,
)
from understudy.submissions.submission_format import Checkpoint, Submission
from understudy.suite import benchmarks, custom_code, devices, games, registry, stored_names
from understudy.suite.benchmarks import Benchmark, TeacherRun
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.harness import states
from understudy.suite.protocols import Game, Timestep
from understudy.suite.reserved_names import DECLARATION
from understudy.suite.testing import architecture_checks, imitator_checks

CONFORMANCE_LANES = 3
CONFORMANCE_MOVES = 35
CONFORMANCE_SEED = 0
TARGETS = {
    "chosen": "chosen: explored actions left out",
    "executed": "executed: every action, explored ones too",
    None: "not stated",
}


@dataclass(frozen=True)
class Report:
    """The properties of an acceptable submission."""

    name: str  # of the submission or control
    benchmark: str
    facts: tuple[tuple[str, str], ...]  # (name, value)
    warnings: tuple[str, ...] = ()  # what could not be checked here
    surplus: tuple[str, ...] = ()  # files in its folder that are not part of it


@dataclass(frozen=True)
class Accepted:
    """A submission that passed every check."""

    warnings: tuple[str, ...]  # what could not be checked here
    sizes: tuple[Sizes, ...]  # of each checkpoint, as declared


@hub_submissions.named
def check(name_or_path: str, benchmark_name: str | None = None) -> Report:
    """Check a submission; without `benchmark_name`, for the benchmark that it declares.

    The checks cover the format, the benchmark, each checkpoint's config and weights, a short run on random
    timesteps, the size of a run's state, and the watched data that this machine has. Nothing is written.
    Raises InputError with the first reason for which it would be refused.
    """
    benchmark = benchmarks.load(benchmark_name or _own_benchmark(name_or_path))
    submission = resolution.find(name_or_path, benchmark.name)
    if submission is None:
        return Report(
            name_or_path, benchmark.name, (("control", "comes with the package, nothing to check"),)
        )
    accepted = accept(submission, benchmark, benchmarks.teacher_runs(benchmark))
    return Report(
        submission.declaration.name,
        benchmark.name,
        _facts(submission, benchmark, list(accepted.sizes)),
        accepted.warnings,
        submission_format.surplus_files(submission),
    )


def accept(submission: Submission, benchmark: Benchmark, runs: Sequence[TeacherRun]) -> Accepted:
    """Return what is known of a submission that may be scored: the one gate of `check` and `score`.

    Args:
        submission: as it was read.
        benchmark: for which it is checked.
        runs: the benchmark's teacher runs on this machine.

    Raises InputError with the first reason for which it is refused.
    """
    declaration = submission.declaration
    warnings = watched.check(submission, benchmark, runs)
    if declaration.priming_moves > benchmark.watched_moves:
        raise InputError(
            f"{submission.folder / DECLARATION}: priming_moves: expected at most W = "
            f"{benchmark.watched_moves:,}; found {declaration.priming_moves:,}"
        )
    if declaration.training is not None:
        try:
            training_settings.settings_from(declaration.training_settings or {})
        except InputError as error:
            raise InputError(
                f"{submission.folder / DECLARATION}: training: {error}; a yes needs training anew by these "
                "settings: give those of `understudy train`, or leave `training` out"
            ) from error
    found = [_check_checkpoint(submission, each, benchmark) for each in declaration.checkpoints]
    return Accepted(tuple(warnings), tuple(found))


def check_architecture(reference: str, benchmark_name: str, settings: Mapping[str, float]) -> Report:
    """Run the conformance kit on an architecture in a benchmark's first watched game; nothing is written.

    Args:
        reference: its name, or `package.module:OBJECT`, which need not be of an installed package.
        benchmark_name: of the benchmark.
        settings: of the architecture, where not the defaults; small ones make the checks quick.

    Raises InputError with the first check that fails.
    """
    game = games.load(benchmarks.load(benchmark_name).watched_games[0])
    if ":" in reference:
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())  # a user's own module need not be installed to be checked
        architecture = architectures.imported(reference)
    else:
        architecture = architectures.find(reference).architecture
    try:
        with custom_code.calling(reference):
            architecture_checks.check_architecture(architecture, game, **settings)
    except CheckFailed as error:
        raise InputError(f"{reference}: {error}") from error
    config = architecture.config(game, **settings)
    built = _sizes(architecture.build(config, game), game)
    facts = (
        ("game", game.name),
        ("settings", ", ".join(f"{name} {value:g}" for name, value in config.items()) or "none"),
        ("parameters", f"{built.parameters:,}"),
        ("arithmetic of a move", f"{built.flops:,} floating-point operations in matrix products"),
        ("state of a run", f"{built.state_bytes:,} bytes"),
    )
    return Report(architecture.name, benchmark_name, facts)


@dataclass(frozen=True)
class Sizes:
    """How large a model is, and what a move of it costs."""

    parameters: int
    state_bytes: int  # of one run
    flops: int  # of `step` for one run: its matrix products, convolutions and attention, as torch counts them


def sizes(submission: Submission, benchmark: Benchmark) -> Sizes:
    """Return the sizes of a submission's first checkpoint; InputError if it cannot be loaded."""
    from understudy.submissions import loading

    game = games.load(benchmark.watched_games[0])
    source = checkpoint_source.source_of(submission, submission.declaration.checkpoints[0], benchmark)
    return _sizes(loading.load(source, game), game)


def _check_checkpoint(submission: Submission, checkpoint: Checkpoint, benchmark: Benchmark) -> Sizes:
    from understudy.submissions import loading

    game = games.load(benchmark.watched_games[0])
    module: Any = loading.load(checkpoint_source.source_of(submission, checkpoint, benchmark), game)
    require_conformance(module, game, submission.folder / checkpoint.folder)
    return _sizes(module, game)


def require_conformance(imitator: Any, game: Game, where: object) -> None:
    """Check an imitator on a short run of random timesteps; InputError, which names `where`, if it fails."""
    timesteps = imitator_checks.random_timesteps(game, CONFORMANCE_LANES, CONFORMANCE_MOVES, CONFORMANCE_SEED)
    try:
        with custom_code.calling(f"{where}: on random timesteps it"), devices.threads(1):
            _check(imitator, game, timesteps)
    except CheckFailed as error:
        raise InputError(f"{where}: {error}") from error


def _check(imitator: Any, game: Game, timesteps: Timestep) -> None:
    """Make the checks of the conformance kit that are quick; CheckFailed for the first that fails."""
    seed, reach = CONFORMANCE_SEED, imitator_checks.checked_reach(imitator)
    with imitator_checks.unchanged_around(imitator), torch.no_grad():
        imitator_checks.check_state(imitator, timesteps)
        imitator_checks.check_logits(imitator, game, timesteps)
        imitator_checks.check_repeats(imitator, timesteps)
        imitator_checks.check_step_equals_unroll(imitator, timesteps)
        imitator_checks.check_causal(imitator, timesteps, seed)
        imitator_checks.check_rows_apart(imitator, timesteps, seed)
        imitator_checks.check_reset(imitator, timesteps)
        if reach is not None and reach < CONFORMANCE_MOVES:
            imitator_checks.check_reach(imitator, timesteps, reach, seed)


def _sizes(module: Any, game: Game) -> Sizes:
    parameters = sum(tensor.numel() for tensor in module.parameters())
    state = module.initial_state(1)
    return Sizes(parameters, states.size_bytes(state), _flops(module, game))


def _flops(module: Any, game: Game) -> int:
    """Return the floating-point operations of one move of one run, two for a multiplication with addition."""
    from torch.utils.flop_counter import FlopCounterMode

    timesteps = imitator_checks.random_timesteps(game, 1, 1, CONFORMANCE_SEED)
    timestep = Timestep(*(field[:, 0] for field in timesteps))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval().step(timestep, module.initial_state(1))
    return int(counter.get_total_flops())


def _facts(submission: Submission, benchmark: Benchmark, found: list[Sizes]) -> tuple[tuple[str, str], ...]:
    declared = submission.declaration
    histories = declared.watched.histories
    moves = sum(history.moves for history in histories)
    largest = max(found, key=lambda size: size.state_bytes)
    trials = declared.search_trials
    return (
        ("identity", submission.identity),
        ("benchmark", benchmark.name),
        ("architecture", f"{declared.architecture}, {largest.parameters:,} parameters"),
        ("arithmetic of a move", f"{largest.flops:,} floating-point operations in matrix products"),
        ("checkpoints", str(len(declared.checkpoints))),
        ("track", f"{declared.track}, {declared.watched.mode}, decoded {declared.decoding}"),
        ("watched", f"{moves:,} moves of {len(histories)} {'run' if len(histories) == 1 else 'runs'}"),
        ("training targets", TARGETS[declared.targets]),
        ("priming moves", f"{declared.priming_moves:,}"),
        ("state of a run", f"{largest.state_bytes:,} of at most {benchmark.state_cap_bytes:,} bytes"),
        ("hyper-parameter search", "not stated" if trials is None else f"{trials:,} trials"),
    )


def _own_benchmark(name_or_path: str) -> str:
    """Return the benchmark that a submission declares, or the only one that has an entry of this name."""
    folder = hub_submissions.fetched(name_or_path) or Path(name_or_path)
    if folder.name != name_or_path or folder.is_dir():
        return submission_format.read(folder).declaration.benchmark
    having = [name for name in benchmarks.names() if name_or_path in resolution.entries(name)]
    if len(having) == 1:
        return having[0]
    if having or name_or_path in controls.names():
        known = ", ".join(having or benchmarks.names())
        raise InputError(f"{name_or_path}: name the benchmark with --benchmark; one of {known}")
    stored_names.refuse_former(name_or_path)
    every = {entry for name in benchmarks.names() for entry in resolution.entries(name)}
    return registry.choose(name_or_path, every | set(controls.names()), "submission")
