"""The harness: plays lives of one player in lock-step, and leaves a history and a record of each.

It owns everything that must be the same for every player: legal masks, decoding, exploration, priming,
the restoring of the state in start lives, seeds, and the check that parameters do not move.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from understudy.suite import exploration, files, frozenness, games, interrupts, probes, records, states
from understudy.suite.errors import InputError
from understudy.suite.histories import format as history_format
from understudy.suite.histories.format import Header, History
from understudy.suite.histories.frames import FrameStore
from understudy.suite.histories.record import Life, Recorder, SegmentRule
from understudy.suite.histories.timesteps import timesteps_of_new_memory
from understudy.suite.places import Lane
from understudy.suite.probes import Probe
from understudy.suite.protocols import Imitator, State, Timestep
from understudy.suite.records import FED_AGAIN, HISTORY, JOB, RECORD, RUN

LOCK = ".lock"  # of a job under way, held by the process that plays it
PROGRESS = "progress.json"  # of a job under way: the move up to which its files belong together
PRIMING_CHUNK_MOVES = 256
CHECKPOINT_SECONDS = 60.0
KEPT_STATE = "kept-state.safetensors"  # of lane 0, so many moves before the end: isolation is checked from it
KEPT_BEFORE_END = records.CHECKED_MOVES


@dataclass(frozen=True)
class Job:
    """A fixed group of lives in lock-step: all that determines their bytes, but for the parameters."""

    benchmark: str
    benchmark_sha256: str
    budget: str
    kind: str  # start: the state is restored at every episode start; continue; transfer
    player: Mapping[str, Any]  # name, hash, architecture, checkpoint, training seed, track
    salt: str  # of the round, from which the seeds derive
    decoding: str  # greedy or sample
    priming_moves: int  # K
    moves: int  # of each life
    exploration: float  # probability with which a move is replaced
    segment_moves: int
    lanes: tuple[Lane, ...]
    threads: int
    device: str
    versions: Mapping[str, str]  # of the packages that shape the bytes
    probe: Probe | None = None  # in what these lives differ from the scored ones; None: they are scored

    def spec(self) -> dict[str, Any]:
        """Return the job as JSON; what a record pins."""
        lanes = [lane.spec() for lane in self.lanes]
        return {**asdict(self), "lanes": lanes, "player": dict(self.player), "versions": dict(self.versions)}


@dataclass(frozen=True)
class Outset:
    """A player before move 0 of its lives."""

    state: State  # B rows
    previous_action: np.ndarray  # [B] int64
    previous_reward: np.ndarray  # [B] float32
    first_of_life: np.ndarray  # [B] bool, false where the player was primed


Report = Callable[[int, int], None]  # moves done and to do, of each life


def empty_outset(imitator: Imitator, lanes: int) -> Outset:
    """Return the outset of lives that begin with an empty memory."""
    with torch.inference_mode():
        state = imitator.initial_state(lanes)
    zeros = np.zeros(lanes, np.int64)
    return Outset(state, zeros, zeros.astype(np.float32), np.ones(lanes, bool))


def primed_outset(imitator: Imitator, history: History, store: FrameStore, start: int, stop: int) -> Outset:
    """Return the outset of one life after the teacher's moves [start, stop), its own actions unrolled."""
    with torch.inference_mode():
        state = imitator.initial_state(1)
        whole = timesteps_of_new_memory(history, store, start, stop)
        for begin in range(0, stop - start, PRIMING_CHUNK_MOVES):
            chunk = Timestep(*(column[:, begin : begin + PRIMING_CHUNK_MOVES] for column in whole))
            _, state = imitator.unroll(chunk, state)
    previous = history.action[stop - 1 : stop].astype(np.int64), history.reward[stop - 1 : stop]
    return Outset(state, *previous, np.zeros(1, bool))


def join_outsets(outsets: Sequence[Outset]) -> Outset:
    """Return one outset with the rows of several, in order."""
    state = {name: torch.cat([outset.state[name] for outset in outsets]) for name in outsets[0].state}
    return Outset(
        state,
        np.concatenate([outset.previous_action for outset in outsets]),
        np.concatenate([outset.previous_reward for outset in outsets]),
        np.concatenate([outset.first_of_life for outset in outsets]),
    )


