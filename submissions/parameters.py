"""Players of a submission, with its own parameters or with those that an intervention redraws or retrains.

A player whose parameters were redrawn, or trained on histories with shuffled actions, has learned nothing
from the teachers. What it still gains is built into the architecture. One that is trained anew on the true
histories, by the declared settings, has learned what that training teaches, and nothing that was put into the
submitted weights by hand.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from understudy.baselines.training import settings
from understudy.baselines.training.settings import TrainingSettings
from understudy.submissions import architectures, loading, regular_files, watched
from understudy.submissions.checkpoint_source import CheckpointSource
from understudy.suite import benchmarks, devices, draws, games
from understudy.suite.errors import InputError
from understudy.suite.harness.child_player import ChildPlayer
from understudy.suite.harness.child_process import Launch
from understudy.suite.harness.entry import PlayerRequest
from understudy.suite.harness.interventions import Intervention
from understudy.suite.histories import frame_store, moves_hash
from understudy.suite.histories.history_format import History
from understudy.suite.histories.windows import WatchedRuns
from understudy.suite.io import bounded, file_lock, files

FOLDER = "parameters"  # in a row's folder: parameters trained for its interventions
SAVE_EVERY_UPDATES = 200


def load_player(source: CheckpointSource, request: PlayerRequest) -> nn.Module:
    """Return a checkpoint's player in evaluation mode, with the parameters of the requested intervention.

    Trainings use the settings that the submission declares. Their result is stored in the row's folder, and
    an interrupted one is resumed.

    Raises InputError as `loading.load`, and if the submission declares no training settings or a run that it
    watched is not on this machine.
    """
    intervention = request.intervention
    if intervention is None or intervention.parameters == "own":
        game = games.load(source.benchmark.watched_games[0])
        return loading.load(source, game)
    if intervention.parameters == "redrawn":
        return _redrawn(source, _redrawn_seed(source, intervention))
    return _trained(source, intervention, request)


def load_in_child(source: CheckpointSource, request: PlayerRequest) -> nn.Module:
    """Return the same player in a process of its own; raises as `load_player`.

    Training for an intervention is done in this process, before that one is started.
    """
    intervention, seed, weights = request.intervention, None, b""
    if intervention is not None and intervention.parameters != "own":
        seed = _redrawn_seed(source, intervention)
        if intervention.parameters != "redrawn":
            weights = bounded.read(_trained_weights(source, intervention, request))
    folder = source.submission.resolve()
    code = source.custom_code
    return ChildPlayer(
        Launch(
            name=f"{source.submission.name}/{source.folder}",
            module="understudy.submissions.player_child",
            folders=tuple(path for path in (folder, *regular_files.hub_blobs(folder)) if path.is_dir()),
            load={
                "submission": str(folder),
                "folder": source.folder,
                "identity": source.identity,
                "architecture": source.architecture,
                "custom_code": None if code is None else code.model_dump(),
                "benchmark": source.benchmark.path.read_text(encoding="utf-8"),
                "redrawn": seed,
                "threads": request.threads,
                "device": request.device,
            },
            weights=weights,
            num_actions=games.load(source.benchmark.watched_games[0]).num_actions,
            state_cap_bytes=source.benchmark.state_cap_bytes,
            on_gpu=request.device != devices.CPU,
        )
    )


def load_player_with(source: CheckpointSource, redrawn: int | None, weights: bytes) -> nn.Module:
    """Return a checkpoint's player with its own parameters, or redrawn from a seed, or these of a file.

    Args:
        source: of the checkpoint.
        redrawn: seed; None: its own parameters.
        weights: of a file that this program wrote, which replace the redrawn ones; empty: they stay.

    Raises InputError as `loading.load`.
    """
    if redrawn is None:
        return loading.load(source, games.load(source.benchmark.watched_games[0]))
    module = _redrawn(source, redrawn)
    if weights:
        loading.load_weights(module, weights, source.submission / source.folder)
    return module


def shuffled_actions(history: History, watched_moves: int, draw: int) -> History:
    """Return a run whose watched actions are permuted together with their `explored` flags.

    Each action occurs as often as before, but no longer depends on observations or rewards.
    """
    moves = min(watched_moves, history.num_moves)
    key = draws.derive("shuffled actions", moves_hash.sha256(history, moves), draw)
    order = np.random.Generator(np.random.Philox(key=key)).permutation(moves)
    action, explored = history.action.copy(), history.explored.copy()
    action[:moves], explored[:moves] = action[order], explored[order]
    return replace(history, action=action, explored=explored)


def _redrawn_seed(source: CheckpointSource, intervention: Intervention) -> int:
    return draws.derive("redrawn", source.identity, intervention.draw) % 2**63


def _redrawn(source: CheckpointSource, seed: int) -> nn.Module:
    config = loading.config(source)
    architecture = architectures.load(config.architecture, source.custom_code)
    module = architecture.build(config.parameters, games.load(source.benchmark.watched_games[0]), seed)
    return module.eval().requires_grad_(False)


def _trained(source: CheckpointSource, intervention: Intervention, request: PlayerRequest) -> nn.Module:
    path = _trained_weights(source, intervention, request)
    module = _redrawn(source, _redrawn_seed(source, intervention))
    loading.load_weights(module, bounded.read(path), path)
    return module


def _trained_weights(source: CheckpointSource, intervention: Intervention, request: PlayerRequest) -> Path:
    """Return the file of the parameters that an intervention trains, trained now if need be."""
    assert request.row_folder is not None, "trained parameters are stored in a row's folder"
    folder, name = request.row_folder / FOLDER, f"{intervention.name}-{source.folder}"
    path = folder / f"{name}.safetensors"

    def report_waiting() -> None:
        request.report("waiting for another process that trains the same", 0, 1)

    with file_lock.held(folder / f"{name}.lock", report_waiting):
        if not path.exists():
            trained = _train(source, intervention, folder / f"{name}.training.safetensors", request)
            files.write_atomically(path, loading.weights_bytes(trained))
    return path


def _train(
    source: CheckpointSource, intervention: Intervention, resume_file: Path, request: PlayerRequest
) -> nn.Module:
    declared = source.training
    if declared is None:
        raise InputError(
            f"{source.submission}: submission.json has no `training`, so its architecture cannot be "
            "trained anew, on shuffled actions or on the true ones; declare the settings that it was trained "
            "with"
        )
    from understudy.baselines.training import loop

    config = loading.config(source)
    own = settings.settings_from(declared)
    names = [name for name, _, _ in source.watched]
    held_out = watched.kept_from_updates(names, own)
    trained = loop.train(
        architectures.load(config.architecture, source.custom_code),
        config.parameters,
        games.load(source.benchmark.watched_games[0]),
        _watched(source, intervention, frozenset(names) - held_out, own),
        replace(own, seed=draws.derive(intervention.parameters, own.seed, intervention.draw) % 2**63),
        held_out=_watched(source, intervention, held_out, own) if held_out else None,
        resume_file=resume_file,
        save_every_updates=SAVE_EVERY_UPDATES,
        progress=lambda at: request.report(f"training {intervention.name}", at.updates_done, at.updates),
    )
    resume_file.unlink(missing_ok=True)
    return trained


def _watched(
    source: CheckpointSource, intervention: Intervention, names: frozenset[str], own: TrainingSettings
) -> WatchedRuns:
    """Return these of the runs that the checkpoint watched, with shuffled actions where it shall be so.

    Raises InputError for one that is not on this machine, or has other moves than declared.
    """
    here = {run.name: run for run in benchmarks.teacher_runs(source.benchmark)}
    wanted = [run for run in source.watched if run[0] in names]
    missing = [name for name, _, _ in wanted if name not in here]
    if missing:
        raise InputError(f"{source.submission}: it watched {missing[0]}, which is not on this machine")
    moves = source.benchmark.watched_moves
    histories = [benchmarks.read(here[name]) for name, _, _ in wanted]
    for (name, declared, sha256), history in zip(wanted, histories, strict=True):
        if moves_hash.sha256(history, declared) != sha256:
            raise InputError(
                f"{source.submission}: it watched other moves than those of {here[name].history_path}; "
                "fetch the run that it declares"
            )
    stores = frame_store.open_stores(histories, 0, moves)
    if intervention.parameters == "shuffled":
        histories = [shuffled_actions(history, moves, intervention.draw) for history in histories]
    return WatchedRuns(histories, stores, moves, own.episode_stride, own.last_moves)
