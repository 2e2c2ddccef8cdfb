"""Each recurrent layer computes its paper's equations, also over long runs, at the declared size."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from support import slow_recurrences
from torch.nn import functional

from understudy import baselines
from understudy.baselines.training.sequence_model import SequenceModel
from understudy.suite import games
from understudy.suite.errors import InputError
from understudy.suite.harness import states
from understudy.suite.protocols import Timestep
from understudy.suite.testing import imitator_checks

RECURRENT = ("gru", "mamba", "mlstm", "gated-deltanet")
SEQUENCE = tuple(name for name in baselines.names() if name not in ("bc", "bc-time", "context-tree"))
GAMES = ("darkroom/goal-40", "minatar/breakout", "atari/breakout")
CONTEXT = 256
WINDOWS = 4
TOLERANCE = 1e-4


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def built(name, game, **overrides):
    architecture = baselines.load(name)
    return architecture.build(architecture.config(game, **overrides), game)


def part(timesteps, begin, end):
    return Timestep(*(field[:, begin:end] for field in timesteps))


@pytest.mark.parametrize("game_name", GAMES)
@pytest.mark.parametrize("name", SEQUENCE)
def test_default_sizes_are_within_a_tenth_of_the_transformer(name, game_name):
    game = games.load(game_name)
    sizes = {
        each: sum(weight.numel() for weight in built(each, game).parameters())
        for each in (name, "transformer")
    }
    assert abs(sizes[name] / sizes["transformer"] - 1) <= 0.1, sizes


@pytest.mark.parametrize("game_name", GAMES)
@pytest.mark.parametrize("name", RECURRENT)
def test_the_state_is_smaller_than_the_transformers(name, game_name):
    game = games.load(game_name)
    own, other = (states.size_bytes(built(each, game).initial_state(1)) for each in (name, "transformer"))
    assert own < other / 4


@pytest.mark.parametrize("name", RECURRENT)
def test_step_equals_unroll_over_four_windows(name, darkroom):
    moves = WINDOWS * CONTEXT
    model = built(name, darkroom)
    run = imitator_checks.random_timesteps(darkroom, lanes=2, moves=moves, seed=1)
    with torch.no_grad():
        whole, last = model.unroll(run, model.initial_state(2))
        for cuts in ((0, CONTEXT, 2 * CONTEXT, 3 * CONTEXT, moves), (0, 1, 38, 1000, moves)):
            state, pieces = model.initial_state(2), []
            for begin, end in itertools.pairwise(cuts):
                logits, state = model.unroll(part(run, begin, end), state)
                pieces.append(logits)
            assert (torch.cat(pieces, dim=1) - whole).abs().max() <= TOLERANCE
            for key, tensor in last.items():
                torch.testing.assert_close(state[key], tensor, atol=TOLERANCE, rtol=TOLERANCE)
    stepped = imitator_checks.play(model, run)
    assert (stepped - whole).abs().max() <= TOLERANCE
    assert whole.std() > 0.1


@pytest.mark.parametrize("name", RECURRENT)
def test_a_long_run_with_rewards_of_millions_stays_finite(name, darkroom):
    model = built(name, darkroom, **baselines.load(name).small)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)  # initial weights hardly reach the gates' ends
    window = imitator_checks.random_timesteps(darkroom, lanes=2, moves=1024, seed=2)
    window = window._replace(previous_reward=window.previous_reward * 1e6)
    later = window._replace(first_of_run=torch.zeros_like(window.first_of_run))
    state = model.initial_state(2)
    with torch.no_grad():
        for _ in range(10):
            logits, state = model.unroll(later, state)
            assert logits.isfinite().all()
    assert state["age"].tolist() == [10_240, 10_240]
    for t in range(200):
        logits, state = model.step(Timestep(*(field[:, t] for field in later)), state)
    assert logits.isfinite().all()
    assert all(tensor.isfinite().all() for tensor in state.values())


@pytest.mark.parametrize("name", RECURRENT)
def test_unroll_returns_a_state_without_gradient_and_leaves_the_given_one(name, darkroom):
    model = built(name, darkroom, **baselines.load(name).small)
    run = imitator_checks.random_timesteps(darkroom, lanes=2, moves=40, seed=3)
    _, state = model.unroll(run, model.initial_state(2))
    assert not any(tensor.requires_grad for tensor in state.values())
    before = states.clone(state)
    later = run._replace(first_of_run=torch.zeros_like(run.first_of_run))
    logits, _ = model.unroll(later, state)
    assert all(torch.equal(before[key], tensor) for key, tensor in state.items())
    logits.sum().backward()
    assert all(weight.grad.isfinite().all() for weight in model.parameters())


@pytest.mark.parametrize("name", RECURRENT)
def test_a_state_of_step_may_go_on_in_training(name, darkroom):
    model = built(name, darkroom, **baselines.load(name).small)
    run = imitator_checks.random_timesteps(darkroom, lanes=2, moves=8, seed=3)
    _, state = model.step(Timestep(*(field[:, 0] for field in run)), model.initial_state(2))
    logits, _ = model.unroll(part(run, 1, 8), state)
    logits.sum().backward()


def mixer_of(name, game, **overrides):
    """Return the first mixer of a small model in float64, its tokens [B, T, W], and what it makes of them."""
    model = built(name, game, **(baselines.load(name).small | overrides))
    mixer = model.blocks[0].mixer
    with torch.no_grad():
        for weight in mixer.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(5)))
    x = torch.randn(2, 43, 16, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        found, _ = mixer.unroll(x, mixer.initial_state(2))
        state, stepped = mixer.initial_state(2), []
        for t in range(43):
            output, state = mixer.step(x[:, t], state)
            stepped.append(output)
    torch.testing.assert_close(torch.stack(stepped, dim=1), found, atol=2e-5, rtol=1e-4)
    return mixer.double(), x.double(), found.double()


def convolved(inputs, weight):
    """Return SiLU of each channel's weighted last four moves; the oldest has the first weight."""
    sums = torch.zeros_like(inputs)
    for t in range(inputs.shape[1]):
        for back in range(min(4, t + 1)):
            sums[:, t] += weight[3 - back] * inputs[:, t - back]
    return sums * sums.sigmoid()