def play(
    job: Job,
    player: nn.Module,
    make_outset: Callable[[], Outset],
    folder: Path,
    report: Report = lambda done, total: None,
    restart: bool = False,
    waiting: Callable[[], None] = lambda: None,
) -> list[Path]:
    """Play a job's lives, or go on with them, or find them done; return each life's folder.

    A record says whether the player's parameters or buffers moved: if so, the row belongs to the learning
    track. A second process waits for the first, and finds its lives; `waiting` is called now and then as it
    does. Raises InputError where the folder holds another job's lives (other lanes, threads, versions ...).
    """
    torch.set_num_threads(job.threads)
    life_folders = [folder / f"lane-{index}" for index in range(len(job.lanes))]
    with files.alone(folder / LOCK, waiting):
        for each in (folder, *life_folders):
            files.drop_parts(each)
        if restart:
            _forget(folder, life_folders)
        refuse_other_job(job, folder)
        if all((life / RECORD).exists() for life in life_folders):
            return life_folders
        files.write_json(folder / JOB, job.spec())
        session = _Session(job, player, make_outset(), folder, life_folders)
        began, begun_at = time.time(), session.recorder.move
        session.play(report)
        session.finish({"seconds": time.time() - began, "moves": job.moves - begun_at})
    return life_folders


