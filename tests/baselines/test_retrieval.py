"""The retrieval transformer, against attention and neighbours found by sorting, move by move, in float64."""

from __future__ import annotations

import math

import pytest
import torch

from understudy import baselines
from understudy.baselines.retrieval import LocalAttention, RetrievalConfig, RetrievingAttention
from understudy.suite import games
from understudy.suite.errors import InputError
from understudy.suite.testing import answers, imitator_checks

CONFIG = RetrievalConfig(
    layers=1,
    context_moves=4,
    memory_moves=9,
    neighbours=3,
    bank_entries=5,
    width=12,
    heads=3,
    mlp_width=8,
)


@pytest.fixture
def mixer():
    return drawn(RetrievingAttention)


def drawn(kind):
    torch.manual_seed(0)
    mixer = kind(CONFIG)
    for name, parameter in mixer.named_parameters():
        if name not in ("log_scale", "bank_nearness", "recency"):
            torch.nn.init.normal_(parameter, std=0.5)
    return mixer


def slow_outputs(mixer, x):
    """Return outputs [B, T, W] in float64 of runs that begin at move 0, one row, move and head at a time."""
    weights = {name: tensor.double() for name, tensor in mixer.named_parameters()}
    C, H, D = mixer.context_moves, mixer.heads, mixer.head_width
    rows = []
    for sequence in x.double():
        views = [(weights["views.weight"] @ token).view(3, H, D) for token in sequence]
        queries = [view[0] / view[0].norm(dim=-1, keepdim=True) for view in views]
        keys = [view[1] / view[1].norm(dim=-1, keepdim=True) for view in views]
        values = [view[2] for view in views]
        moves = []
        for t in range(len(sequence)):
            heads = []
            for h in range(H):
                scale = torch.exp(weights["log_scale"][h, 0, 0])
                local = range(max(0, t - C + 1), t + 1)
                scores = [scale * (queries[t][h] @ keys[s][h]) + weights["bias"][h, t - s] for s in local]
                shares = torch.stack(scores).softmax(0)
                seen = sum(share * values[s][h] for share, s in zip(shares, local, strict=True))
                if "gate" in weights:
                    gate = torch.sigmoid(weights["gate"][h, 0])
                    neighbours, following = nearest(weights, mixer, queries, keys, t)
                    retrieved = attended(
                        weights, neighbours, following, queries[t][h], keys, values, h, scale
                    )
                    seen = (1 - gate) * seen + gate * retrieved
                heads.append(seen)
            moves.append(weights["out.weight"] @ torch.cat(heads))
        rows.append(torch.stack(moves))
    return torch.stack(rows)


def nearest(weights, mixer, queries, keys, t):
    """Return the k nearest of M older moves, each with the gap to the next one's nearness, and that."""
    C, M, k = mixer.context_moves, mixer.memory_moves, mixer.neighbours
    found = []
    for s in range(max(0, t - C - M + 1), t - C + 1):
        cosines = [queries[t][h] @ keys[s][h] for h in range(mixer.heads)]
        lost = torch.sigmoid(weights["recency"][0]) * (t - s - C) / M
        found.append((sum(cosines) / len(cosines) - lost, s))
    found.sort(key=lambda pair: -pair[0].item())
    following = found[k][0] if len(found) > k else -3.0  # an empty slot's
    return [(near - following, s) for near, s in found[:k]], following


def attended(weights, neighbours, following, query, keys, values, h, scale):
    """Return what a head makes of the neighbours, the bank and the empty entry."""
    pairs = [(gap * torch.exp(scale * (query @ keys[s][h])), values[s][h]) for gap, s in neighbours]
    for n in range(len(weights["bank_nearness"])):
        key = weights["bank_keys"][h, n] / weights["bank_keys"][h, n].norm()
        near = torch.exp(weights["bank_nearness"][n])
        pairs.append((near * torch.exp(scale * (query @ key)), weights["bank_values"][h, n]))
    return sum(weight * value for weight, value in pairs) / (
        sum(weight for weight, _ in pairs) + 0.02 * torch.exp(scale * following)
    )


def stepped(mixer, x):
    state, outputs = mixer.initial_state(len(x)) | {"age": torch.zeros(len(x), dtype=torch.int64)}, []
    for t in range(x.shape[1]):
        output, after = mixer.step(x[:, t], state)
        state = after | {"age": state["age"] + 1}
        outputs.append(output)
    return torch.stack(outputs, 1)


def unrolled(mixer, x):
    age = torch.zeros(len(x), dtype=torch.int64)
    state = {name: tensor.to(x.dtype) for name, tensor in mixer.initial_state(len(x)).items()}
    return mixer.unroll(x, state | {"age": age})[0]


