"""The transformer's `step` at reach 1,024 against recomputing a window of 1,024 moves each move.

The usual practice keeps no cache: each move it runs the network over the last 1,024. Here that is the same
weights, once with a band of 256 a layer (equal logits), once with full attention over the window. Printed
with -s: medians of one run, interleaved; nothing about time is asserted.
"""

import statistics
import time

import pytest
import torch

from understudy import baselines
from understudy.suite import games, states
from understudy.suite.protocols import Timestep
from understudy.suite.testing import imitators

REACH_MOVES = 1024
STEPS_A_ROUND = 100
ROUNDS = 7
OLD_AGE = 10_000_000


def seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


@pytest.mark.parametrize(
    ("game_name", "lanes"),
    [
        ("darkroom/goal-40", 1),
        ("darkroom/goal-40", 8),
        ("minatar/breakout", 1),
        ("minatar/breakout", 8),
        ("atari/breakout", 1),
    ],
)
def test_step_against_recomputed_window(game_name, lanes, capsys):
    game = games.load(game_name)
    architecture = baselines.load("transformer")
    config = architecture.config(game)
    assert config["layers"] * config["context_moves"] == REACH_MOVES
    banded = architecture.build(config, game)
    full = architecture.build(config | {"context_moves": REACH_MOVES}, game)
    one_window = imitators.random_timesteps(game, 1, REACH_MOVES, seed=0)
    window = Timestep(*(field.expand(lanes, *field.shape[1:]) for field in one_window))
    newest = Timestep(*(field[:, -1] for field in window))
    _, state = banded.unroll(window, banded.initial_state(lanes))
    empty = {model: model.initial_state(lanes) for model in (banded, full)}

    def play():
        nonlocal state
        for _ in range(STEPS_A_ROUND):
            _, state = banded.step(newest, state)

    def recompute(model):
        with torch.inference_mode():
            model.unroll(window, empty[model])

    times = {"step": [], "band": [], "full": []}
    for _ in range(ROUNDS):
        times["step"].append(seconds(play) / STEPS_A_ROUND)
        times["band"].append(seconds(lambda: recompute(banded)))
        times["full"].append(seconds(lambda: recompute(full)))
    step, band, full_attention = (1e3 * statistics.median(found) for found in times.values())
    with capsys.disabled():
        print(
            f"\n{game_name}, {lanes} lanes: step {step:.2f} ms; recomputed window of {REACH_MOVES}, banded: "
            f"{band:.0f} ms = {band / step:.0f} x; with full attention: {full_attention:.0f} ms = "
            f"{full_attention / step:.0f} x"
        )


@pytest.mark.parametrize("age", [0, OLD_AGE])
@pytest.mark.parametrize("game_name", ["darkroom/goal-40", "minatar/breakout"])
def test_step_equals_unroll_at_default_size(game_name, age, capsys):
    game = games.load(game_name)
    architecture = baselines.load("transformer")
    model = architecture.build(architecture.config(game), game)
    life = imitators.random_timesteps(game, 2, 4 * model.context_moves, seed=1)
    life = life._replace(first_of_life=torch.zeros_like(life.first_of_life))
    state = model.initial_state(2)
    state["age"] += age
    with torch.inference_mode():
        unrolled, _ = model.unroll(life, states.clone(state))
    difference = float((imitators.play(model, life, state) - unrolled).abs().max())
    assert difference <= 1e-4
    with capsys.disabled():
        print(
            f"\n{game_name}, counter from {age}: step and unroll differ by {difference:.1e} over 4 contexts"
        )
