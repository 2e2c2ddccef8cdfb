"""The harness against a loop over the bare emulator: what measuring a player costs."""

from __future__ import annotations

import time

import numpy as np
import pytest
from speed.move_clock import MoveClock
from speed.ratios import describe

from understudy.baselines.controls.random import Random
from understudy.suite import draws, games
from understudy.suite.harness import rollout
from understudy.suite.harness.jobs import Job, Labels
from understudy.suite.harness.lanes import Lane

CLOCK = MoveClock(time.perf_counter)
GAME, LANES, MOVES, THREADS = "atari/breakout", 8, 250, 2
GROUP = f"random player on {GAME}, {LANES} lanes, {THREADS} threads"
turns = pytest.mark.parametrize("turn", range(5), scope="module")


@turns
@pytest.mark.benchmark(timer=CLOCK)
def test_harness(turn, benchmark, tmp_path):
    """From the first move that the harness reports to the last."""
    player = Random(games.load(GAME).num_actions)
    describe(benchmark, GROUP, "harness", amount=(MOVES - 1) * LANES, unit="moves")
    benchmark.pedantic(
        rollout.play,
        (
            job(turn),
            player,
            lambda: rollout.empty_start_state(player, LANES),
            tmp_path,
            lambda done, total: CLOCK.report(done, 1),
        ),
    )


@turns
def test_bare_emulator(turn, benchmark):
    """A loop that does nothing but step; the first reset isn't timed."""
    game = games.load(GAME)
    env = games.make([game] * LANES, THREADS)
    env.reset(seed=np.arange(LANES) + 100 * turn)
    legal = np.flatnonzero(game.legal_actions)
    actions = np.random.default_rng(turn).choice(legal, (MOVES, LANES)).astype(np.int64)

    def play():
        for row in actions:
            env.step(row)

    describe(benchmark, GROUP, "bare AtariVectorEnv", amount=MOVES * LANES, unit="moves", is_peer=True)
    benchmark.pedantic(play)
    env.close()


def job(seed):
    """Return the job of LANES runs on one game."""
    return Job(
        labels=Labels("atari-v1", "quick", "random", "random", "control", None, None),
        benchmark="0" * 64,
        kind="transfer",
        player={"identity": "1" * 64, "checkpoint_identity": "2" * 64},
        round="dev",
        salt="speed",
        decoding="sample",
        priming_moves=0,
        moves=MOVES,
        exploration=games.load(GAME).exploration,
        segment_moves=50_000,
        lanes=tuple(
            Lane(GAME, "unit", "unit", lane, draws.derive(seed, lane), False) for lane in range(LANES)
        ),
        threads=THREADS,
        device="cpu",
        precision="float32",
        versions={},
    )
