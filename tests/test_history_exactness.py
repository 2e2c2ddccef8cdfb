"""Replay equals recording, pixel by pixel, whatever is played beside, before, where and in which order."""

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
from understudy.suite.histories import format as history_format
from understudy.suite.histories import frames, replay, segments
from understudy.suite.histories.format import History
from understudy.suite.histories.record import Recorder, SegmentRule
from understudy.suite.protocols import Game
from understudy.suite.testing.histories import random_lives, segment_frames

LANES = 2
PLAYED = [  # a game of each family; moves and moves a segment, at least
    pytest.param(("atari/breakout", 240, 50), id="atari"),
    pytest.param(("minatar/space_invaders", 600, 100), id="minatar"),
    pytest.param(("darkroom/goal-40", 600, 100), id="darkroom"),
    pytest.param(("atari/breakout", 20_000, 3_000), id="atari-long", marks=pytest.mark.long),
    pytest.param(("minatar/space_invaders", 50_000, 5_000), id="minatar-long", marks=pytest.mark.long),
    pytest.param(("darkroom/goal-40", 50_000, 5_000), id="darkroom-long", marks=pytest.mark.long),
]
Place = tuple[int, int]  # life, segment


class Lived(NamedTuple):
    """Lives as they were recorded, and what was seen while that was done."""

    game: Game
    every_moves: int  # of the rule by which segments began
    histories: list[History]
    observations: list[list[bytes]]  # of each life, a digest of the whole observation before each move
    newest: list[list[bytes]]  # of each life, a digest of the newest frame before each move

    @property
    def places(self) -> list[Place]:
        return [
            (life, index)
            for life, history in enumerate(self.histories)
            for index, segment in enumerate(history.header.segments)
            if segment.length
        ]


def digest(array: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).digest()


def record(game: Game, moves: int, every_moves: int, folder: Path, threads: int, lanes: int = LANES) -> Lived:
    """Play uniform legal moves and record them, keeping a digest of all that is seen."""
    lives = random_lives(game, folder, lanes)
    recorder = Recorder(lives, SegmentRule(every_moves), threads)
    recorder.start()
    legal = np.flatnonzero(game.legal_actions)
    draws = [np.random.default_rng(lane) for lane in range(lanes)]
    observations: list[list[bytes]] = [[] for _ in lives]
    newest: list[list[bytes]] = [[] for _ in lives]
    for _ in range(moves):
        for lane, observation in enumerate(recorder.observation):
            observations[lane].append(digest(observation))
            newest[lane].append(digest(game.newest_frame(observation)))
        recorder.step(np.array([rng.choice(legal) for rng in draws]), np.zeros(lanes, bool))
    histories = [history_format.read(path) for path in recorder.finish()]
    return Lived(game, every_moves, histories, observations, newest)


@pytest.fixture(scope="module", params=PLAYED)
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    name, moves, every_moves = request.param
    found = record(games.load(name), moves, every_moves, tmp_path_factory.mktemp("lived"), threads=1)
    assert len(found.places) > LANES
    return found


def shuffled_waves(lived: Lived, lanes: int, seed: int) -> list[list[Place]]:
    """Return all segments of all lives in random order, so many at once."""
    places = random.Random(seed).sample(lived.places, len(lived.places))
    return [places[begin : begin + lanes] for begin in range(0, len(places), lanes)]


# Replay by hand: environments stepped here, nothing of the suite's replay in between


def seen_by_hand(env: games.SeededVectorEnv, lived: Lived, wave: Sequence[Place]) -> list[list[bytes]]:
    """Reset an environment, whatever its past, and play a segment in each of its lanes; digests of each."""
    cut = [lived.histories[life].header.segments[index] for life, index in wave]
    idle = lived.game.legal_actions.index(True)
    observation, _ = env.reset(seed=np.array([segment.seed for segment in cut], np.int64))
    seen: list[list[bytes]] = [[] for _ in wave]
    for offset in range(max(segment.length for segment in cut)):
        actions = np.full(len(wave), idle, np.int64)
        for lane, (segment, (life, _)) in enumerate(zip(cut, wave, strict=True)):
            if offset < segment.length:
                seen[lane].append(digest(observation[lane]))
                actions[lane] = lived.histories[life].action[segment.first_move + offset]
        observation, *outcome, _ = env.step(actions)
        for lane, (segment, (life, _)) in enumerate(zip(cut, wave, strict=True)):
            if offset < segment.length:
                history, move = lived.histories[life], segment.first_move + offset
                logged = (history.reward[move], history.terminated[move], history.truncated[move])
                assert tuple(column[lane] for column in outcome) == logged
    return seen


def expected(digests: list[list[bytes]], lived: Lived, place: Place) -> list[bytes]:
    life, index = place
    segment = lived.histories[life].header.segments[index]
    return digests[life][segment.first_move : segment.first_move + segment.length]


@pytest.mark.parametrize(("lanes", "threads"), [(1, 1), (5, 4)])
def test_any_order_lanes_and_threads_after_any_past(lived, lanes, threads):
    """One environment plays all segments in random order, each wave after another past."""
    envs: dict[int, games.SeededVectorEnv] = {}
    rng = np.random.default_rng(lanes)
    legal = np.flatnonzero(lived.game.legal_actions)
    for wave in shuffled_waves(lived, lanes, seed=lanes):
        if len(wave) not in envs:
            envs[len(wave)] = games.make([lived.game] * len(wave), threads)
            envs[len(wave)].reset(seed=rng.integers(0, 2**31, len(wave)))
        env = envs[len(wave)]
        for _ in range(int(rng.integers(1, 90))):
            env.step(rng.choice(legal, len(wave)))
        for place, seen in zip(wave, seen_by_hand(env, lived, wave), strict=True):
            assert seen == expected(lived.observations, lived, place), place
    for env in envs.values():
        env.close()


