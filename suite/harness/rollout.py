"""Rollout: plays runs of one player in lock-step and writes a history and a record of each.

It holds what must be the same for every player: legal masks, decoding, exploration, priming, restoring the
state in start jobs, seeds, and the checks of logits, state and parameters.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from understudy.suite import exploration, games
from understudy.suite.errors import InputError
from understudy.suite.harness import (
    child_player,
    frozenness,
    permuted_actions,
    player_checks,
    records,
    row_documents,
    software,
    states,
    transfers,
)
from understudy.suite.harness.feedback import Feedback
from understudy.suite.harness.jobs import Job
from understudy.suite.harness.player_checks import PlayerChecks, PlayerRefused
from understudy.suite.harness.records import CHECKS, JOB, RECORD, TIMING
from understudy.suite.histories import history_format
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.histories.frame_store import FrameStore
from understudy.suite.histories.history_format import Header, History
from understudy.suite.histories.journal import Journal
from understudy.suite.histories.recording import Recorder, Run
from understudy.suite.histories.timesteps import timesteps_with_empty_memory
from understudy.suite.io import file_lock, files, interrupts, parts, walks
from understudy.suite.io.file_names import HISTORY, LOCK
from understudy.suite.io.readable import Readable
from understudy.suite.protocols import Imitator, State, Timestep

PROGRESS = "progress.json"  # of an unfinished job: the move up to which its files are consistent
PRIMING_CHUNK_MOVES = 256
CHECKPOINT_SECONDS = 60.0
KEPT_STATE = "kept-state.safetensors"  # in rows of before windows were drawn: of lane 0, near the end
WRITTEN = (JOB, PROGRESS, TIMING, KEPT_STATE, "state-*.safetensors", RECORD, HISTORY)  # under a job's lock


@dataclass(frozen=True)
class StartState:
    """The state of a player before move 0 of its runs."""

    state: State  # B rows
    previous_action: np.ndarray  # [B] int64
    previous_reward: np.ndarray  # [B] float32
    first_of_run: np.ndarray  # [B] bool, false where the player was primed
    device: torch.device = transfers.CPU  # of the player and of its state


Report = Callable[[int, int], None]  # moves done and to do, of each run


def empty_start_state(imitator: Imitator, lanes: int, device: torch.device = transfers.CPU) -> StartState:
    """Return the start state of runs that begin with an empty memory; the player is on `device`."""
    with torch.inference_mode():
        state = imitator.initial_state(lanes)
    zeros = np.zeros(lanes, np.int64)
    return StartState(state, zeros, zeros.astype(np.float32), np.ones(lanes, bool), device)


def primed_start_state(
    imitator: Imitator,
    history: History,
    store: FrameStore,
    start: int,
    stop: int,
    player: str = "the player",
    teacher: str = "its teacher",
    device: torch.device = transfers.CPU,
) -> StartState:
    """Return the start state of one run, primed with the teacher's moves [start, stop); it is on `device`.

    Raises PlayerRefused, naming player and teacher, if logits or state have not the declared form.
    """
    with torch.inference_mode():
        state = imitator.initial_state(1)
        lanes, num_actions = [f"primed by {teacher}"], store.game.num_actions
        checks = PlayerChecks(player, lanes, num_actions, state, "priming move", device)
        whole = timesteps_with_empty_memory(history, store, start, stop)
        for begin in range(0, stop - start, PRIMING_CHUNK_MOVES):
            chunk = Timestep(*(column[:, begin : begin + PRIMING_CHUNK_MOVES] for column in whole))
            answer = imitator.unroll(transfers.timesteps_to(chunk, device), state)
            _, state = checks.unroll(answer, begin, chunk.first.shape[1])
    previous = history.action[stop - 1 : stop].astype(np.int64), history.reward[stop - 1 : stop]
    return StartState(state, *previous, np.zeros(1, bool), device)


def join_start_states(start_states: Sequence[StartState]) -> StartState:
    """Return one start state with the rows of several, in order."""
    return StartState(
        states.join([start_state.state for start_state in start_states]),
        np.concatenate([start_state.previous_action for start_state in start_states]),
        np.concatenate([start_state.previous_reward for start_state in start_states]),
        np.concatenate([start_state.first_of_run for start_state in start_states]),
        start_states[0].device,
    )


def play(
    job: Job,
    player: nn.Module,
    make_start_state: Callable[[], StartState],
    folder: Path,
    report: Report = lambda done, total: None,
    restart: bool = False,
    waiting: Callable[[], None] = lambda: None,
) -> list[Path]:
    """Play a job's runs, resume them, or find them finished; return each run's folder.

    A record says whether the player's parameters or buffers changed; if so, the row belongs to the learning
    track. A second process waits for the first, calling `waiting` now and then, and finds its runs.
    Raises InputError if the folder holds another job's runs (other lanes, threads, device, versions ...), and
    PlayerRefused if logits or state have not the declared form at some move. Nothing is kept of such a job,
    so the same command plays it from its first move and says the same.
    """
    torch.set_num_threads(job.threads)
    run_folders = [folder / f"lane-{index}" for index in range(len(job.lanes))]
    with file_lock.held(folder / LOCK, waiting):
        for each in (folder, *run_folders):
            parts.drop(each, WRITTEN)
        if restart:
            _forget(folder, run_folders)
        refuse_other_job(job, folder)
        if all((run / RECORD).exists() for run in run_folders):
            return run_folders
        row_documents.write(row_documents.Job, folder / JOB, job.spec())
        try:
            session = _Session(job, player, make_start_state(), folder, run_folders)
            began, begun_at = time.time(), session.recorder.move
            session.play(report)
        except PlayerRefused:
            _forget(folder, run_folders)
            raise
        session.finish(_timing(began, job.moves - begun_at, child_player.confinement_of(player)))
    return run_folders


class _Session:
    """A job while it is played."""

    def __init__(
        self, job: Job, player: nn.Module, start_state: StartState, folder: Path, run_folders: list[Path]
    ) -> None:
        self.job, self.player, self.start_state, self.folder = job, player, start_state, folder
        self.run_folders = run_folders
        self.imitator = cast(Imitator, player)
        self.never = np.zeros(len(job.lanes), bool)
        self.state: State
        self.previous_action: np.ndarray  # [B] int64, as executed, in the player's own numbers
        self.previous_reward: np.ndarray  # [B] float32
        self.first_of_run: np.ndarray  # [B] bool
        self.parameters_before = frozenness.parameters_sha256(player)
        lane_games = [games.load(lane.game) for lane in job.lanes]
        seeds = [lane.seed for lane in job.lanes]
        self.legal = np.array([game.legal_actions for game in lane_games])  # [B, A]
        self.explorer = exploration.Explorer(seeds, self.legal)
        self.sampler = exploration.Sampler(seeds, self.legal.shape[1]) if job.decoding == "sample" else None
        self.feedback = Feedback(job.intervention.reward if job.intervention else "own", lane_games)
        permutations = [permuted_actions.of_lane(job, i, game) for i, game in enumerate(lane_games)]
        self.executed_as = np.stack(permutations)  # [B, A]
        self.own_number = np.stack([permuted_actions.inverse(each) for each in permutations])  # [B, A]
        learns = job.player.get("track") == "learning"
        self.weights = frozenness.weights_of(player, kept=learns and job.kind == "start")
        runs = [
            Run(run / HISTORY, game, lane.seed, _header(job, index, game.fingerprint))
            for index, (run, lane, game) in enumerate(zip(run_folders, job.lanes, lane_games, strict=True))
        ]
        lanes = [f"lane {index} ({lane.game})" for index, lane in enumerate(job.lanes)]
        name, num_actions = player_checks.name_of(job.labels), self.legal.shape[1]
        device = start_state.device
        self.checks = PlayerChecks(name, lanes, num_actions, start_state.state, device=device)
        self.up = transfers.up(self.legal, device)
        self.recorder = Recorder(runs, SegmentRule(job.segment_moves), job.threads)
        progress = folder / PROGRESS
        if progress.exists():
            self._resume(files.read_json(progress))
        else:
            self._begin()

    def play(self, report: Report) -> None:
        """Play to the end, with checkpoints at intervals and when interrupted."""
        last = time.monotonic()
        with interrupts.deferred_interrupts() as interrupted:  # no checkpoint in mid-move
            try:
                while self.recorder.move < self.job.moves:
                    self.play_move()
                    if time.monotonic() - last > CHECKPOINT_SECONDS:
                        self.checkpoint()
                        last = time.monotonic()
                    interrupts.raise_if_interrupted(interrupted)
                    report(self.recorder.move, self.job.moves)
            except KeyboardInterrupt:
                self.checkpoint()
                raise

    def play_move(self) -> None:
        """Ask the player for logits, decode, explore, execute, and keep the feedback for the next move."""
        recorder, move = self.recorder, self.recorder.move
        timestep = self.up.timestep(
            self.feedback.observation(recorder.observation),
            self.previous_action,
            self.previous_reward,
            recorder.first,
            self.first_of_run,
        )
        with torch.inference_mode():
            answer = self.imitator.step(timestep, self.state)
        logits, self.state = self.checks.step(answer, move)
        if self.sampler is None:
            chosen = exploration.greedy_actions(logits, self.legal)
        else:
            chosen = self.sampler.sample(move, logits, self.legal)
        lanes = np.arange(len(chosen))
        wanted = self.executed_as[lanes, chosen]
        actions, explored = self.explorer.execute(move, wanted, self.job.exploration)
        reward, _, _ = recorder.step(actions, explored)
        self.previous_action = self.own_number[lanes, actions]
        self.previous_reward = self.feedback.reward(reward)
        self.first_of_run = self.never
        if self.job.kind == "start" and recorder.first.any():
            self._restore(recorder.first)

    def checkpoint(self) -> None:
        """Commit everything up to this move; the progress file is written last and makes it valid."""
        self.recorder.checkpoint()
        move = self.recorder.move
        states.save(
            {**states.tensors(self.state), **self.weights.moved()}, self.folder / f"state-{move}.safetensors"
        )
        last = {
            "previous_action": self.previous_action.tolist(),
            "previous_reward": self.previous_reward.tolist(),
            "first_of_run": self.first_of_run.tolist(),
        }
        size = {"state_bytes": self.state_bytes, "largest_state_bytes": self.checks.largest_bytes}
        files.write_json(self.folder / PROGRESS, {"moves": move, **size, **last})
        self._drop_states(keep=move)

    def finish(self, timing: dict[str, Any]) -> None:
        """Write histories and records; a record is written last and marks its run as complete."""
        after = frozenness.parameters_sha256(self.player)
        self.checkpoint()
        paths = self.recorder.finish()
        row_documents.write(row_documents.JobTiming, self.folder / TIMING, timing)
        rows, labels = len(self.job.lanes), asdict(self.job.labels)
        for path, run in zip(paths, self.run_folders, strict=True):
            history = history_format.read(path)
            parameters = {"before": self.parameters_before, "after": after}
            size = {"start": self.state_bytes // rows, "largest": self.checks.largest_bytes // rows}
            files.write_json(
                run / RECORD, records.record(history, labels, software.versions(), parameters, size)
            )
        (self.folder / PROGRESS).unlink(missing_ok=True)
        self._drop_states(keep=None)

    def _begin(self) -> None:
        self.recorder.start()
        self.state = states.clone(self.start_state.state)
        self.state_bytes = self.checks.largest_bytes = states.size_bytes(self.state)
        self.previous_action = self.start_state.previous_action
        self.previous_reward = self.start_state.previous_reward
        self.first_of_run = self.start_state.first_of_run
        self.checkpoint()

    def _resume(self, progress: dict[str, Any]) -> None:
        histories = [run.recorded(progress["moves"]) for run in self.recorder.runs]
        self.recorder.resume(histories)
        path = self.folder / f"state-{progress['moves']}.safetensors"
        self.state = self.weights.put_back(states.load(path, self.start_state.device))
        self.state_bytes = progress["state_bytes"]
        self.checks.largest_bytes = progress["largest_state_bytes"]
        self.previous_action = np.array(progress["previous_action"], np.int64)
        self.previous_reward = np.array(progress["previous_reward"], np.float32)
        self.first_of_run = np.array(progress["first_of_run"], bool)

    def _restore(self, lanes: np.ndarray) -> None:
        """Put lanes [B] bool back into the start state; their new episodes go on."""
        start_state = self.start_state
        self.weights.restore()
        self.state = states.copy_rows(self.state, start_state.state, torch.from_numpy(lanes))
        self.previous_action = np.where(lanes, start_state.previous_action, self.previous_action)
        self.previous_reward = np.where(lanes, start_state.previous_reward, self.previous_reward)
        self.first_of_run = lanes & start_state.first_of_run

    def _drop_states(self, keep: int | None) -> None:
        for old in _states(self.folder):
            if old.name != f"state-{keep}.safetensors":
                old.unlink()


def _header(job: Job, index: int, fingerprint: Mapping[str, Any]) -> Header:
    run = records.run_of(job.spec(), index)
    return Header(
        game=job.lanes[index].game,
        fingerprint=dict(fingerprint),
        player=run["job"]["player"],
        run=run,
        segments=(),
        versions=dict(job.versions),
    )


def _timing(began: float, moves: int, player_process: str) -> dict[str, Any]:
    """Return host, clock and seconds of a session that began at a time since the epoch."""
    return {
        "began": datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "moves": moves,
        "seconds": time.time() - began,
        "player_process": player_process,
    }


def refuse_other_job(job: Job, folder: Readable) -> None:
    """Raise InputError if a folder holds another job's runs (other lanes, threads, versions ...)."""
    if not (folder / JOB).exists():
        return
    spec, kept = job.spec(), records.read_job(folder)
    differing = games.differing_settings({**spec, "labels": None}, {**kept, "labels": None})
    if differing:
        lanes = [len(each["lanes"]) for each in (spec, kept)]
        counts = [f"{lanes[0]} lanes, not {lanes[1]}"] if lanes[0] != lanes[1] else []
        raise InputError(
            f"{folder}: holds another job's runs (this one has {[*counts, *differing][0][:200]}); "
            "give the same --num-envs, --threads, --device and --round, another --out, or --restart to play "
            "them again"
        )


def _forget(folder: Path, run_folders: Sequence[Path]) -> None:
    """Remove the files of a job from its folder, and no others."""
    (folder / PROGRESS).unlink(missing_ok=True)  # first: without it nothing that is left is taken up
    for run in run_folders:
        for name in (RECORD, HISTORY):
            (run / name).unlink(missing_ok=True)
        Journal(run / f"{HISTORY}.journal").discard()
    for name in (JOB, TIMING, *CHECKS, KEPT_STATE):
        (folder / name).unlink(missing_ok=True)
    for path in _states(folder):
        path.unlink()


def _states(folder: Path) -> list[Path]:
    """Return the files of players' states at checkpoints, and no others that are called alike."""
    found = walks.matching(folder, "state-*.safetensors")
    return [path for path in found if path.stem.removeprefix("state-").isdecimal()]