@pytest.mark.parametrize("kind", [LocalAttention, RetrievingAttention])
def test_outputs_are_those_of_the_slow_form(kind):
    mixer = drawn(kind)
    x = torch.randn(2, 70, 12)
    expected = slow_outputs(mixer, x)
    assert expected.std() > 0.3
    with torch.no_grad():
        torch.testing.assert_close(unrolled(mixer, x).double(), expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(stepped(mixer, x).double(), expected, atol=1e-5, rtol=1e-4)


def test_gradients_are_those_of_the_slow_form(mixer):
    mixer = mixer.double()
    x = torch.randn(1, 30, 12, dtype=torch.float64, requires_grad=True)
    toward = torch.randn(1, 30, 12, dtype=torch.float64)
    parameters = [x, *mixer.parameters()]
    expected = torch.autograd.grad((slow_outputs(mixer, x) * toward).sum(), parameters)
    found = torch.autograd.grad((unrolled(mixer, x) * toward).sum(), parameters)
    for slow, fast in zip(expected, found, strict=True):
        torch.testing.assert_close(fast, slow)


def test_local_attention_is_that_of_another_library():
    attend = pytest.importorskip("x_transformers.attend")
    mixer = drawn(LocalAttention)
    with torch.no_grad():
        mixer.bias.zero_()
        x = torch.randn(2, CONFIG.context_moves, 12)
        query, key, value = (part.transpose(1, 2) for part in mixer._views(x))
        theirs, _ = attend.Attend(causal=True, scale=1.0)(query * mixer.log_scale.exp(), key, value)
        expected = mixer.out(theirs.transpose(1, 2).flatten(2))
        torch.testing.assert_close(unrolled(mixer, x), expected, atol=1e-5, rtol=1e-4)


def test_ties_do_not_matter(mixer):
    """Tokens of three kinds, so that most nearness differs by age alone, or by rounding where r is 0."""
    kinds = torch.randn(3, 12)
    x = kinds[torch.randint(0, 3, (2, 120), generator=torch.Generator().manual_seed(1))]
    for recency in (-2.0, -40.0):
        with torch.no_grad():
            mixer.recency.fill_(recency)
            one, other = unrolled(mixer, x), stepped(mixer, x)
            noisy = unrolled(mixer, x + 1e-7 * torch.randn(x.shape))
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
        torch.testing.assert_close(one, noisy, atol=5e-4, rtol=0)  # a neighbour of its own would be 0.1


def test_a_move_is_retrieved_as_long_as_it_is_in_memory(mixer):
    """A change of move 0 changes the outputs of the moves up to C + M - 1, by way of retrieval alone."""
    x = torch.randn(1, 30, 12)
    other = x.clone()
    other[0, 0] = x[0, 20]  # so that move 20 could retrieve it, were it there
    with torch.no_grad():
        mixer.recency.fill_(-40.0)
        differ = ((unrolled(mixer, x) - unrolled(mixer, other)).abs() > 1e-6).any(-1)[0]
    last = max(differ.nonzero().flatten().tolist())
    assert CONFIG.context_moves <= last < CONFIG.context_moves + CONFIG.memory_moves


@pytest.mark.parametrize("game_name", ["darkroom/goal-40", "minatar/breakout"])
def test_step_equals_unroll_at_default_size(game_name):
    torch.set_num_threads(1)
    game, architecture = games.load(game_name), baselines.load("retrieval")
    model = architecture.build(architecture.config(game, memory_moves=256), game).eval()
    timesteps = imitator_checks.random_timesteps(game, 2, 4 * 256, seed=1)
    timesteps = timesteps._replace(previous_reward=timesteps.previous_reward * 1e6)
    with torch.no_grad():
        whole, _ = model.unroll(timesteps, model.initial_state(2))
        sliced = answers.play_in_slices(model, timesteps, model.initial_state(2), (0, 1, 256, 300, 1024))
        played = imitator_checks.play(model, timesteps)
    torch.testing.assert_close(whole, played, atol=1e-4, rtol=0)
    torch.testing.assert_close(sliced, played, atol=1e-4, rtol=0)


def test_large_scales_stay_finite(mixer):
    with torch.no_grad():
        mixer.log_scale.fill_(math.log(1e6))
    x = torch.randn(2, 40, 12, requires_grad=True)
    output = unrolled(mixer, x)
    gradients = torch.autograd.grad(output.square().sum(), [x, mixer.bank_keys, mixer.views.weight])
    assert all(bool(torch.isfinite(each).all()) for each in (output, *gradients))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"width": 30}, "width must be a multiple of heads; found 30, 4"),
        ({"memory_moves": 8}, "neighbours must be fewer than memory_moves; found 8 and 8"),
    ],
)
def test_bad_settings(overrides, message, darkroom):
    with pytest.raises(InputError, match=message):
        baselines.load("retrieval").config(darkroom, **overrides)
