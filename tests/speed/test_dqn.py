"""Our DQN against Stable-Baselines3's, same network, batch and update ratio, same run, one thread."""

from __future__ import annotations

import statistics
import subprocess
import sys
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


def ours(game, settings, moves, num_seeds, precision, folder):
    """Return total moves/s of our lessons once they learn."""
    seeds = tuple(range(num_seeds))
    lesson = teach.Lesson((game.name,) * num_seeds, seeds, 10**9, 50_000, settings, precision=precision)
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
    ("name", "moves", "forms"),
    [
        ("atari/breakout", 400, ((1, "float32"), (1, "bfloat16"))),
        ("minatar/breakout", 1_000, ((1, "float32"), (8, "float32"))),
    ],
)
def test_against_stable_baselines3(name, moves, forms, tmp_path, capsys):
    """Each form is a number of seeds and the precision that they learn in; the peer learns in float32."""
    torch.set_num_threads(1)
    game = games.load(name)
    settings = replace(
        dqn.SETTINGS[game.family], learning_starts=200, exploration_moves=1, memory_moves=10_000
    )
    found = {form: [] for form in forms}
    for round_number in range(ROUNDS):
        peer = stable_baselines(game, settings, moves)
        for count, precision in forms:
            folder = tmp_path / f"{count}-{precision}-{round_number}"
            found[count, precision].append(ours(game, settings, moves, count, precision, folder) / peer)
    with capsys.disabled():
        for (count, precision), ratios in found.items():
            print(
                f"\n{name}: {count} seeds in {precision} / one Stable-Baselines3 run, total moves/s: median "
                f"{statistics.median(ratios):.2f} of {[round(ratio, 2) for ratio in ratios]}"
            )


def test_memory_of_an_atari_seed(capsys):
    """The replay memory full, all of its pages touched, and updates drawn from it."""
    code = """
import numpy as np, torch
from understudy.suite import games
from understudy.suite.teachers import dqn
from understudy.suite.teachers.memory import Memory
game, settings, rng = games.load("atari/breakout"), dqn.SETTINGS["atari"], np.random.default_rng(0)
learner = dqn.Learner([game], settings, [0])
memory = Memory(game, 1, settings.memory_moves)
frames = rng.integers(256, size=(97, 1, *game.frame_shape), dtype=np.uint8)
never = np.zeros(1, bool)
for move in range(settings.memory_moves + 10):
    memory.see(frames[move % len(frames)], never)
    memory.complete(np.zeros(1, np.int64), np.zeros(1, np.float32), never, never)
memory.see(frames[0], never)
for _ in range(10):
    learner.update(memory.draw(rng.random((1, settings.batch_size))))
print(*(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))  # KiB
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    gibibytes = int(done.stdout) / 2**20
    assert gibibytes <= 8
    with capsys.disabled():
        print(f"\natari/breakout: one seed, replay memory of 1,000,000 frames: {gibibytes:.2f} GiB at most")