class _Session:
    """The moving parts of a job."""

    def __init__(
        self, job: Job, player: nn.Module, outset: Outset, folder: Path, life_folders: list[Path]
    ) -> None:
        self.job, self.player, self.outset, self.folder = job, player, outset, folder
        self.life_folders = life_folders
        self.imitator = cast(Imitator, player)
        self.state: State
        self.previous_action: np.ndarray  # [B] int64, as executed
        self.previous_reward: np.ndarray  # [B] float32
        self.first_of_life: np.ndarray  # [B] bool
        self.parameters_before = frozenness.parameters_sha256(player)
        lane_games = [games.load(lane.game) for lane in job.lanes]
        seeds = [lane.seed for lane in job.lanes]
        self.legal = np.array([game.legal_actions for game in lane_games])  # [B, A]
        self.explorer = exploration.Explorer(seeds, self.legal)
        self.sampler = exploration.Sampler(seeds, self.legal.shape[1]) if job.decoding == "sample" else None
        self.told = probes.Told(job.probe.reward if job.probe else "own", lane_games)
        learns = job.player.get("track") == "learning"
        self.weights = frozenness.Weights(player, kept=learns and job.kind == "start")
        lives = [
            Life(life / HISTORY, game, lane.seed, _header(job, index, game.fingerprint))
            for index, (life, lane, game) in enumerate(zip(life_folders, job.lanes, lane_games, strict=True))
        ]
        self.recorder = Recorder(lives, SegmentRule(job.segment_moves), job.threads)
        progress = folder / PROGRESS
        if progress.exists():
            self._resume(files.read_json(progress))
        else:
            self._begin()

    def play(self, report: Report) -> None:
        """Play to the end, checkpointing now and then, and when interrupted."""
        last = time.monotonic()
        with interrupts.put_off() as interrupted:  # amid a move the state is none to go on from
            try:
                while self.recorder.move < self.job.moves:
                    if self.recorder.move == self.job.moves - KEPT_BEFORE_END and self._is_long:
                        states.save(states.take(self.state, [0]), self.folder / KEPT_STATE)
                    self.play_move()
                    if time.monotonic() - last > CHECKPOINT_SECONDS:
                        self.checkpoint()
                        last = time.monotonic()
                    interrupts.answer(interrupted)
                    report(self.recorder.move, self.job.moves)
            except KeyboardInterrupt:
                self.checkpoint()
                raise

    def play_move(self) -> None:
        """Ask the player, decode, explore, execute, and note what the player will be told."""
        recorder, move = self.recorder, self.recorder.move
        timestep = Timestep(
            torch.from_numpy(self.told.observation(recorder.observation)),
            self.legal_tensor,
            torch.from_numpy(self.previous_action),
            torch.from_numpy(self.previous_reward),
            torch.from_numpy(recorder.first),
            torch.from_numpy(self.first_of_life),
        )
        with torch.inference_mode():
            logits, self.state = self.imitator.step(timestep, self.state)
        if self.sampler is None:
            chosen = exploration.greedy_actions(logits.numpy(), self.legal)
        else:
            chosen = self.sampler.sample(move, logits.numpy(), self.legal)
        actions, explored = self.explorer.execute(move, chosen, self.job.exploration)
        reward, _, _ = recorder.step(actions, explored)
        self.previous_action, self.previous_reward = actions, self.told.reward(reward)
        self.first_of_life = self.never
        if self.job.kind == "start" and recorder.first.any():
            self._restore(recorder.first)

    @property
    def _is_long(self) -> bool:
        """Whether isolation is checked at the end of these lives too: elsewhere the first moves are all."""
        return self.job.kind != "start" and self.job.moves > KEPT_BEFORE_END

    def checkpoint(self) -> None:
        """Commit everything up to this move; the small progress file, written last, is what counts."""
        self.recorder.checkpoint()
        move = self.recorder.move
        states.save({**self.state, **self.weights.moved()}, self.folder / f"state-{move}.safetensors")
        told = {
            "previous_action": self.previous_action.tolist(),
            "previous_reward": self.previous_reward.tolist(),
            "first_of_life": self.first_of_life.tolist(),
        }
        files.write_json(self.folder / PROGRESS, {"moves": move, "state_bytes": self.state_bytes, **told})
        self._drop_states(keep=move)

    def finish(self, run: dict[str, Any]) -> None:
        """Write histories and records; a record, written last, says that its life is whole."""
        after = frozenness.parameters_sha256(self.player)
        self.checkpoint()
        paths = self.recorder.finish()
        rows = len(self.job.lanes)
        for path, life in zip(paths, self.life_folders, strict=True):
            history = history_format.read(path)
            parameters = {"before": self.parameters_before, "after": after}
            size = {"start": self.state_bytes // rows, "end": states.size_bytes(self.state) // rows}
            files.write_json(life / RUN, run)
            files.write_json(life / RECORD, records.record(history, parameters, size))
        (self.folder / PROGRESS).unlink(missing_ok=True)
        self._drop_states(keep=None)

    def _begin(self) -> None:
        self.recorder.start()
        self.state = states.clone(self.outset.state)
        self.state_bytes = states.size_bytes(self.state)
        self.previous_action = self.outset.previous_action
        self.previous_reward = self.outset.previous_reward
        self.first_of_life = self.outset.first_of_life
        self._constants()
        self.checkpoint()

    def _resume(self, progress: dict[str, Any]) -> None:
        histories = [life.recorded(progress["moves"]) for life in self.recorder.lives]
        self.recorder.resume(histories)
        self.state = self.weights.put_back(
            states.load(self.folder / f"state-{progress['moves']}.safetensors")
        )
        self.state_bytes = progress["state_bytes"]
        self.previous_action = np.array(progress["previous_action"], np.int64)
        self.previous_reward = np.array(progress["previous_reward"], np.float32)
        self.first_of_life = np.array(progress["first_of_life"], bool)
        self._constants()

    def _constants(self) -> None:
        self.legal_tensor = torch.from_numpy(self.legal)
        self.never = np.zeros(len(self.job.lanes), bool)

    def _restore(self, lanes: np.ndarray) -> None:
        """Put lanes [B] bool back to where they were before move 0, but for the episode."""
        outset = self.outset
        self.weights.restore()
        self.state = states.copy_rows(self.state, outset.state, torch.from_numpy(lanes))
        self.previous_action = np.where(lanes, outset.previous_action, self.previous_action)
        self.previous_reward = np.where(lanes, outset.previous_reward, self.previous_reward)
        self.first_of_life = lanes & outset.first_of_life

    def _drop_states(self, keep: int | None) -> None:
        for old in self.folder.glob("state-*.safetensors"):
            if old.name != f"state-{keep}.safetensors":
                old.unlink()


def _header(job: Job, index: int, fingerprint: Mapping[str, Any]) -> Header:
    life = records.life_of(job.spec(), index)
    return Header(
        game=job.lanes[index].game,
        fingerprint=dict(fingerprint),
        player=life["job"]["player"],
        life=life,
        segments=(),
        versions=dict(job.versions),
    )


def refuse_other_job(job: Job, folder: Path) -> None:
    """Raise InputError if a folder holds lives of another job: other lanes, threads, versions ..."""
    path = folder / JOB
    if not path.exists():
        return
    spec, kept = job.spec(), files.read_json(path)
    if not isinstance(kept, dict):
        raise InputError(f"{path}: not a job's file; restore it, or remove {folder}")
    differing = games.differing_settings(spec, kept)
    if differing:
        lanes = [len(each["lanes"]) if isinstance(each.get("lanes"), list) else 0 for each in (spec, kept)]
        counts = [f"{lanes[0]} lanes, not {lanes[1]}"] if lanes[0] != lanes[1] else []
        raise InputError(
            f"{folder}: another job's lives lie here (this one has {[*counts, *differing][0][:200]}); "
            "give the same --lanes, --threads and --salt, another folder for --out, or --restart to play anew"
        )


def _forget(folder: Path, life_folders: Sequence[Path]) -> None:
    """Remove what a job left in its folder, and nothing else."""
    for life in life_folders:
        for name in (RECORD, RUN, HISTORY):
            (life / name).unlink(missing_ok=True)
        journal = life / f"{HISTORY}.journal"
        if journal.exists():
            for file in journal.iterdir():
                file.unlink()
            journal.rmdir()
    for name in (JOB, PROGRESS, *FED_AGAIN, KEPT_STATE):
        (folder / name).unlink(missing_ok=True)
    for path in folder.glob("state-*.safetensors"):
        path.unlink()
