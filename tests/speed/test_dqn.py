"""Our DQN against Stable-Baselines3's: same network, batch and update ratio, processor time of one thread."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch
from speed import peak_memory
from speed.move_clock import MoveClock
from speed.ratios import add_figure, describe

from understudy.suite import games
from understudy.suite.teachers import dqn, train_teacher

CLOCK = MoveClock(time.process_time)
MOVES = {"atari/breakout": 200, "minatar/breakout": 600}  # timed, by game
FIRST_MOVE = 208  # of those timed: both learn by then
LIMIT_GIB = 8  # of an Atari seed
turns = pytest.mark.parametrize("turn", range(3), scope="module")


def settings(game, **changes):
    return replace(dqn.SETTINGS[game.family], learning_starts=200, exploration_moves=1, **changes)


def group(name):
    return f"DQN on {name}, all seeds' moves"


@turns
@pytest.mark.parametrize(
    ("name", "num_seeds", "precision"),
    [
        ("atari/breakout", 1, "float32"),
        ("atari/breakout", 1, "bfloat16"),
        ("minatar/breakout", 1, "float32"),
        ("minatar/breakout", 8, "float32"),
    ],
)
@pytest.mark.benchmark(timer=CLOCK)
def test_training_a_teacher(name, num_seeds, precision, turn, benchmark, tmp_path):
    game, moves, seeds = games.load(name), MOVES[name], tuple(range(num_seeds))
    training = train_teacher.TeacherTraining(
        (name,) * num_seeds, seeds, 10**9, 50_000, settings(game, memory_moves=10_000), precision=precision
    )

    def report(progress):
        CLOCK.report(progress.moves, FIRST_MOVE)

    describe(
        benchmark, group(name), f"seeds: {num_seeds}, {precision}", amount=moves * num_seeds, unit="moves"
    )
    benchmark.pedantic(train_teacher.train, (training, tmp_path, FIRST_MOVE + moves, 10**9, report))


@turns
@pytest.mark.parametrize("name", MOVES)
@pytest.mark.benchmark(timer=time.process_time)
def test_training_stable_baselines3(name, turn, benchmark):
    pytest.importorskip("stable_baselines3")
    from support import stable_baselines as peers

    torch.set_num_threads(1)
    game, moves = games.load(name), MOVES[name]
    model = peers.model(
        peers.OneLane(game, 0), game, settings(game, memory_moves=10_000), total_moves=10_000, seed=0
    )
    model.learn(FIRST_MOVE)
    label = "Stable-Baselines3, seeds: 1, float32"
    describe(benchmark, group(name), label, amount=moves, unit="moves", is_peer=True)
    benchmark.pedantic(model.learn, (moves,), {"reset_num_timesteps": False})


@pytest.mark.skipif(not peak_memory.STATUS.exists(), reason="the peak is read from /proc")
def test_memory_of_an_atari_seed(benchmark):
    describe(benchmark, "DQN on atari/breakout", "one seed, its replay memory of 1M frames full")
    peak_gib = benchmark.pedantic(peak_memory.in_new_process, (peak_memory.full_replay_memory,))
    add_figure(benchmark, "peak memory", peak_gib, "GiB", limit=LIMIT_GIB)
    assert peak_gib <= LIMIT_GIB
