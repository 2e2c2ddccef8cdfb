"""Parameters for the learned-rule test: an architecture's own, drawn anew or trained on shuffled actions.

What such a player still gains isn't learned from the teachers: the rule is built into the architecture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from understudy import baselines
from understudy.baselines.learning import training as learning
from understudy.submissions import loading, watched
from understudy.submissions.format import Submission
from understudy.submissions.plan import PlannedJob
from understudy.suite import benchmarks, draws, files, games
from understudy.suite.errors import InputError
from understudy.suite.histories import frames
from understudy.suite.histories.format import History
from understudy.suite.histories.windows import WatchedLives
from understudy.suite.probes import Probe

FOLDER = "parameters"  # in a row's folder: what its probes trained
SAVE_EVERY_STEPS = 200
Report = Callable[[str, int, int, str], None]  # what is being done, how much is done, of how much, a note


def of_probe(
    planned: PlannedJob, probe: Probe, submission: Submission, row_folder: Path, report: Report
) -> nn.Module:
    """Return a submission's architecture with a probe's parameters, in evaluation mode.

    Shuffled ones are trained as the submission declares that its own were, and kept in the row's folder; an
    interrupted training goes on. Raises InputError where the submission doesn't say how it was trained, or a
    life that it watched is not here.
    """
    if probe.parameters == "redrawn":
        return _redrawn(planned, probe, submission)
    return _shuffled(planned, probe, submission, row_folder / FOLDER, report)


def shuffled_actions(history: History, watched_moves: int, draw: int) -> History:
    """Return a life whose watched actions stand in another order, whether explored with them.

    How often each was taken stays as it was; what they had to do with what was seen and earned is gone.
    """
    moves = min(watched_moves, history.num_moves)
    key = draws.derive("shuffled actions", watched.sha256(history, moves), draw)
    order = np.random.Generator(np.random.Philox(key=key)).permutation(moves)
    action, explored = history.action.copy(), history.explored.copy()
    action[:moves], explored[:moves] = action[order], explored[order]
    return replace(history, action=action, explored=explored)


def _redrawn(planned: PlannedJob, probe: Probe, submission: Submission) -> nn.Module:
    benchmark = benchmarks.load(submission.declaration.benchmark)
    config = loading.config(submission, planned.player.checkpoint, benchmark.family)
    architecture = baselines.load_architecture(config.architecture)
    seed = draws.derive("redrawn", planned.player.sha256, probe.draw) % 2**63
    module = architecture.build(config.parameters, games.load(benchmark.watched_games[0]), seed)
    return module.eval().requires_grad_(False)


def _shuffled(
    planned: PlannedJob, probe: Probe, submission: Submission, folder: Path, report: Report
) -> nn.Module:
    name = f"{probe.name}-{planned.player.checkpoint}"
    path = folder / f"{name}.safetensors"
    module = _redrawn(planned, probe, submission)
    with files.alone(folder / f"{name}.lock", lambda: report("waiting for the training beside", 0, 1, "")):
        if not path.exists():
            trained = _train(planned, probe, submission, folder / f"{name}.training.safetensors", report)
            files.write_atomically(path, loading.weights_bytes(trained))
    loading.load_weights(module, path)
    return module


def _train(
    planned: PlannedJob, probe: Probe, submission: Submission, resume_file: Path, report: Report
) -> nn.Module:
    declaration = submission.declaration
    if declaration.training is None:
        raise InputError(
            f"{submission.folder}: submission.json has no `training`, so its architecture can't be trained "
            "on shuffled actions; declare the settings that it was trained with"
        )
    benchmark = benchmarks.load(declaration.benchmark)
    config = loading.config(submission, planned.player.checkpoint, benchmark.family)
    own = learning.settings_from(declaration.training)
    training = replace(own, seed=draws.derive("shuffled", own.seed, probe.draw) % 2**63)
    trained = learning.train(
        baselines.load_architecture(config.architecture),
        config.parameters,
        games.load(benchmark.watched_games[0]),
        _source(planned, probe, submission),
        training,
        resume_file=resume_file,
        save_every_steps=SAVE_EVERY_STEPS,
        progress=lambda at: report(f"training {probe.name}", at.step, at.steps, f"loss {at.loss:.3f}"),
    )
    resume_file.unlink(missing_ok=True)
    return trained


def _source(planned: PlannedJob, probe: Probe, submission: Submission) -> WatchedLives:
    """Return what the checkpoint watched, actions shuffled."""
    declaration = submission.declaration
    benchmark = benchmarks.load(declaration.benchmark)
    here = {life.name: life for life in benchmarks.teacher_lives(benchmark)}
    single = declaration.watched.mode == "single"
    names = planned.player.teachers if single else [entry.name for entry in declaration.watched.histories]
    missing = [name for name in names if name not in here]
    if missing:
        raise InputError(f"{submission.folder}: it watched {missing[0]}, which is not on this machine")
    histories = [benchmarks.read(here[name]) for name in names]
    stores = frames.frames_of_lives(histories, 0, benchmark.watched_moves)
    shuffled = [shuffled_actions(history, benchmark.watched_moves, probe.draw) for history in histories]
    return WatchedLives(shuffled, stores, benchmark.watched_moves)
