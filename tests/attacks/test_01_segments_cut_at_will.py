"""A player that always stays is rich: its emulator is reseeded until an episode starts on the goal.

A segment's seed follows from its number. Segments without moves use up the numbers whose seeds are unkind, so
every seed is the right one, and the log replays. At commit 926ded31, before segments followed from the moves
(7b76d006), `verify` found nothing wrong with this row.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from support.forged_rows import failures, put

from understudy.suite import draws, exploration, games
from understudy.suite.games import darkroom
from understudy.suite.harness import records
from understudy.suite.histories import history_format
from understudy.suite.histories.history_format import History, Segment
from understudy.suite.io import file_names

RUN = Path("darkroom-v1/quick/random/start/control/lane-3")
CAP = darkroom.EPISODE_CAP_MOVES


def kind_seeds(run_seed: int, goal: int, num_episodes: int) -> list[list[int]]:
    """Return each episode's emulator seeds, of which the last starts it on the goal, in the order due."""
    found: list[list[int]] = []
    number = 0
    for _ in range(num_episodes):
        tried = [draws.environment_seed(run_seed, number)]
        while darkroom.start_cells(np.array(tried[-1:]), np.zeros(1, np.int64))[0] != goal:
            number += 1
            tried.append(draws.environment_seed(run_seed, number))
        number += 1
        found.append(tried)
    return found


def forged(honest: History, epsilon: float) -> History:
    """Return the run of a player that stays, reseeded before each episode as often as it likes."""
    game = games.load(honest.header.game)
    goal, seed = int(game.variant.removeprefix("goal-")), int(honest.header.run["lane"]["seed"], 16)
    n = honest.num_moves
    explored, drawn = exploration.exploration_of(seed, np.array(game.legal_actions), n, epsilon)
    action = np.where(explored, drawn, 0).astype(np.uint8)
    reward, segments = np.zeros(n, np.float32), []
    for episode, seeds in enumerate(kind_seeds(seed, goal, -(-n // CAP))):
        first, length = episode * CAP, min(CAP, n - episode * CAP)
        env = games.family(game.family).make([game.variant], 1)
        cells, _ = env.reset(seed=np.array(seeds[-1:]))
        crc = 0
        for move in range(first, first + length):
            crc = zlib.crc32(cells.astype(game.observation_dtype).tobytes(), crc)
            cells, rewards, *_ = env.step(action[move : move + 1].astype(np.int64))
            reward[move] = rewards[0]
        segments += [Segment(first, 0, unkind, 0) for unkind in seeds[:-1]]
        segments.append(Segment(first, length, seeds[-1], crc))
    ended = np.arange(1, n + 1) % CAP == 0
    header = replace(honest.header, segments=tuple(segments))
    return History(header, action, reward, np.zeros(n, bool), ended, explored)


def test_it_gains_points_and_is_refused_beside_an_honest_run(copied, monkeypatch):
    assert failures(copied) == []
    honest = history_format.read(copied / RUN / file_names.HISTORY)
    epsilon = records.read(copied / RUN)["job"]["exploration"]
    with monkeypatch.context() as patched:  # its own writer would refuse segments without moves
        patched.setattr(History, "__post_init__", lambda self: None)
        rich = forged(honest, epsilon)
        put(copied / RUN, rich)
    assert float(honest.reward.sum()) < 20
    assert float(rich.reward.sum()) > 100
    texts = [text for text in failures(copied) if str(RUN) in text]
    assert texts
    assert all("\n" not in text for text in texts)


def test_right_seeds_at_every_episode_are_not_enough(copied):
    """Each episode is one segment of at least a move, under the seed of its number."""
    honest = history_format.read(copied / RUN / file_names.HISTORY)
    seed = int(honest.header.run["lane"]["seed"], 16)
    starts = range(0, honest.num_moves, CAP)
    segments = tuple(
        Segment(first, min(CAP, honest.num_moves - first), draws.environment_seed(seed, number), 0)
        for number, first in enumerate(starts)
    )
    put(copied / RUN, replace(honest, header=replace(honest.header, segments=segments)))
    assert any("segments begin at the first episode start at or after" in text for text in failures(copied))