def normed(x):
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()


def by_head(x, heads):
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)  # [B, H, T, D]


def assert_mixed(found, expected):
    assert expected.std() > 0.05
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_gru_computes_its_equations(darkroom):
    mixer, x, found = mixer_of("gru", darkroom)
    weights = dict(mixer.gru.named_parameters())
    hidden, expected = x.new_zeros(2, 16), []
    for t in range(x.shape[1]):
        reset_x, update_x, new_x = (x[:, t] @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]).chunk(3, -1)
        reset_h, update_h, new_h = (hidden @ weights["weight_hh_l0"].T + weights["bias_hh_l0"]).chunk(3, -1)
        update = (update_x + update_h).sigmoid()
        new = (new_x + (reset_x + reset_h).sigmoid() * new_h).tanh()
        hidden = (1 - update) * new + update * hidden
        expected.append(hidden)
    assert_mixed(found, torch.stack(expected, dim=1))


@torch.no_grad()
def test_mamba_computes_its_equations(darkroom):
    mixer, x, found = mixer_of("mamba", darkroom)
    inputs, gate, sizes = (x @ mixer.project_in.T).split((32 + 2 * 4, 32, 2), -1)
    value, key, query = convolved(inputs, mixer.weight).split((32, 4, 4), -1)
    sizes = functional.softplus(sizes + mixer.step_bias).transpose(1, 2)  # [B, H, T]
    value = by_head(value, 2)
    key, query = (each[:, None].expand(-1, 2, -1, -1) for each in (key, query))
    log_decay = -mixer.log_rate.exp()[:, None] * sizes
    empty = x.new_zeros(2, 2, 4, 16)
    read, _ = slow_recurrences.gated(query, key, value * sizes[..., None], log_decay, empty)
    read = (read + mixer.skip[:, None] * value).transpose(1, 2).flatten(2)
    assert_mixed(found, normed(read * gate * gate.sigmoid()) @ mixer.project_out.T)


