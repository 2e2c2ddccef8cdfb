"""Moves and updates of architectures whose state learns, against bare matrix products and the transformer.

A move's peer is a loop over the matrix products of its layers and state alone, on tensors of the same shapes;
an update's is the transformer's of the default size. All use one thread and count its processor time.
"""

from __future__ import annotations

import functools
import time

import pytest
import torch
from speed.ratios import describe

from understudy import baselines
from understudy.suite import games
from understudy.suite.testing import imitator_checks

GAME = "darkroom/goal-40"
STEPS = 100  # timed at once
ROWS, MOVES = 64, 200  # of an update
turns = pytest.mark.parametrize("turn", range(3), scope="module")
cpu_time = pytest.mark.benchmark(timer=time.process_time)
LANES = (8, 16)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@functools.cache
def model_of(name):
    architecture, game = baselines.load(name), games.load(GAME)
    return architecture.build(architecture.config(game), game)


def group(name, lanes):
    return f"{name}'s move on {GAME}, {lanes} lanes"


@turns
@cpu_time
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("name", ["ttt-linear", "retrieval", "context-tree"])
def test_step(name, lanes, turn, benchmark):
    model = model_of(name)
    one = imitator_checks.random_timesteps(games.load(GAME), lanes, 2, seed=0)
    newest = type(one)(*(field[:, 1] for field in one))

    def play(state):
        for _ in range(STEPS):
            _, state = model.step(newest, state)

    describe(benchmark, group(name, lanes), "step", amount=STEPS * lanes, unit="moves")
    benchmark.pedantic(play, (model.initial_state(lanes),))


def products(name, model, lanes):
    """Return a function that computes a move's matrix products, those with the state included."""
    weights = [module.weight for module in model.modules() if isinstance(module, torch.nn.Linear)]
    pairs = [(torch.randn(lanes, each.shape[1]), each.detach()) for each in weights]
    state = model.initial_state(lanes)
    states = []  # pairs of factors of batched products
    for layer in range(len(model.blocks)):
        if name == "ttt-linear":
            learned = state[f"learned_{layer}"].flatten(0, 1)  # [BH, D, D]
            states += [(torch.randn(len(learned), 2, learned.shape[1]), learned)]
            states += [
                (
                    torch.randn(len(learned), learned.shape[1], 1),
                    torch.randn(len(learned), 1, learned.shape[1]),
                )
            ]
        else:
            keys, values = (
                state[f"{part}_{layer}"].flatten(0, 1) for part in ("keys", "values")
            )  # [BH, C, D]
            states += [(keys, torch.randn(len(keys), keys.shape[2], 1))]
            states += [(torch.randn(len(keys), 1, keys.shape[1]), values)]
            memory = state.get(f"memory_{layer}")
            if memory is not None:
                width = memory.shape[2] // 2
                states += [(memory[..., :width], torch.randn(lanes, width, 1))]

    def compute():
        for x, weight in pairs:
            torch.nn.functional.linear(x, weight)
        for one, other in states:
            torch.bmm(one, other)

    return compute


@turns
@cpu_time
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("name", ["ttt-linear", "retrieval"])
def test_bare_products(name, lanes, turn, benchmark):
    compute = products(name, model_of(name), lanes)

    def play():
        with torch.no_grad():
            for _ in range(STEPS):
                compute()

    describe(
        benchmark, group(name, lanes), "its matrix products", amount=STEPS * lanes, unit="moves", is_peer=True
    )
    benchmark.pedantic(play)


@turns
@cpu_time
@pytest.mark.parametrize("name", ["ttt-linear", "retrieval", "context-tree", "transformer"])
def test_update(name, turn, benchmark):
    model = model_of(name)
    timesteps = imitator_checks.random_timesteps(games.load(GAME), ROWS, MOVES, seed=0)

    def update():
        logits, _ = model.unroll(timesteps, model.initial_state(ROWS))
        logits.logsumexp(-1).sum().backward()

    describe(
        benchmark,
        f"gradients on {GAME}, {ROWS} x {MOVES} moves",
        name,
        amount=ROWS * MOVES,
        unit="moves",
        is_peer=name == "transformer",
    )
    benchmark.pedantic(update, warmup_rounds=1)
