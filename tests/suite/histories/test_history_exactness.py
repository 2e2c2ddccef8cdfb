"""Replay equals recording, pixel by pixel, in any order of segments, lane, batch and number of threads."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from understudy.suite import games
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.games import atari
from understudy.suite.histories import frame_store, history_format, replay, segments
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.histories.history_format import History
from understudy.suite.histories.recording import Recorder
from understudy.suite.protocols import Game
from understudy.suite.testing.history_checks import random_runs, segment_frames

LANES = 2
PLAYED = [  # a game of each family; moves, and the least moves of a segment
    pytest.param(("atari/breakout", 240, 50), id="atari"),
    pytest.param(("minatar/space_invaders", 600, 100), id="minatar"),
    pytest.param(("darkroom/goal-40", 600, 100), id="darkroom"),
    pytest.param(("atari/breakout", 20_000, 3_000), id="atari-long", marks=pytest.mark.long),
    pytest.param(("minatar/space_invaders", 50_000, 5_000), id="minatar-long", marks=pytest.mark.long),
    pytest.param(("darkroom/goal-40", 50_000, 5_000), id="darkroom-long", marks=pytest.mark.long),
]
RunSegment = tuple[int, int]  # run, segment


class RecordedRuns(NamedTuple):
    """Recorded runs, and digests of the observations during recording."""

    game: Game
    every_moves: int  # of the SegmentRule
    histories: list[History]
    observations: list[list[bytes]]  # of each run, a digest of the whole observation before each move
    newest: list[list[bytes]]  # of each run, a digest of the newest frame before each move

    @property
    def run_segments(self) -> list[RunSegment]:
        return [
            (run, index)
            for run, history in enumerate(self.histories)
            for index, segment in enumerate(history.header.segments)
            if segment.length
        ]


def digest(array: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).digest()


def record(
    game: Game, moves: int, every_moves: int, folder: Path, threads: int, lanes: int = LANES
) -> RecordedRuns:
    """Play uniform legal moves and record them, with a digest of each observation."""
    runs = random_runs(game, folder, lanes)
    recorder = Recorder(runs, SegmentRule(every_moves), threads)
    recorder.start()
    legal = np.flatnonzero(game.legal_actions)
    draws = [np.random.default_rng(lane) for lane in range(lanes)]
    observations: list[list[bytes]] = [[] for _ in runs]
    newest: list[list[bytes]] = [[] for _ in runs]
    for _ in range(moves):
        for lane, observation in enumerate(recorder.observation):
            observations[lane].append(digest(observation))
            newest[lane].append(digest(game.newest_frame(observation)))
        recorder.step(np.array([rng.choice(legal) for rng in draws]), np.zeros(lanes, bool))
    histories = [history_format.read(path) for path in recorder.finish()]
    return RecordedRuns(game, every_moves, histories, observations, newest)


@pytest.fixture(scope="module", params=PLAYED)
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RecordedRuns:
    name, moves, every_moves = request.param
    found = record(games.load(name), moves, every_moves, tmp_path_factory.mktemp("recorded"), threads=1)
    assert len(found.run_segments) > LANES
    return found


def shuffled_waves(recorded: RecordedRuns, lanes: int, seed: int) -> list[list[RunSegment]]:
    """Return all segments of all runs in random order, `lanes` in each wave."""
    shuffled = random.Random(seed).sample(recorded.run_segments, len(recorded.run_segments))
    return [shuffled[begin : begin + lanes] for begin in range(0, len(shuffled), lanes)]


# Replay by hand: environments stepped here, without the suite's replay


def seen_by_hand(
    env: games.SeededVectorEnv, recorded: RecordedRuns, wave: Sequence[RunSegment]
) -> list[list[bytes]]:
    """Reset a used environment, play a segment in each of its lanes, and return digests of each lane."""
    cut = [recorded.histories[run].header.segments[index] for run, index in wave]
    idle = recorded.game.legal_actions.index(True)
    observation, _ = env.reset(seed=np.array([segment.seed for segment in cut], np.int64))
    seen: list[list[bytes]] = [[] for _ in wave]
    for offset in range(max(segment.length for segment in cut)):
        actions = np.full(len(wave), idle, np.int64)
        for lane, (segment, (run, _)) in enumerate(zip(cut, wave, strict=True)):
            if offset < segment.length:
                seen[lane].append(digest(observation[lane]))
                actions[lane] = recorded.histories[run].action[segment.first_move + offset]
        observation, *outcome, _ = env.step(actions)
        for lane, (segment, (run, _)) in enumerate(zip(cut, wave, strict=True)):
            if offset < segment.length:
                history, move = recorded.histories[run], segment.first_move + offset
                logged = (history.reward[move], history.terminated[move], history.truncated[move])
                assert tuple(column[lane] for column in outcome) == logged
    return seen


def expected(digests: list[list[bytes]], recorded: RecordedRuns, run_segment: RunSegment) -> list[bytes]:
    run, index = run_segment
    segment = recorded.histories[run].header.segments[index]
    return digests[run][segment.first_move : segment.first_move + segment.length]


@pytest.mark.parametrize(("lanes", "threads"), [(1, 1), (5, 4)])
def test_any_order_lanes_and_threads_after_other_moves(recorded, lanes, threads):
    """One environment plays all segments in random order, each wave after some random moves."""
    envs: dict[int, games.SeededVectorEnv] = {}
    rng = np.random.default_rng(lanes)
    legal = np.flatnonzero(recorded.game.legal_actions)
    for wave in shuffled_waves(recorded, lanes, seed=lanes):
        if len(wave) not in envs:
            envs[len(wave)] = games.make([recorded.game] * len(wave), threads)
            envs[len(wave)].reset(seed=rng.integers(0, 2**31, len(wave)))
        env = envs[len(wave)]
        for _ in range(int(rng.integers(1, 90))):
            env.step(rng.choice(legal, len(wave)))
        for run_segment, seen in zip(wave, seen_by_hand(env, recorded, wave), strict=True):
            assert seen == expected(recorded.observations, recorded, run_segment), run_segment
    for env in envs.values():
        env.close()


@pytest.mark.parametrize("lanes", [1, 3])
def test_the_suites_replay_gives_the_recorded_frames_in_any_wave(recorded, lanes):
    for wave in shuffled_waves(recorded, lanes, seed=10 + lanes):
        seen: list[list[bytes]] = [[] for _ in wave]
        for part in replay.play(recorded.histories, wave):
            assert part.difference is None
            seen[part.lane] += [digest(frame) for frame in part.frames]
        assert seen == [expected(recorded.newest, recorded, run_segment) for run_segment in wave]


@pytest.mark.parametrize("processes", [1, 2])
def test_any_number_of_processes_gives_the_recorded_frames(recorded, tmp_path, monkeypatch, processes):
    monkeypatch.setattr(segments, "ONE_PROCESS_MOVES", 0)
    stores = frame_store.open_stores(recorded.histories, processes=processes, cache=tmp_path)
    for store, newest, observations in zip(stores, recorded.newest, recorded.observations, strict=True):
        for begin in range(0, store.num_moves, 5_000):
            end = min(begin + 5_000, store.num_moves)
            assert [digest(frame) for frame in store[begin:end]] == newest[begin:end]
            assert [digest(seen) for seen in store.observations(begin, end)] == observations[begin:end]


@pytest.mark.parametrize(("lanes", "threads"), [(1, 1), (3, 2)])
def test_a_run_recorded_alone_or_among_others_on_any_threads_is_the_same(recorded, tmp_path, lanes, threads):
    moves = min(1_000, recorded.histories[0].num_moves)
    again = record(recorded.game, moves, recorded.every_moves, tmp_path, threads, lanes)
    assert again.observations[0] == recorded.observations[0][:moves]
    assert (again.histories[0].reward == recorded.histories[0].reward[:moves]).all()


# Another emulator


def renamed(history: History, **versions: str) -> History:
    """Return the history as if it had been recorded with other package versions."""
    fingerprint = {**history.header.fingerprint, **versions}
    return dataclasses.replace(history, header=dataclasses.replace(history.header, fingerprint=fingerprint))


class OnePixelOff:
    """An environment that changes one value of lane 0's observation after one step."""

    def __init__(self, env: games.SeededVectorEnv, step: int) -> None:
        self._env, self._steps_left = env, step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def step(self, actions: np.ndarray) -> tuple[Any, ...]:
        observation, *rest = self._env.step(actions)
        self._steps_left -= 1
        if self._steps_left == 0:
            observation = observation.copy()
            flat = observation[:1].reshape(-1)
            flat[-1] = not flat[-1] if flat.dtype == bool else flat[-1] ^ 1
            observation[:1] = flat.reshape(observation[:1].shape)
        return (observation, *rest)