@torch.no_grad()
def test_mlstm_computes_its_equations(darkroom):
    mixer, x, found = mixer_of("mlstm", darkroom)
    parts = x @ mixer.project_in.T + mixer.bias
    vectors, gate, log_input, forget = parts.split((48, 16, 2, 2), -1)
    query, key, value = vectors.view(2, -1, 2, 3, 8).transpose(1, 2).unbind(3)
    read = slow_recurrences.mlstm(
        query, key, value, functional.logsigmoid(forget).transpose(1, 2), log_input.transpose(1, 2)
    )
    read = normed(read).transpose(1, 2).flatten(2)
    assert_mixed(found, (read * gate.sigmoid()) @ mixer.project_out.T)


@torch.no_grad()
def test_gated_deltanet_computes_its_equations(darkroom):
    mixer, x, found = mixer_of("gated-deltanet", darkroom)
    inputs, gate, sizes, rate = (x @ mixer.project_in.T).split((48, 16, 2, 2), -1)
    vectors = convolved(inputs, mixer.weight).view(2, -1, 2, 3, 8).transpose(1, 2)
    query, key, value = vectors.unbind(3)
    query, key = (each / each.square().sum(-1, keepdim=True).sqrt() for each in (query, key))
    log_decay = (-mixer.log_rate.exp() * functional.softplus(sizes + mixer.step_bias)).transpose(1, 2)
    read, _ = slow_recurrences.gated_delta(
        query, key, value, log_decay, rate.sigmoid().transpose(1, 2), x.new_zeros(2, 2, 8, 8)
    )
    read = normed(read).transpose(1, 2).flatten(2)
    assert_mixed(found, (read * gate * gate.sigmoid()) @ mixer.project_out.T)


@pytest.mark.parametrize("name", ["mamba", "gated-deltanet"])
def test_initial_decays_are_in_the_papers_ranges(name, darkroom):
    for block in built(name, darkroom).blocks:
        sizes = functional.softplus(block.mixer.step_bias.detach())
        rates = block.mixer.log_rate.detach().exp()
        assert ((sizes > 0.99e-3) & (sizes < 0.101)).all()
        assert ((rates > 0.99) & (rates < 16.01)).all()


def test_initial_forget_gates_of_mlstm_keep_nearly_all(darkroom):
    model = built("mlstm", darkroom, heads=4)
    for block in model.blocks:
        *_, forget = block.mixer._project(torch.randn(1, 64))
        torch.testing.assert_close(forget.detach().flatten(), torch.tensor([3.0, 4.0, 5.0, 6.0]))
    model = built("mlstm", darkroom)
    ratio = model.blocks[0].mlp_in.detach().std() / model.blocks[0].mlp_out.detach().std()
    assert float(ratio) == pytest.approx(math.sqrt(8), rel=0.05)


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("mamba", {"width": 18, "heads": 8}),
        ("mlstm", {"width": 18, "heads": 4}),
        ("gated-deltanet", {"width": 18, "heads": 4}),
    ],
)
def test_widths_that_heads_do_not_divide_are_refused(name, overrides, darkroom):
    with pytest.raises(InputError, match=f"{name}: .*width must be a multiple of heads; found 18"):
        baselines.load(name).config(darkroom, **overrides)


@pytest.mark.parametrize("name", RECURRENT)
def test_digits_of_a_cell_are_a_setting(name, darkroom):
    model = built(name, darkroom, cell_digits=2, **baselines.load(name).small)
    assert isinstance(model, SequenceModel)
    assert model.token.observation.low.num_embeddings == math.isqrt(darkroom.observation_values - 1) + 1
