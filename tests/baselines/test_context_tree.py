"""Context tree weighting, against the recursion of the paper in fractions; rewards and priors by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from understudy import baselines, cli
from understudy.baselines.context_tree import PIECE_MOVES, ContextTreeConfig
from understudy.suite import games
from understudy.suite.errors import InputError
from understudy.suite.testing import answers, imitator_checks

HALF = Fraction(1, 2)


def weighted_probability(contexts, actions, num_actions, depth, context=()):
    """Return P_w of a node, exactly: equation 6 of Willems, Shtarkov and Tjalkens (1995).

    `contexts` are tuples of symbols, the newest first, one for each action. The node's actions are those
    whose contexts begin with `context`. The estimate is Krichevsky's and Trofimov's.
    """
    own = [a for seen, a in zip(contexts, actions, strict=True) if seen[: len(context)] == context]
    estimate, counts = Fraction(1), [0] * num_actions
    for action in own:
        estimate *= (counts[action] + HALF) / (sum(counts) + num_actions * HALF)
        counts[action] += 1
    if len(context) == depth:
        return estimate
    children = {seen[: len(context) + 1] for seen in contexts if seen[: len(context)] == context}
    below = math.prod(
        (weighted_probability(contexts, actions, num_actions, depth, child) for child in children),
        start=Fraction(1),
    )
    return HALF * estimate + HALF * below


def contexts_of(timesteps, row, depth):
    """Return the context of each move: cell, then what came before it, then the cell before, and so on."""
    moves = []
    for t in range(timesteps.first.shape[1]):
        outcome = (
            int(timesteps.previous_action[row, t]),
            float(timesteps.previous_reward[row, t].sign()),
            bool(timesteps.first[row, t]),
        )
        moves.append((int(timesteps.observation[row, t]), "start" if t == 0 else outcome))
    found = []
    for t in range(len(moves)):
        symbols = [symbol for past in range(t, -1, -1) for symbol in moves[past]]
        found.append(tuple((symbols + ["none"] * depth)[:depth]))
    return found


def small_game(cells, num_actions):
    game = games.load("darkroom/goal-40")
    return replace(
        game,
        observation_values=cells,
        num_actions=num_actions,
        legal_actions=(True,) * num_actions,
        action_names=(),
    )


def built(game, **settings):
    architecture = baselines.load("context-tree")
    return architecture.build(architecture.config(game, **settings), game).eval()


def test_the_oracle_has_the_probability_of_the_papers_example():
    """Bits 0110100 after 010, contexts of at most 3 bits: P_w of the root is 95/32768."""
    bits = [0, 1, 0, *(0, 1, 1, 0, 1, 0, 0)]
    contexts = [tuple(reversed(bits[t - 3 : t])) for t in range(3, 10)]
    assert weighted_probability(contexts, bits[3:], 2, 3) == Fraction(95, 32768)


@pytest.mark.parametrize(("num_actions", "cells", "depth"), [(2, 2, 1), (2, 2, 4), (3, 2, 5), (5, 81, 2)])
def test_probabilities_are_those_of_context_tree_weighting(num_actions, cells, depth):
    game = small_game(cells, num_actions)
    model = built(game, depth=depth)
    timesteps = imitator_checks.random_timesteps(game, lanes=2, moves=30, seed=depth)
    with torch.no_grad():
        unrolled, _ = model.unroll(timesteps, model.initial_state(2))
    stepped = imitator_checks.play(model, timesteps)
    for row in range(2):
        contexts = contexts_of(timesteps, row, depth)
        actions = timesteps.previous_action[row, 1:].tolist()  # of the moves 0, 1, ...
        for t in range(30):
            past = weighted_probability(contexts[:t], actions[:t], num_actions, depth)
            expected = [
                float(weighted_probability(contexts[: t + 1], [*actions[:t], a], num_actions, depth) / past)
                for a in range(num_actions)
            ]
            for logits in (unrolled, stepped):
                assert logits[row, t].exp().tolist() == pytest.approx(expected, rel=1e-5)


def slow_logits(model, timesteps, row):
    """Return the logits [T, A] in float64, move by move, by dictionaries, with autograd through all of it.

    Only the nodes' numbers are the model's, so that contexts share them as they do there.
    """
    D, A = model.depth, model.actions
    outcome = 1 + timesteps.previous_action * 6 + (timesteps.previous_reward.sign().long() + 1) * 2
    outcome = (outcome + timesteps.first) * (torch.arange(timesteps.first.shape[1]) > 0)
    symbols = torch.stack((timesteps.observation + 1, outcome), -1)[row : row + 1]
    none = torch.zeros(1, model.lags, 2, dtype=torch.int64)
    paths = model._paths(torch.cat((none, symbols), 1))[0].tolist()
    counts, rewards, betas = {}, {}, {}
    zeros = torch.zeros(A, dtype=torch.float64)
    found = []
    for t, path in enumerate(paths):
        estimates, log_betas = [], []
        logits = zeros
        for depth, node in enumerate(path):
            prior = 0.5 * torch.exp(8 * torch.tanh(model.log_counts[node]))
            seen = counts.get(node, zeros) + prior
            estimates.append(seen / seen.sum())
            log_betas.append(betas.get(node, torch.zeros((), dtype=torch.float64)))
            mean = rewards.get(node, zeros) / (counts.get(node, zeros) + 1)
            logits = logits + model.reward_gain[depth] * mean
        mixtures = {D: estimates[D]}
        for depth in range(D - 1, -1, -1):
            odds = model.depth_odds[depth] + model.odds[path[depth], 0]
            prior = 1 / (1 + torch.exp(-odds))
            ahead = prior * torch.exp(log_betas[depth])
            mixtures[depth] = (ahead * estimates[depth] + (1 - prior) * mixtures[depth + 1]) / (
                ahead + 1 - prior
            )
        found.append(mixtures[0].log() + logits)
        if t + 1 == len(paths):
            break
        action = int(timesteps.previous_action[row, t + 1])
        for depth, node in enumerate(path):
            one = torch.eye(A, dtype=torch.float64)[action]
            counts[node] = counts.get(node, zeros) + one
            sign = float(torch.sign(timesteps.previous_reward[row, t + 1]))
            rewards[node] = rewards.get(node, zeros) + sign * one
            if depth < D:
                gained = estimates[depth][action].log() - mixtures[depth + 1][action].log()
                betas[node] = log_betas[depth] + gained
    return torch.stack(found)


@pytest.fixture
def drawn():
    """A model of few, shared nodes whose parameters are all drawn."""
    model = built(small_game(3, 4), depth=4, nodes=64)
    torch.manual_seed(1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def test_logits_and_gradients_are_those_of_the_slow_form(drawn):
    game = small_game(3, 4)
    timesteps = imitator_checks.random_timesteps(game, lanes=2, moves=40, seed=3)
    logits, _ = drawn.unroll(timesteps, drawn.initial_state(2))
    toward = torch.randn(2, 40, 4)
    names = [name for name, _ in drawn.named_parameters()]
    found = torch.autograd.grad((logits * toward).sum(), list(drawn.parameters()))
    stepped = imitator_checks.play(drawn, timesteps)
    drawn = drawn.double()
    expected = torch.stack([slow_logits(drawn, timesteps, row) for row in range(2)])
    assert expected.std() > 0.5
    torch.testing.assert_close(logits.double(), expected, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(stepped.double(), expected, atol=2e-5, rtol=1e-5)
    slow = torch.autograd.grad((expected * toward).sum(), list(drawn.parameters()))
    for name, one, other in zip(names, found, slow, strict=True):
        torch.testing.assert_close(one.double(), other, atol=1e-3, rtol=1e-3, msg=name)


def test_a_rewarded_action_gains(drawn):
    """Depth 1, one cell: action 2 was rewarded in its one try, so that its logit gains half of the gain."""
    model = built(small_game(1, 4), depth=1)
    timesteps = imitator_checks.random_timesteps(small_game(1, 4), lanes=1, moves=2, seed=0)
    timesteps.previous_action[0, 1], timesteps.previous_reward[0, 1] = 2, 3e6
    usual, _ = model.unroll(timesteps, model.initial_state(1))
    with torch.no_grad():
        model.reward_gain.copy_(torch.tensor([1.0, 4.0]))
    found, _ = model.unroll(timesteps, model.initial_state(1))
    torch.testing.assert_close((found - usual)[0, 1], torch.tensor([0, 0, 2.5, 0]))
    assert torch.equal(found[0, 0], usual[0, 0])


@pytest.mark.parametrize("settings", [{}, {"depth": 7, "nodes": 500}])
def test_step_equals_unroll_in_slices_at_default_size(settings, darkroom):
    torch.set_num_threads(1)
    model = built(darkroom, **settings)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape))
    T = 2 * PIECE_MOVES + 40
    timesteps = imitator_checks.random_timesteps(darkroom, 2, T, seed=1)
    stepped = imitator_checks.play(model, timesteps)
    with torch.no_grad():
        whole, _ = model.unroll(timesteps, model.initial_state(2))
        sliced = answers.play_in_slices(model, timesteps, model.initial_state(2), (0, 1, 256, 300, T))
    torch.testing.assert_close(whole, stepped, atol=1e-4, rtol=0)
    torch.testing.assert_close(sliced, stepped, atol=1e-4, rtol=0)


def test_logits_stay_finite_and_sure_over_20_000_moves(darkroom):
    """The same action 20,000 times in one cell: its probability approaches 1 as (n + 1/2) / (n + 5/2)."""
    model = built(darkroom, depth=2)
    timesteps = imitator_checks.random_timesteps(darkroom, 1, 20_000, seed=0)
    constant = timesteps._replace(
        observation=torch.zeros_like(timesteps.observation),
        previous_action=torch.where(timesteps.first_of_run, 0, 3),
        previous_reward=torch.where(timesteps.first_of_run, 0.0, -1e6),
        first=timesteps.first_of_run,
    )
    with torch.no_grad():
        logits, _ = model.unroll(constant, model.initial_state(1))
    assert torch.isfinite(logits).all()
    assert float(logits[0, -1, 3].exp()) == pytest.approx(19_998.5 / 20_000.5, abs=1e-5)


def test_it_learns_priors_from_watched_histories(darkroom):
    """Cells decide the action: what was watched is known at the first visit in a new run."""
    model = built(darkroom, depth=2).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for seed in range(60):
        timesteps = imitator_checks.random_timesteps(darkroom, 8, 64, seed)
        actions = timesteps.observation % 5
        previous = torch.where(timesteps.first_of_run, 0, actions.roll(1, 1))
        logits, _ = model.unroll(timesteps._replace(previous_action=previous), model.initial_state(8))
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), actions.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    first_moves = imitator_checks.random_timesteps(darkroom, 64, 1, seed=99)
    logits, _ = model.unroll(first_moves, model.initial_state(64))
    assert (logits[:, 0].argmax(-1) == first_moves.observation[:, 0] % 5).float().mean() > 0.95


def test_games_of_other_kinds_are_refused():
    architecture = baselines.load("context-tree")
    message = (
        "context-tree: expected observations of kind cell, found kind planes in minatar/breakout; choose"
    )
    for ask in (architecture.config, lambda game: architecture.build({}, game)):
        with pytest.raises(InputError, match=message):
            ask(games.load("minatar/breakout"))


def test_settings_are_listed_for_the_families_that_it_reads(capsys):
    assert cli.main(["train", "context-tree", "--settings"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ContextTreeConfig.__dataclass_fields__)
    assert "darkroom 4" not in shown
    assert cli.main(["train", "context-tree", "--settings", "--benchmark", "minatar-v1"]) == 2
    assert "expected observations of kind cell" in capsys.readouterr().err
