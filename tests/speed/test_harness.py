"""The harness against a bare emulator loop in one run: what measuring costs. No time is asserted."""

from __future__ import annotations

import statistics
import time

import numpy as np

from understudy.baselines.random import Random
from understudy.suite import draws, games, harness
from understudy.suite.harness import Job
from understudy.suite.places import Lane

LANES, MOVES, ROUNDS, THREADS = 8, 250, 5, 2


def test_random_player_on_atari_against_the_bare_emulator(tmp_path, capsys):
    game = games.load("atari/breakout")
    player = Random(game.num_actions)
    ratios = []
    for round_number in range(ROUNDS):
        bare = _bare(game, round_number)
        ratios.append(_harness(game, player, tmp_path / str(round_number), round_number) / bare)
    with capsys.disabled():
        print(
            f"\nharness / bare AtariVectorEnv, {LANES} lanes, {THREADS} threads, moves/s: "
            f"median {statistics.median(ratios):.3f} of {[round(ratio, 3) for ratio in ratios]}"
        )


def _bare(game, seed):
    """Return moves/s of a loop that does nothing but step; the first reset is outside the timing."""
    env = games.make([game] * LANES, THREADS)
    env.reset(seed=np.arange(LANES) + 100 * seed)
    legal = np.flatnonzero(game.legal_actions)
    actions = np.random.default_rng(seed).choice(legal, (MOVES, LANES)).astype(np.int64)
    began = time.perf_counter()
    for row in actions:
        env.step(row)
    elapsed = time.perf_counter() - began
    env.close()
    return MOVES * LANES / elapsed


def _harness(game, player, folder, seed):
    """Return moves/s between the first and the last move that the harness reports."""
    job = Job(
        benchmark="atari-v1",
        benchmark_sha256="0" * 64,
        budget="quick",
        kind="transfer",
        player={"name": "random", "training_seed": None},
        salt="speed",
        decoding="sample",
        priming_moves=0,
        moves=MOVES,
        exploration=game.exploration,
        segment_moves=50_000,
        lanes=tuple(
            Lane(game.name, "unit", "unit", lane, draws.derive(seed, lane), False) for lane in range(LANES)
        ),
        threads=THREADS,
        device="cpu",
        versions={},
    )
    times = []
    harness.play(
        job,
        player,
        lambda: harness.empty_outset(player, LANES),
        folder,
        lambda done, total: times.append(time.perf_counter()),
    )
    return (MOVES - 1) * LANES / (times[-1] - times[0])
