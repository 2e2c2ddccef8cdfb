"""Conformance checks of a game: a run must be a function of its seed and its actions alone.

from understudy.suite import games
from understudy.suite.testing.game_checks import check_game

check_game(games.load("darkroom/goal-40"))
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NoReturn

import gymnasium
import numpy as np

from understudy.suite import games
from understudy.suite.errors import CheckFailed
from understudy.suite.protocols import Game


@dataclass(frozen=True)
class Trace:
    """What one lane returned, move by move; observations as checksums."""

    first_observation: int  # CRC-32 of the reset's observation
    observation: np.ndarray  # uint32 [T], CRC-32 of the observation that each step returned
    final_observation: np.ndarray  # int64 [T], CRC-32 of `final_obs` where an episode ended, else -1
    reward: np.ndarray  # float64 [T]
    terminated: np.ndarray  # bool [T]
    truncated: np.ndarray  # bool [T]


def check_game(game: Game, moves: int = 600, lanes: int = 4) -> None:
    """Run all checks of a game but `check_cap`; raise CheckFailed with the game's name and what is wrong.

    Makes about 6 x `moves` x `lanes` uniformly drawn legal moves. `moves` must be enough for an episode to
    end. The episode cap is only checked where an episode lasts that long; see `check_cap`.
    """
    rng = np.random.default_rng(zlib.crc32(game.name.encode()))
    seeds = rng.integers(0, 2**31, lanes)
    actions = rng.choice(np.flatnonzero(game.legal_actions), (moves, lanes))  # [T, B]
    check_description(game)
    check_interface(game, seeds, actions)
    expected = play(games.make([game] * lanes), seeds, actions)
    check_replay(game, seeds, actions, expected)
    check_reseeding(game, seeds, actions, expected)
    check_masked_reset(game, seeds, actions, expected)


def check_description(game: Game) -> None:
    """Check that loading again gives an equal description, and check the fingerprint and its comparison."""
    if games.load(game.name) != game:
        _fail(game, "loading it again by its name gives another description")
    if not any(game.legal_actions):
        _fail(game, "it has no legal action")
    if json.loads(json.dumps(dict(game.fingerprint))) != dict(game.fingerprint):
        _fail(game, f"its fingerprint changes on its way through JSON: {dict(game.fingerprint)!r}")
    family = games.family(game.family)
    if game.variant not in family.variants():
        _fail(game, f"its family lists {family.variants()} only")
    if family.comparable(game.fingerprint, game.fingerprint):
        _fail(game, "its fingerprint is not comparable with itself")
    if not family.comparable(game.fingerprint, {**game.fingerprint, "game": "another"}):
        _fail(game, "the fingerprint of another game passes as comparable")


def check_interface(game: Game, seeds: np.ndarray, actions: np.ndarray) -> None:
    """Check spaces, shapes, dtypes and values, and that ends of episodes follow autoreset mode SameStep.

    Takes seeds int [B] and actions int [T, B]; at least one episode must end.
    """
    T, B = actions.shape
    env: Any = games.make([game] * B)
    _check_spaces(game, env, B)
    observation, info = env.reset(seed=seeds)
    _check_observation(game, observation, (B,), "reset")
    if not isinstance(info, dict):
        _fail(game, f"reset's info must be a dict; found {type(info).__name__}")
    kept = [(observation, observation.copy())]
    episode_moves = np.zeros(B, dtype=np.int64)
    ends = visible_ends = 0
    for t in range(T):
        observation, reward, terminated, truncated, info = env.step(actions[t])
        kept += [(observation, observation.copy())] if t < 3 else []
        _check_step(game, t, B, observation, reward, terminated, truncated)
        episode_moves += 1
        _check_cap_kept(game, t, episode_moves, terminated, truncated)
        ended = terminated | truncated
        _check_final_observation(game, t, ended, info)
        for lane in np.flatnonzero(ended):
            ends += 1
            visible_ends += int((info["final_obs"][lane] != observation[lane]).any())
        episode_moves[ended] = 0
    env.close()
    if not ends:
        _fail(game, f"no episode ended in {T} moves x {B} lanes; check it with more moves")
    if not visible_ends:
        _fail(
            game,
            f"in all {ends} ends final_obs equals the observation returned; SameStep gives the next first",
        )
    if any((array != copy).any() for array, copy in kept):
        _fail(game, "a later step overwrote an observation that an earlier one had returned")


def check_cap(game: Game, seed: int, actions: np.ndarray) -> None:
    """Check that episodes are truncated exactly at the cap.

    Takes actions [T] that never end an episode when played from `seed`; T should be at least two caps.
    """
    env: Any = games.make([game])
    env.reset(seed=np.array([seed]))
    for t, action in enumerate(actions):
        _, _, terminated, truncated, _ = env.step(np.array([action]))
        if terminated[0]:
            _fail(game, f"the episode terminated at move {t}; the actions must survive to the cap")
        if truncated[0] != ((t + 1) % game.episode_cap_moves == 0):
            _fail(game, f"truncated is {truncated[0]} at move {t}; the cap is {game.episode_cap_moves} moves")
    env.close()


def check_replay(game: Game, seeds: np.ndarray, actions: np.ndarray, expected: list[Trace]) -> None:
    """Check that the traces don't depend on lane, batch size or thread count.

    Takes seeds int [B], actions int [T, B], and the traces that they give.
    """
    B = len(seeds)
    order = np.roll(np.arange(B), 1)[::-1]
    reordered = play(games.make([game] * B, threads=2), seeds[order], actions[:, order])
    single = play(games.make([game]), seeds[:1], actions[:, :1])[0]
    for i in range(B):
        what = f"seed {seeds[order[i]]} in lane {i} with 2 threads, not lane {order[i]} with 1"
        _same(game, expected[order[i]], reordered[i], what)
    _same(game, expected[0], single, f"seed {seeds[0]} in one lane, not {B}")


def check_reseeding(game: Game, seeds: np.ndarray, actions: np.ndarray, expected: list[Trace]) -> None:
    """Check that a reseeded lane gives `expected`, the trace of a new one, whatever it played before."""
    B = len(seeds)
    actions = actions[: len(actions) // 2]
    legal = np.flatnonzero(game.legal_actions)
    env: Any = games.make([game] * B)
    env.reset(seed=seeds[::-1].copy())
    monotonous = legal[(1 + np.arange(B)) % len(legal)]  # each lane repeats another action
    for _ in range(11):
        env.step(monotonous)
    for past in ("11 equal moves", f"{len(actions)} moves"):
        found = play(env, seeds, actions)
        for i in range(B):
            _same(game, expected[i], found[i], f"seed {seeds[i]}, reseeded after {past}")
    env.close()


def check_masked_reset(game: Game, seeds: np.ndarray, actions: np.ndarray, expected: list[Trace]) -> None:
    """Check that reseeding one lane restarts that lane and leaves every other lane as `expected`."""
    T, B = actions.shape
    if B < 2:
        _fail(game, "a masked reset is checked with at least 2 lanes")
    head, tail = actions[: T // 3], actions[T // 3 :]
    env = games.make([game] * B)
    before = play(env, seeds, head)
    after = play(env, seeds[:1] ^ 1, tail, mask=np.arange(B) == B - 1)
    env.close()
    for i in range(B - 1):
        if after[i].first_observation != before[i].observation[-1]:
            _fail(game, f"the reset of lane {B - 1} changed the observation of lane {i}")
        _same(game, expected[i], _joined(before[i], after[i]), f"lane {i}, lane {B - 1} being reseeded")
    fresh = play(games.make([game]), seeds[:1] ^ 1, tail[:, -1:])[0]
    _same(game, fresh, after[-1], f"lane {B - 1}, which was reseeded")


def play(env: Any, seeds: np.ndarray, actions: np.ndarray, mask: np.ndarray | None = None) -> list[Trace]:
    """Reset the environment or its masked lanes, play the actions, and return a trace per lane.

    Args:
        env: a gymnasium `VectorEnv`; `Any` because its `reset` isn't declared to take an array of seeds.
        seeds: int, one for each lane being reset.
        actions: int [T, B].
        mask: bool [B], the lanes being reset; all if None.
    """
    T, B = actions.shape
    observation, _ = env.reset(seed=seeds, options=None if mask is None else {"reset_mask": mask})
    first = [_checksum(observation[i]) for i in range(B)]
    shown = np.empty((B, T), dtype=np.uint32)
    final = np.full((B, T), -1, dtype=np.int64)
    rewards = np.empty((B, T))
    terminations, truncations = np.empty((2, B, T), dtype=np.bool_)
    for t in range(T):
        observation, rewards[:, t], terminations[:, t], truncations[:, t], info = env.step(actions[t])
        for i in range(B):
            shown[i, t] = _checksum(observation[i])
            if terminations[i, t] or truncations[i, t]:
                final[i, t] = _checksum(info["final_obs"][i])
    columns = zip(first, shown, final, rewards, terminations, truncations, strict=True)
    return [Trace(*column) for column in columns]


def _checksum(observation: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(observation).tobytes())


def _joined(before: Trace, after: Trace) -> Trace:
    columns = [field.name for field in fields(Trace)][1:]
    both = [np.concatenate([getattr(before, name), getattr(after, name)]) for name in columns]
    return Trace(before.first_observation, *both)


def _same(game: Game, expected: Trace, found: Trace, what: str) -> None:
    if expected.first_observation != found.first_observation:
        _fail(game, f"{what}: the first observation differs")
    for field in fields(Trace)[1:]:
        column = getattr(found, field.name)  # [T], perhaps fewer moves than expected
        differs = np.flatnonzero(getattr(expected, field.name)[: len(column)] != column)
        if len(differs):
            _fail(game, f"{what}: {field.name} differs first at move {differs[0]}")


def _check_spaces(game: Game, env: Any, num_lanes: int) -> None:
    batch_space = gymnasium.vector.utils.batch_space
    mode = env.metadata.get("autoreset_mode")
    if not isinstance(env, gymnasium.vector.VectorEnv) or env.num_envs != num_lanes:
        _fail(game, f"expected a gymnasium VectorEnv of {num_lanes} lanes; found {env!r}")
    if mode != gymnasium.vector.AutoresetMode.SAME_STEP:
        _fail(game, f"its environment's metadata must name autoreset_mode SAME_STEP; found {mode}")
    space, action_space = env.single_observation_space, env.single_action_space
    if space.shape != game.observation_shape or space.dtype != np.dtype(game.observation_dtype):
        _fail(game, f"observation space {space} is not {game.observation_shape} {game.observation_dtype}")
    if action_space != gymnasium.spaces.Discrete(game.num_actions):
        _fail(game, f"action space {action_space} is not Discrete({game.num_actions})")
    if env.observation_space != batch_space(space, num_lanes):
        _fail(game, f"observation_space {env.observation_space} is not {num_lanes} of the single one")
    if env.action_space != batch_space(action_space, num_lanes):
        _fail(game, f"action_space {env.action_space} is not {num_lanes} of the single one")


def _check_observation(game: Game, observation: Any, batch: tuple[int, ...], where: str) -> None:
    expected = (*batch, *game.observation_shape)
    if not isinstance(observation, np.ndarray) or observation.dtype != np.dtype(game.observation_dtype):
        _fail(game, f"{where}: expected an array of {game.observation_dtype}; found {observation!r}")
    if observation.shape != expected:
        _fail(game, f"{where}: expected observations of shape {expected}; found {observation.shape}")
    if (
        observation.size
        and not 0 <= int(observation.min()) <= int(observation.max()) < game.observation_values
    ):
        _fail(game, f"{where}: an observation lies outside [0, {game.observation_values})")
    if game.shown_planes is not None and observation[:, game.shown_planes :].any():
        _fail(game, f"{where}: a plane after its {game.shown_planes} shown planes is not empty")


def _check_step(game: Game, t: int, num_lanes: int, observation: Any, reward: Any, *flags: Any) -> None:
    _check_observation(game, observation, (num_lanes,), f"move {t}")
    if not isinstance(reward, np.ndarray) or reward.shape != (num_lanes,) or not np.isfinite(reward).all():
        _fail(game, f"move {t}: expected {num_lanes} finite rewards; found {reward!r}")
    for name, flag in zip(("terminated", "truncated"), flags, strict=True):
        if not isinstance(flag, np.ndarray) or flag.dtype != np.bool_ or flag.shape != (num_lanes,):
            _fail(game, f"move {t}: expected {name} bool of shape ({num_lanes},); found {flag!r}")


def _check_cap_kept(
    game: Game, t: int, episode_moves: np.ndarray, terminated: np.ndarray, truncated: np.ndarray
) -> None:
    at_cap = episode_moves == game.episode_cap_moves
    wrong: Sequence[int] = np.flatnonzero((truncated != at_cap) & ~terminated).tolist()
    if wrong:
        lane = wrong[0]
        _fail(
            game,
            f"move {t}: truncated is {truncated[lane]} after {episode_moves[lane]} moves of an episode; "
            f"the cap is {game.episode_cap_moves}",
        )


def _check_final_observation(game: Game, t: int, ended: np.ndarray, info: Mapping[str, Any]) -> None:
    if not ended.any():
        return
    if "final_obs" not in info:
        _fail(game, f"move {t}: an episode ended, but info holds no final_obs; it holds {sorted(info)}")
    for lane in np.flatnonzero(ended):
        _check_observation(game, info["final_obs"][lane : lane + 1], (1,), f"move {t}, final_obs")


def _fail(game: Game, what: str) -> NoReturn:
    raise CheckFailed(f"{game.name}: {what}")
