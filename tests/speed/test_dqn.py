"""Our DQN against Stable-Baselines3's, same network, batch and update ratio, same run, one thread."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

import pytest
import torch

from understudy.suite import games
from understudy.suite.teachers import dqn, teach

ROUNDS = 3


def stable_baselines(game, settings, moves):
    """Return moves/s of Stable-Baselines3's DQN once it learns."""
    pytest.importorskip("stable_baselines3")
    from understudy.suite.testing import stable_baselines as peers

    settings = replace(settings, exploration_moves=1)
    model = peers.model(peers.OneLane(game, 0), game, settings, 10_000, seed=0)
    model.learn(settings.learning_starts + 8)
    began = time.perf_counter()
    model.learn(moves, reset_num_timesteps=False)
    return moves / (time.perf_counter() - began)


def ours(game, settings, moves, num_seeds, folder):
    """Return total moves/s of our lessons once they learn."""
    lesson = teach.Lesson((game.name,) * num_seeds, tuple(range(num_seeds)), 10**9, 50_000, settings)
    start = settings.learning_starts + 8
    times = []
    teach.teach(
        lesson,
        folder,
        start + moves,
        10**9,
        lambda progress: times.append(time.perf_counter()) if progress.moves >= start else None,
    )
    return moves * num_seeds / (times[-1] - times[0])


@pytest.mark.parametrize(
    ("name", "moves", "seeds"), [("atari/breakout", 200, (1,)), ("minatar/breakout", 1_000, (1, 8))]
)
def test_against_stable_baselines3(name, moves, seeds, tmp_path, capsys):
    torch.set_num_threads(1)
    game = games.load(name)
    settings = replace(
        dqn.SETTINGS[game.family], learning_starts=200, exploration_moves=1, memory_moves=10_000
    )
    found = {count: [] for count in seeds}
    for round_number in range(ROUNDS):
        peer = stable_baselines(game, settings, moves)
        for count in seeds:
            folder = tmp_path / f"{count}-{round_number}"
            found[count].append(ours(game, settings, moves, count, folder) / peer)
    with capsys.disabled():
        for count, ratios in found.items():
            print(
                f"\n{name}: {count} seeds / one Stable-Baselines3 run, total moves/s: median "
                f"{statistics.median(ratios):.2f} of {[round(ratio, 2) for ratio in ratios]}"
            )