@pytest.fixture
def one_pixel_off(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    make = games.make

    def install(step: int) -> None:
        monkeypatch.setattr(games, "make", lambda chosen, threads=1: OnePixelOff(make(chosen, threads), step))

    return install


def test_one_other_pixel_is_noticed_and_its_segment_named(recorded, tmp_path, one_pixel_off):
    history = recorded.histories[0]
    lengths = [segment.length for segment in history.header.segments]
    index = int(np.argmax(lengths))
    segment = history.header.segments[index]
    one_pixel_off(segment.length // 2)
    message = rf"^segment {index} \(moves {segment.first_move} to .* shows other frames: CRC-32"
    with pytest.raises(CheckFailed, match=message):
        list(segment_frames(history, index))
    start, stop = segment.first_move, segment.first_move + segment.length
    with pytest.raises(CheckFailed, match=message):
        frame_store.open_store(history, start, stop, processes=1, cache=tmp_path)
    assert not list(tmp_path.rglob("*.b2frame*"))


@pytest.mark.parametrize(
    ("name", "moves", "package"), [("atari/breakout", 100, "ale-py"), ("minatar/breakout", 100, "minatar")]
)
def test_other_pixels_of_another_version_name_both_versions(tmp_path, one_pixel_off, name, moves, package):
    game = games.load(name)
    (history,) = record(game, moves, 80, tmp_path, threads=1, lanes=1).histories
    older = renamed(history, **{package: "0.0.9"})
    replay.verify(older, processes=1)  # another version that gives the same frames is accepted
    one_pixel_off(20)
    here = game.fingerprint[package]
    with pytest.raises(
        CheckFailed, match=rf"segment \d .*recorded with {package}: '0\.0\.9', not '{here}' here"
    ):
        replay.verify(older, processes=1)


def test_an_emulator_with_other_sticky_actions_is_noticed(tmp_path, monkeypatch):
    """Its fingerprint claims 0.25, but the checksums differ."""
    game = games.load("atari/breakout")
    (history,) = record(game, 200, 120, tmp_path, threads=1, lanes=1).histories
    monkeypatch.setitem(atari.ENVIRONMENT_ARGUMENTS, "repeat_action_probability", 0.24)
    (difference,) = replay.verify_runs([renamed(history, **{"ale-py": "0.9.1"})], processes=1)
    assert difference is not None
    assert difference.startswith("segment ")
    assert f"recorded with ale-py: '0.9.1', not '{game.fingerprint['ale-py']}' here" in difference


def test_an_emulator_that_declares_other_sticky_actions_is_refused(tmp_path, monkeypatch):
    (history,) = record(games.load("atari/breakout"), 60, 50, tmp_path, threads=1, lanes=1).histories
    other = dataclasses.replace(
        games.load("atari/breakout"),
        fingerprint={**history.header.fingerprint, "repeat_action_probability": 0.24},
    )
    monkeypatch.setattr(games, "load", lambda name: other)
    with pytest.raises(InputError, match=r"recorded with repeat_action_probability: 0\.25, not 0\.24 here"):
        replay.verify(history, processes=1)
