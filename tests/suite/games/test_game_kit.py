"""The game checks of the conformance kit: each finds the fault that it is for."""

from __future__ import annotations

import numpy as np
import pytest

from understudy.suite import games
from understudy.suite.errors import CheckFailed
from understudy.suite.games import darkroom, minatar
from understudy.suite.testing.game_checks import check_cap, check_game, check_masked_reset, play


def broken(monkeypatch: pytest.MonkeyPatch, target: object, name: str, change: object) -> None:
    original = getattr(target, name)
    monkeypatch.setattr(target, name, lambda *args, **kwargs: change(original, *args, **kwargs))


def test_kit_finds_a_cap_that_is_off_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    game = games.load("darkroom/goal-40")
    monkeypatch.setattr(darkroom, "EPISODE_CAP_MOVES", 21)
    with pytest.raises(CheckFailed, match="another description"):
        check_game(game)
    with pytest.raises(CheckFailed, match=r"darkroom/goal-40: truncated is False at move 19; the cap is 20"):
        check_cap(game, 1, np.zeros(60, dtype=np.int64))


def test_kit_finds_a_plane_that_is_not_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(minatar.SHOWN_PLANES, "breakout", 3)
    with pytest.raises(CheckFailed, match="minatar/breakout: reset: a plane after its 3 shown planes"):
        check_game(games.load("minatar/breakout"), 100)


def test_kit_finds_an_action_that_survives_reseeding(monkeypatch: pytest.MonkeyPatch) -> None:
    def seed_in_place(original: object, lane: minatar._Lane, seed: int) -> None:
        last = getattr(lane, "_last_action", 0)
        original(lane, seed)
        start = lane.start_episode
        lane.start_episode = lambda: (start(), setattr(lane, "_last_action", last))

    broken(monkeypatch, minatar._Lane, "seed", seed_in_place)
    with pytest.raises(CheckFailed, match="reseeded after"):
        check_game(games.load("minatar/breakout"), 100, 64)


def test_kit_finds_a_lane_that_depends_on_its_index(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_index(original: object, seeds: np.ndarray, episodes: np.ndarray) -> np.ndarray:
        return original(seeds + np.arange(len(seeds)), episodes)

    broken(monkeypatch, darkroom, "start_cells", by_index)
    with pytest.raises(CheckFailed, match="in lane 0 with 2 threads"):
        check_game(games.load("darkroom/goal-40"), 60)


def test_kit_finds_a_reset_that_ignores_its_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    game = games.load("darkroom/goal-40")
    seeds, actions = np.arange(3), np.random.default_rng(0).integers(0, 5, (60, 3))
    expected = play(games.make([game] * 3), seeds, actions)

    def ignore_mask(original: object, num_envs: int, seed: np.ndarray, options: object) -> tuple:
        lanes, seeds = original(num_envs, seed, options)
        return (np.arange(num_envs), np.resize(seeds, num_envs)) if len(lanes) < num_envs else (lanes, seeds)

    check_masked_reset(game, seeds, actions, expected)
    broken(monkeypatch, darkroom, "lanes_and_seeds", ignore_mask)
    with pytest.raises(CheckFailed, match="the reset of lane 2 changed the observation of lane 0"):
        check_masked_reset(game, seeds, actions, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda o, r, te, tr, i: (o, r, te, tr, {}), "info holds no final_obs"),
        (lambda o, r, te, tr, i: (o, r, te, tr, {**i, "final_obs": o}), "SameStep gives the next first"),
        (lambda o, r, te, tr, i: (o + 60, r, te, tr, i), r"lies outside \[0, 81\)"),
        (lambda o, r, te, tr, i: (o.astype(np.int32), r, te, tr, i), "an array of int64"),
        (lambda o, r, te, tr, i: (o, r[:1], te, tr, i), "expected 4 finite rewards"),
        (lambda o, r, te, tr, i: (o, r, te, tr.astype(int), i), "expected truncated bool"),
        (lambda o, r, te, tr, i: (o, r, te, te, i), "truncated is False after 20 moves"),
    ],
)
def test_kit_finds_a_step_that_breaks_the_interface(
    monkeypatch: pytest.MonkeyPatch, change: object, message: str
) -> None:
    broken(monkeypatch, darkroom.DarkRoomVectorEnv, "step", lambda step, *args: change(*step(*args)))
    with pytest.raises(CheckFailed, match=message):
        check_game(games.load("darkroom/goal-40"), 60)


def test_kit_finds_an_observation_that_is_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = np.zeros(4, dtype=np.int64)

    def reuse(step: object, *args: object) -> tuple:
        buffer[:], *rest = step(*args)
        return (buffer, *rest)

    broken(monkeypatch, darkroom.DarkRoomVectorEnv, "step", reuse)
    with pytest.raises(CheckFailed, match="overwrote an observation"):
        check_game(games.load("darkroom/goal-40"), 60)
