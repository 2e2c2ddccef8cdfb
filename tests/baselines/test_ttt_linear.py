"""TTT-Linear: each move is one gradient step on the inner loss, taken here by autograd in float64."""

from __future__ import annotations

import pytest
import torch

from understudy import baselines
from understudy.baselines.training.sequence_model import HeadsConfig
from understudy.baselines.ttt_linear import OnlineLearner
from understudy.suite import games
from understudy.suite.errors import InputError
from understudy.suite.testing import answers, imitator_checks

CONFIG = HeadsConfig(layers=1, width=12, heads=3, mlp_width=8)


@pytest.fixture
def mixer():
    torch.manual_seed(0)
    mixer = OnlineLearner(CONFIG)
    for parameter in mixer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return mixer


def slow_outputs(mixer, x, learned=None):
    """Return the mixer's outputs [B, T, W] in float64, one head and move at a time, and each last W - W_0.

    The step is the gradient of the inner loss, as autograd finds it.
    """
    weights = {name: tensor.double() for name, tensor in mixer.named_parameters()}
    B, T, W = x.shape
    H, D = mixer.heads, mixer.head_width
    views = x.double() @ weights["views.weight"].T  # [B, T, 3W + H]
    rows, last = [], torch.zeros(B, H, D, D, dtype=torch.float64)
    for b in range(B):
        memory = [weights["start"][h].T for h in range(H)]  # W_0
        if learned is not None:
            memory = [memory[h] + learned[b, h].double().T for h in range(H)]
        moves = []
        for t in range(T):
            heads = []
            for h in range(H):
                query, key, value = (
                    views[b, t, part * W + h * D : part * W + (h + 1) * D] for part in range(3)
                )
                key = key / key.norm()
                rate = torch.sigmoid(views[b, t, 3 * W + h] + weights["rate_bias"][h])
                before = memory[h] if memory[h].requires_grad else memory[h].clone().requires_grad_()
                loss = ((before @ key - value) ** 2).sum() / 2
                (gradient,) = torch.autograd.grad(loss, before, create_graph=True)
                memory[h] = before - rate * gradient
                answer = memory[h] @ query
                heads.append((answer - answer.mean()) / torch.sqrt(answer.var(unbiased=False) + 1e-5))
            moves.append(weights["out.weight"] @ (torch.cat(heads) * weights["norm_gain"]))
        rows.append(torch.stack(moves))
        last[b] = torch.stack([(memory[h] - weights["start"][h].T).T for h in range(H)]).detach()
    return torch.stack(rows), last


def test_every_move_is_a_gradient_step_on_the_reconstruction_loss(mixer):
    x = torch.randn(2, 75, 12)  # three chunks, the last one not full
    learned = torch.randn(2, 3, 4, 4) / 3
    with torch.enable_grad():
        expected, last = slow_outputs(mixer, x, learned)
    found, state = mixer.unroll(x, {"learned": learned})
    assert expected.std() > 0.5
    torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(state["learned"].double(), last, atol=2e-5, rtol=1e-4)
    state, outputs = {"learned": learned}, []
    for t in range(75):
        output, state = mixer.step(x[:, t], state)
        outputs.append(output)
    torch.testing.assert_close(torch.stack(outputs, 1).double(), expected, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(state["learned"].double(), last, atol=2e-5, rtol=1e-4)


def test_gradients_are_those_of_the_slow_form(mixer):
    mixer = mixer.double()
    x = torch.randn(2, 40, 12, dtype=torch.float64, requires_grad=True)
    toward = torch.randn(2, 40, 12, dtype=torch.float64)
    parameters = [x, *mixer.parameters()]
    expected = torch.autograd.grad((slow_outputs(mixer, x)[0] * toward).sum(), parameters)
    state = {name: tensor.double() for name, tensor in mixer.initial_state(2).items()}
    found = torch.autograd.grad((mixer.unroll(x, state)[0] * toward).sum(), parameters)
    for of_slow, of_unroll in zip(expected, found, strict=True):
        torch.testing.assert_close(of_unroll, of_slow)


def test_a_key_that_was_written_is_read(mixer):
    """After a step at rate 1 from anywhere, W k is v: worked out by hand for unit vectors."""
    with torch.no_grad():
        mixer.start.zero_()
        mixer.rate_bias.fill_(40.0)  # a rate of 1
        mixer.views.weight.zero_()
        for h in range(3):
            mixer.views.weight[h * 4, 0] = 1  # the query is e_0
            mixer.views.weight[12 + h * 4, 0] = 5  # the key too
            mixer.views.weight[24 + h * 4 + 2, 1] = 1  # the value is x_1 e_2
        x = torch.zeros(1, 2, 12)
        x[0, :, 0], x[0, :, 1] = 1, torch.tensor([3.0, 7.0])
        _, state = mixer.unroll(x, mixer.initial_state(1))
    expected = torch.zeros(4, 4)
    expected[0, 2] = 7  # of the newest move alone
    torch.testing.assert_close(state["learned"], expected.expand(1, 3, 4, 4))


@pytest.mark.parametrize("game_name", ["darkroom/goal-40", "minatar/breakout"])
def test_step_equals_unroll_at_default_size(game_name):
    torch.set_num_threads(1)
    game, architecture = games.load(game_name), baselines.load("ttt-linear")
    model = architecture.build(architecture.config(game), game).eval()
    timesteps = imitator_checks.random_timesteps(game, 2, 4 * 256, seed=1)
    timesteps = timesteps._replace(previous_reward=timesteps.previous_reward * 1e6)
    with torch.no_grad():
        whole, _ = model.unroll(timesteps, model.initial_state(2))
        stepped = imitator_checks.play(model, timesteps)
        sliced = answers.play_in_slices(model, timesteps, model.initial_state(2), (0, 256, 300, 1024))
    torch.testing.assert_close(whole, stepped, atol=1e-4, rtol=0)
    torch.testing.assert_close(sliced, stepped, atol=1e-4, rtol=0)


def test_memory_stays_finite_over_20_000_moves(mixer):
    """Moves of one kind alone, whose keys hardly differ: the inner problem has no exact solution."""
    state = mixer.initial_state(1)
    with torch.no_grad():
        for _ in range(20):
            x = 10 + torch.randn(1, 1000, 12)
            output, state = mixer.unroll(x, state)
    assert torch.isfinite(output).all()
    assert state["learned"].abs().max() < 1e4


def test_bad_settings(darkroom):
    with pytest.raises(InputError, match="width must be a multiple of heads; found 30, 4"):
        baselines.load("ttt-linear").config(darkroom, width=30)