@pytest.mark.parametrize("lanes", [1, 3])
def test_the_suites_replay_shows_what_was_recorded_in_any_wave(lived, lanes):
    for wave in shuffled_waves(lived, lanes, seed=10 + lanes):
        seen: list[list[bytes]] = [[] for _ in wave]
        for stretch in replay.play(lived.histories, wave):
            assert stretch.difference is None
            seen[stretch.place] += [digest(frame) for frame in stretch.frames]
        assert seen == [expected(lived.newest, lived, place) for place in wave]


@pytest.mark.parametrize("processes", [1, 2])
def test_any_number_of_processes_gives_the_recorded_frames(lived, tmp_path, monkeypatch, processes):
    monkeypatch.setattr(segments, "ALONE_MOVES", 0)
    stores = frames.frames_of_lives(lived.histories, processes=processes, cache=tmp_path)
    for store, newest, observations in zip(stores, lived.newest, lived.observations, strict=True):
        for begin in range(0, store.num_moves, 5_000):
            end = min(begin + 5_000, store.num_moves)
            assert [digest(frame) for frame in store[begin:end]] == newest[begin:end]
            assert [digest(seen) for seen in store.observations(begin, end)] == observations[begin:end]


@pytest.mark.parametrize(("lanes", "threads"), [(1, 1), (3, 2)])
def test_a_life_recorded_alone_or_among_others_on_any_threads_is_the_same(lived, tmp_path, lanes, threads):
    moves = min(1_000, lived.histories[0].num_moves)
    again = record(lived.game, moves, lived.every_moves, tmp_path, threads, lanes)
    assert again.observations[0] == lived.observations[0][:moves]
    assert (again.histories[0].reward == lived.histories[0].reward[:moves]).all()


# Another emulator


def renamed(history: History, **versions: str) -> History:
    """Return the history as if other package versions had recorded it."""
    fingerprint = {**history.header.fingerprint, **versions}
    return dataclasses.replace(history, header=dataclasses.replace(history.header, fingerprint=fingerprint))


class OnePixelOff:
    """An environment in whose observation after one step one value of lane 0 is another."""

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
    whole = games.make

    def doctor(step: int) -> None:
        monkeypatch.setattr(
            games, "make", lambda chosen, threads=1: OnePixelOff(whole(chosen, threads), step)
        )

    return doctor


def test_one_other_pixel_is_noticed_and_its_segment_named(lived, tmp_path, one_pixel_off):
    history = lived.histories[0]
    lengths = [segment.length for segment in history.header.segments]
    index = int(np.argmax(lengths))
    segment = history.header.segments[index]
    one_pixel_off(segment.length // 2)
    place = rf"^segment {index} \(moves {segment.first_move} to .* shows other frames: CRC-32"
    with pytest.raises(CheckFailed, match=place):
        list(segment_frames(history, index))
    start, stop = segment.first_move, segment.first_move + segment.length
    with pytest.raises(CheckFailed, match=place):
        frames.frames(history, start, stop, processes=1, cache=tmp_path)
    assert not list(tmp_path.rglob("*.b2frame*"))


@pytest.mark.parametrize(
    ("name", "moves", "package"), [("atari/breakout", 100, "ale-py"), ("minatar/breakout", 100, "minatar")]
)
def test_other_pixels_of_another_version_name_both_versions(tmp_path, one_pixel_off, name, moves, package):
    game = games.load(name)
    (history,) = record(game, moves, 80, tmp_path, threads=1, lanes=1).histories
    older = renamed(history, **{package: "0.0.9"})
    replay.verify(older, processes=1)  # another version that shows the same is welcome
    one_pixel_off(20)
    here = game.fingerprint[package]
    with pytest.raises(
        CheckFailed, match=rf"segment \d .*recorded with {package}: '0\.0\.9', not '{here}' here"
    ):
        replay.verify(older, processes=1)


def test_an_emulator_with_other_sticky_actions_is_noticed(tmp_path, monkeypatch):
    """Its fingerprint claims 0.25; the checksums tell."""
    game = games.load("atari/breakout")
    (history,) = record(game, 200, 120, tmp_path, threads=1, lanes=1).histories
    monkeypatch.setitem(atari.ENVIRONMENT_ARGUMENTS, "repeat_action_probability", 0.24)
    (difference,) = replay.verify_lives([renamed(history, **{"ale-py": "0.9.1"})], processes=1)
    assert difference is not None
    assert difference.startswith("segment ")
    assert f"recorded with ale-py: '0.9.1', not '{game.fingerprint['ale-py']}' here" in difference


def test_an_emulator_that_says_its_other_sticky_actions_is_refused(tmp_path, monkeypatch):
    (history,) = record(games.load("atari/breakout"), 60, 50, tmp_path, threads=1, lanes=1).histories
    other = dataclasses.replace(
        games.load("atari/breakout"),
        fingerprint={**history.header.fingerprint, "repeat_action_probability": 0.24},
    )
    monkeypatch.setattr(games, "load", lambda name: other)
    with pytest.raises(InputError, match=r"recorded with repeat_action_probability: 0\.25, not 0\.24 here"):
        replay.verify(history, processes=1)
