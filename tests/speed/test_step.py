"""The transformer's `step` at reach 1,024 against recomputing a window of 1,024 moves each move.

The usual practice keeps no cache: each move it runs the network over the last 1,024. Here that is the same
weights, once with a band of 256 a layer (equal logits), once with full attention over the window. All use
one thread and count its processor time, for two threads that wait for each other measure the machine's load.
"""

from __future__ import annotations

import functools
import time

import pytest
import torch
from speed.ratios import add_figure, describe

from understudy import baselines
from understudy.suite import games
from understudy.suite.harness import states
from understudy.suite.protocols import Timestep
from understudy.suite.testing import imitator_checks

REACH_MOVES = 1024
STEPS = 100  # timed at once
OLD_AGE = 10_000_000
TOLERANCE = 1e-4
turns = pytest.mark.parametrize("turn", range(3), scope="module")
cpu_time = pytest.mark.benchmark(timer=time.process_time)
sizes = pytest.mark.parametrize(
    ("game_name", "lanes"),
    [
        ("darkroom/goal-40", 1),
        ("darkroom/goal-40", 8),
        ("minatar/breakout", 1),
        ("minatar/breakout", 8),
        ("atari/breakout", 1),
    ],
)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def group(game_name, lanes):
    return f"transformer's move on {game_name}, {lanes} lane{'s' * (lanes > 1)}, reach {REACH_MOVES:,}"


@functools.cache
def model_of(game_name, context_moves):
    """Return the transformer with so many moves of context a layer."""
    architecture, game = baselines.load("transformer"), games.load(game_name)
    config = architecture.config(game)
    assert config["layers"] * config["context_moves"] == REACH_MOVES
    return architecture.build(config | {"context_moves": context_moves or config["context_moves"]}, game)


@functools.cache
def window_of(game_name, lanes):
    """Return timesteps [B, REACH_MOVES, ...], the same in each lane."""
    one = imitator_checks.random_timesteps(games.load(game_name), 1, REACH_MOVES, seed=0)
    return Timestep(*(field.expand(lanes, *field.shape[1:]) for field in one))


@functools.cache
def state_after_window(game_name, lanes):
    model = model_of(game_name, None)
    with torch.inference_mode():
        return model.unroll(window_of(game_name, lanes), model.initial_state(lanes))[1]


@turns
@cpu_time
@sizes
def test_step(game_name, lanes, turn, benchmark):
    model = model_of(game_name, None)
    newest = Timestep(*(field[:, -1] for field in window_of(game_name, lanes)))

    def play(state):
        for _ in range(STEPS):
            _, state = model.step(newest, state)

    describe(benchmark, group(game_name, lanes), "step", amount=STEPS * lanes, unit="moves")
    benchmark.pedantic(play, (states.clone(state_after_window(game_name, lanes)),))


@turns
@cpu_time
@sizes
@pytest.mark.parametrize(
    ("attention", "context_moves"), [("banded attention", None), ("full attention", REACH_MOVES)]
)
def test_recomputed_window(game_name, lanes, attention, context_moves, turn, benchmark):
    model = model_of(game_name, context_moves)
    describe(
        benchmark,
        group(game_name, lanes),
        f"window recomputed, {attention}",
        amount=lanes,
        unit="moves",
        is_peer=True,
    )
    with torch.inference_mode():
        benchmark.pedantic(model.unroll, (window_of(game_name, lanes), model.initial_state(lanes)))


@pytest.mark.parametrize("age", [0, OLD_AGE])
@pytest.mark.parametrize("game_name", ["darkroom/goal-40", "minatar/breakout"])
def test_step_equals_unroll_at_default_size(game_name, age, benchmark):
    game, model = games.load(game_name), model_of(game_name, None)
    run = imitator_checks.random_timesteps(game, 2, 4 * model.context_moves, seed=1)
    run = run._replace(first_of_run=torch.zeros_like(run.first_of_run))
    state = model.initial_state(2)
    state["age"] += age
    with torch.inference_mode():
        unrolled, _ = model.unroll(run, states.clone(state))
    group = f"step and unroll on {game_name}, 4 contexts"
    describe(benchmark, group, f"from move {age:,}")
    stepped = benchmark.pedantic(imitator_checks.play, (model, run, state))
    difference = float((stepped - unrolled).abs().max())
    add_figure(benchmark, "largest difference of logits", difference, "nats", limit=TOLERANCE)
    assert difference <= TOLERANCE
