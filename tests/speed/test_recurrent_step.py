"""A recurrent model's `step` against a bare loop over its products; its update against the transformer's.

The bare loop multiplies tensors of the same shapes, on one thread: the products with weights, the
convolution's sum, and the memory's decay, outer product and readings. It has no token, normalisation, gate,
activation, residual or reshaping, and no module. All count processor time.
"""

from __future__ import annotations

import functools
import time

import pytest
import torch
from speed.ratios import describe
from torch.nn import functional

from understudy import baselines
from understudy.suite import games
from understudy.suite.protocols import Timestep
from understudy.suite.testing import imitator_checks

GAME = "darkroom/goal-40"
STEPS = 200  # timed at once
BATCH, WINDOW_MOVES = 64, 200  # of an update
RECURRENT = ("gru", "mamba", "mlstm", "gated-deltanet")
turns = pytest.mark.parametrize("turn", range(5), scope="module")
cpu_time = pytest.mark.benchmark(timer=time.process_time)
lanes_played = pytest.mark.parametrize("lanes", [8, 16])


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@functools.cache
def model_of(name):
    architecture, game = baselines.load(name), games.load(GAME)
    return architecture.build(architecture.config(game), game)


@functools.cache
def run_of(lanes, moves):
    return imitator_checks.random_timesteps(games.load(GAME), lanes, moves, seed=0)


def products_of_gru(mixer, x):
    gru, hidden = mixer.gru, torch.rand_like(x)

    def products():
        functional.linear(x, gru.weight_ih_l0, gru.bias_ih_l0)
        functional.linear(hidden, gru.weight_hh_l0, gru.bias_hh_l0)

    return products


def products_of_mamba(mixer, x):
    B, N = len(x), mixer.state_width
    state = mixer.initial_state(B)
    decay, value = torch.rand(B, 1, mixer.inner), torch.rand(B, 1, mixer.inner)
    key, query = torch.rand(B, N, 1), torch.rand(B, 1, N)

    def products():
        functional.linear(x, mixer.project_in)
        (state["inputs"] * mixer.weight).sum(1)
        state["memory"].mul_(decay).addcmul_(key, value)
        functional.linear(torch.bmm(query, state["memory"]).view(B, -1), mixer.project_out)

    return products


def products_of_mlstm(mixer, x):
    B, D = len(x), mixer.head_width
    memory = mixer.initial_state(B)["memory"].flatten(0, 1)  # [B x H, D, D + 1]
    decay, key, query = (torch.rand(len(memory), *shape) for shape in ((1, 1), (D, 1), (1, D)))
    value, read = torch.rand(len(memory), 1, D + 1), torch.rand_like(x)

    def products():
        functional.linear(x, mixer.project_in, mixer.bias)
        memory.mul_(decay).addcmul_(key, value)
        torch.bmm(query, memory)
        functional.linear(read, mixer.project_out)

    return products


def products_of_gated_deltanet(mixer, x):
    B, D = len(x), mixer.head_width
    state = mixer.initial_state(B)
    memory = state["memory"].flatten(0, 1)  # [B x H, D, D]
    decay, key, query = (torch.rand(len(memory), *shape) for shape in ((1, 1), (1, D), (1, D)))
    value = torch.rand(len(memory), 1, D)

    def products():
        functional.linear(x, mixer.project_in)
        (state["inputs"] * mixer.weight).sum(1)
        torch.bmm(key, memory.mul_(decay))
        memory.addcmul_(key.mT, value)
        functional.linear(torch.bmm(query, memory).view(B, -1), mixer.project_out)

    return products


PRODUCTS = {
    "gru": products_of_gru,
    "mamba": products_of_mamba,
    "mlstm": products_of_mlstm,
    "gated-deltanet": products_of_gated_deltanet,
}


@turns
@cpu_time
@lanes_played
@pytest.mark.parametrize("name", RECURRENT)
def test_step(name, lanes, turn, benchmark):
    model = model_of(name)
    newest = Timestep(*(field[:, -1] for field in run_of(lanes, 8)))
    describe(benchmark, f"{name}'s move, {lanes} lanes", "step", amount=STEPS * lanes, unit="moves")

    def play():
        state = model.initial_state(lanes)
        for _ in range(STEPS):
            _, state = model.step(newest, state)

    benchmark.pedantic(play)


@turns
@cpu_time
@lanes_played
@pytest.mark.parametrize("name", RECURRENT)
def test_bare_products(name, lanes, turn, benchmark):
    model, x = model_of(name), torch.rand(lanes, 64)
    layers = [
        (PRODUCTS[name](block.mixer, x), block.mlp_in, block.mlp_out, torch.rand(lanes, len(block.mlp_in)))
        for block in model.blocks
    ]
    weight, bias = model.decide.weight, model.decide.bias
    describe(
        benchmark,
        f"{name}'s move, {lanes} lanes",
        "bare products",
        amount=STEPS * lanes,
        unit="moves",
        is_peer=True,
    )

    @torch.inference_mode()
    def multiply():
        for _ in range(STEPS):
            for products, mlp_in, mlp_out, hidden in layers:
                products()
                functional.linear(x, mlp_in)
                functional.linear(hidden, mlp_out)
            functional.linear(x, weight, bias)

    benchmark.pedantic(multiply)


@turns
@cpu_time
@pytest.mark.parametrize("name", [*RECURRENT, "transformer"])
def test_update(name, turn, benchmark):
    """Time the logits and gradients of one batch; the transformer is every other model's peer."""
    model, run = model_of(name), run_of(BATCH, WINDOW_MOVES)
    describe(
        benchmark,
        f"gradients of {BATCH} windows of {WINDOW_MOVES} moves",
        name,
        unit="updates",
        is_peer=name == "transformer",
    )

    def gradients():
        logits, _ = model.unroll(run, model.initial_state(BATCH))
        logits.logsumexp(-1).mean().backward()

    benchmark.pedantic(gradients)
