"""Imitators pass the conformance kit and compute the same as a slow oracle."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support import short_teachers
from torch import Tensor, nn

from understudy import baselines
from understudy.baselines import controls
from understudy.baselines.controls import Assignment
from understudy.baselines.training.encoder import observation_kind
from understudy.suite import games
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.harness import states
from understudy.suite.teachers import network
from understudy.suite.testing import architecture_checks, imitator_checks

GAMES = ("darkroom/goal-40", "minatar/breakout", "atari/breakout")
PLAYERS = baselines.names() + controls.names()


def assigned(game, *folders, variant=""):
    """Return the assignment of one lane a folder."""
    moves = short_teachers.MOVES - short_teachers.WATCHED_MOVES
    return Assignment(
        game, short_teachers.WATCHED_MOVES, moves, False, folders, (None,) * len(folders), variant
    )


def small_imitator(name, game, folder):
    """Return a registered imitator of a size fit for tests; one without a small size has its default size."""
    if name not in controls.names():
        architecture = baselines.load(name)
        return architecture.build(architecture.config(game, **getattr(architecture, "small", {})), game)
    control, variant = controls.load(name)
    return control.build_control(assigned(game, folder, variant=variant))


@pytest.fixture(scope="session")
def teacher_folders(tmp_path_factory):
    """Folders of short teachers' runs, by game."""
    return {name: short_teachers.short_run(name, tmp_path_factory.mktemp("teacher")) for name in GAMES}


@pytest.fixture
def transformer(darkroom):
    architecture = baselines.load("transformer")
    return architecture.build(architecture.config(darkroom, **architecture.small), darkroom)


def slow(name, game_name):
    """Return whether the kit takes minutes: a DQN makes an update every few moves, and Atari's is large."""
    return game_name.startswith("atari/") and name.startswith(("dqn-", "injected-"))


@pytest.mark.parametrize(
    ("name", "game_name"),
    [
        pytest.param(name, game_name, marks=[pytest.mark.long] if slow(name, game_name) else [])
        for name in PLAYERS
        for game_name in GAMES
    ],
)
def test_conformance(name, game_name, teacher_folders):
    game = games.load(game_name)
    if name == "checking-sandbagger" and game.observation_shape:  # it knows what each cell is worth
        with pytest.raises(InputError, match="expected a game whose observation is a cell"):
            small_imitator(name, game, teacher_folders[game_name])
    elif name in controls.names():
        imitator_checks.check_imitator(small_imitator(name, game, teacher_folders[game_name]), game)
    else:
        architecture = baselines.load(name)
        architecture_checks.check_architecture(architecture, game, **getattr(architecture, "small", {}))


class Wrapped(nn.Module):
    """A transformer with one fault added by a subclass."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.reach_moves = inner.reach_moves
        self.drift = nn.Parameter(torch.zeros(1))

    def initial_state(self, batch_size):
        return self.inner.initial_state(batch_size)

    def step(self, timestep, state):
        return self.inner.step(timestep, state)

    def unroll(self, timesteps, state):
        return self.inner.unroll(timesteps, state)


class SeesTheFuture(Wrapped):
    """Only by 1e-4 of the last logits, so that step and unroll still agree."""

    def unroll(self, timesteps, state):
        logits, state = self.inner.unroll(timesteps, state)
        return logits + 5e-5 * logits[:, -1:].clamp(-1, 1), state


class StepsOtherwise(Wrapped):
    def step(self, timestep, state):
        logits, state = self.inner.step(timestep, state)
        return logits + 1e-3, state


class MixesRows(Wrapped):
    def step(self, timestep, state):
        logits, state = self.inner.step(timestep, state)
        return logits + 1e-6 * logits.mean(0), state


class NeverForgets(Wrapped):
    def step(self, timestep, state):
        return self.inner.step(self.blind(timestep), state)

    def unroll(self, timesteps, state):
        return self.inner.unroll(self.blind(timesteps), state)

    def blind(self, timesteps):
        return timesteps._replace(first_of_run=torch.zeros_like(timesteps.first_of_run))


class RemembersOutsideItsState(Wrapped):
    calls = 0

    def step(self, timestep, state):
        self.calls += 1
        logits, state = self.inner.step(timestep, state)
        return logits + 1e-7 * self.calls, state


class Learns(Wrapped):
    def step(self, timestep, state):
        with torch.no_grad():
            self.drift += 1
        return self.inner.step(timestep, state)


class DrawsGlobally(Wrapped):
    def step(self, timestep, state):
        random.random()
        return self.inner.step(timestep, state)


class GrowsItsState(Wrapped):
    def unroll(self, timesteps, state):
        logits, state = self.inner.unroll(timesteps, state)
        return logits, state | {"log": timesteps.previous_action}


class CountsInFloat32(Wrapped):
    """A clock in float32, which is exact only for small ages."""

    def step(self, timestep, state):
        clock = torch.sin(state["age"].float() * 0.1)[:, None] * 0.01
        logits, state = self.inner.step(timestep, state)
        return logits + clock, state

    def unroll(self, timesteps, state):
        age = state["age"].masked_fill(timesteps.first_of_run[:, 0], 0)
        T = timesteps.first.shape[1]
        moves = age[:, None].double() + torch.arange(T, device=age.device)
        logits, state = self.inner.unroll(timesteps, state)
        return logits + 0.01 * torch.sin(moves * 0.1).float()[..., None], state


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (SeesTheFuture, "change earlier logits"),
        (StepsOtherwise, "step and unroll differ"),
        (MixesRows, "the content of other rows changes row"),
        (NeverForgets, "first_of_run does not reset the state"),
        (RemembersOutsideItsState, "something outside the state"),
        (Learns, "parameters or buffers changed"),
        (DrawsGlobally, "global generator of random"),
        (GrowsItsState, "changed the layout of its state"),
        (CountsInFloat32, r"step and unroll differ.*"),
    ],
)
def test_kit_finds_fault(fault, message, darkroom, transformer):
    with pytest.raises(CheckFailed, match=message):
        imitator_checks.check_imitator(fault(transformer), darkroom)


def test_kit_finds_understated_reach(darkroom, transformer):
    with torch.no_grad():
        for parameter in transformer.parameters():
            parameter.mul_(4)  # with initial weights the logits hardly depend on the past
    transformer.reach_moves -= 1
    with pytest.raises(CheckFailed, match="moves before the last"):
        imitator_checks.check_imitator(transformer, darkroom)


@pytest.mark.parametrize("reach", [0, -1, True, 2.0])
def test_kit_refuses_a_reach_that_is_no_number_of_moves(reach, darkroom, transformer):
    transformer.reach_moves = reach
    with pytest.raises(CheckFailed, match=f"reach_moves must be None or a whole number.*found {reach!r}"):
        imitator_checks.check_imitator(transformer, darkroom)


def test_kit_asks_for_a_reach(darkroom, transformer):
    del transformer.reach_moves
    with pytest.raises(CheckFailed, match="no attribute `reach_moves`"):
        imitator_checks.check_imitator(transformer, darkroom)


def slow_logits(model, config, timesteps) -> Tensor:
    """The transformer in float64, one row and move at a time, pairs of units rotated by sine and cosine."""
    weights = {name: tensor.double() for name, tensor in model.state_dict().items()}
    C, W, H = config["context_moves"], config["width"], config["heads"]
    D, period = W // H, 8 * C
    turns = [
        round(period / math.tau * (4 * math.tau / period) ** (j / max(1, D // 2 - 1))) for j in range(D // 2)
    ]

    def norm(x, name):
        return (x - x.mean()) / torch.sqrt(x.var(unbiased=False) + 1e-5) * weights[name]

    def rotated(x, move):  # x [D]
        result = x.clone()
        for j, turn in enumerate(turns):
            angle = math.tau * turn * move / period
            result[2 * j] = x[2 * j] * math.cos(angle) - x[2 * j + 1] * math.sin(angle)
            result[2 * j + 1] = x[2 * j] * math.sin(angle) + x[2 * j + 1] * math.cos(angle)
        return result

    B, T = timesteps.first.shape
    rows = []
    for b in range(B):
        tokens = []
        for t in range(T):
            reward = float(timesteps.previous_reward[b, t])
            begins = bool(timesteps.first_of_run[b, t])
            no_action = len(weights["token.action.weight"]) - 1
            action = no_action if begins else int(timesteps.previous_action[b, t])
            outcome = [
                np.sign(reward),
                np.sign(reward) * math.log(1 + abs(reward)),
                float(timesteps.first[b, t]),
            ]
            tokens.append(
                weights["token.observation.vectors.weight"][int(timesteps.observation[b, t])]
                + weights["token.action.weight"][action]
                + weights["token.outcome.weight"] @ torch.tensor(outcome, dtype=torch.float64)
            )
        for layer in range(config["layers"]):
            w = f"blocks.{layer}."
            triples = [
                (weights[w + "attention_in.weight"] @ norm(x, w + "attention_norm.weight")).view(3, H, D)
                for x in tokens
            ]
            after = []
            for t in range(T):
                seen = []
                for h in range(H):
                    window = range(max(0, t - C + 1), t + 1)
                    query = rotated(triples[t][0, h], t)
                    scores = [float(query @ rotated(triples[s][1, h], s)) / math.sqrt(D) for s in window]
                    shares = torch.tensor(scores, dtype=torch.float64).softmax(0)
                    seen.append(
                        sum(share * triples[s][2, h] for share, s in zip(shares, window, strict=True))
                    )
                x = tokens[t] + weights[w + "attention_out.weight"] @ torch.cat(seen)
                hidden = weights[w + "mlp_in.weight"] @ norm(x, w + "mlp_norm.weight")
                after.append(x + weights[w + "mlp_out.weight"] @ hidden.clamp(min=0))
            tokens = after
        rows.append(
            torch.stack(
                [weights["decide.weight"] @ norm(x, "norm.weight") + weights["decide.bias"] for x in tokens]
            )
        )
    return torch.stack(rows)


def test_transformer_equals_slow_oracle(darkroom):
    architecture = baselines.load("transformer")
    config = architecture.config(darkroom, layers=2, context_moves=5, width=16, heads=2)
    model = architecture.build(config, darkroom, seed=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # with initial weights the logits hardly depend on the past
    timesteps = imitator_checks.random_timesteps(darkroom, lanes=2, moves=17, seed=5)
    expected = slow_logits(model, config, timesteps)
    stepped = imitator_checks.play(model, timesteps)
    unrolled, _ = model.unroll(timesteps, model.initial_state(2))
    assert expected.std() > 0.5
    torch.testing.assert_close(stepped.double(), expected, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(unrolled.double(), expected, atol=2e-5, rtol=1e-5)


def test_bc_ignores_the_past(darkroom):
    architecture = baselines.load("bc")
    model = architecture.build(architecture.config(darkroom), darkroom)
    timesteps = imitator_checks.random_timesteps(darkroom, lanes=3, moves=9, seed=0)
    constant = timesteps._replace(observation=torch.full_like(timesteps.observation, 7))
    logits = imitator_checks.play(model, constant)
    assert torch.equal(logits, logits[:, :1].expand_as(logits))


def test_frozen_teacher_has_the_values_of_the_teacher(tmp_path):
    game = games.load("minatar/breakout")
    timesteps = imitator_checks.random_timesteps(game, lanes=2, moves=3, seed=0)
    expected = []
    for seed in (0, 1):
        parameters = network.initial_parameters(game, [seed])
        stored = {name: tensor[0].contiguous() for name, tensor in parameters.items()}
        (tmp_path / str(seed)).mkdir()
        save_file(stored, tmp_path / str(seed) / "network_at_w.safetensors")
        expected.append(network.q_values(game, parameters, timesteps.observation.flatten(0, 1)[None])[0])
    control = controls.load("frozen-teacher")[0]
    alone = control.build_control(assigned(game, tmp_path / "0"))
    torch.testing.assert_close(imitator_checks.play(alone, timesteps).flatten(0, 1), expected[0])
    one_a_lane = imitator_checks.play(
        control.build_control(assigned(game, tmp_path / "0", tmp_path / "1")), timesteps
    )
    torch.testing.assert_close(one_a_lane[0], expected[0][:3])
    torch.testing.assert_close(one_a_lane[1], expected[1][3:])


@pytest.mark.parametrize("game_name", GAMES)
def test_default_sizes(game_name):
    game = games.load(game_name)
    for name in ("transformer", "bc"):
        architecture = baselines.load(name)
        config = architecture.config(game)
        assert json.loads(json.dumps(config)) == config
        stored_bytes = sum(
            4 * tensor.numel() for tensor in architecture.build(config, game).state_dict().values()
        )
        assert stored_bytes < 4e6
    transformer = baselines.load("transformer")
    assert transformer.config(game)["layers"] * transformer.config(game)["context_moves"] == 1024
    one_run = transformer.build(transformer.config(game), game).initial_state(1)
    assert states.size_bytes(one_run) < 16 * 2**20  # the smallest state cap of the ranked tables


def test_parameters_come_from_the_seed_alone(darkroom):
    architecture = baselines.load("transformer")
    config = architecture.config(darkroom, **architecture.small)
    before = torch.get_rng_state()
    one, same, other = (architecture.build(config, darkroom, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["decide.weight"], other["decide.weight"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"layer": 2}, "did you mean 'layers'"),
        ({"layers": 0}, "layers: expected at least 1; found 0"),
        ({"layers": 2.0}, "whole number"),
        ({"layers": True}, "whole number"),
        ({"width": "128"}, "found '128'"),
        ({"width": 36, "heads": 4}, "multiple of 2 x heads"),
    ],
)
def test_bad_settings(overrides, message, darkroom):
    with pytest.raises(InputError, match=message):
        baselines.load("transformer").config(darkroom, **overrides)


def test_bad_names(darkroom):
    with pytest.raises(InputError, match="did you mean 'transformer'"):
        baselines.load("transfomer")
    with pytest.raises(InputError, match="is a control"):
        baselines.load("random")
    with pytest.raises(InputError, match="is an architecture"):
        controls.load("bc")
    with pytest.raises(InputError, match="expected the setting 'width', found none"):
        baselines.load("bc").build({}, darkroom)
    with pytest.raises(InputError, match=r"network_at_w\.safetensors"):
        controls.load("frozen-teacher")[0].build_control(assigned(darkroom, Path("/nowhere")))


def test_unknown_observation_is_refused(darkroom):
    with pytest.raises(InputError, match="no encoder for float32 observations"):
        observation_kind(replace(darkroom, observation_dtype="float32", observation_shape=(3,)))


def test_state_files(tmp_path):
    state = {"age": torch.arange(3), "keys_0": torch.arange(12.0).view(3, 2, 2)}
    path = tmp_path / "state.safetensors"
    states.save(state, path)
    once = path.read_bytes()
    states.save(states.load(path), path)
    assert path.read_bytes() == once
    assert states.size_bytes(state) == 3 * 8 + 12 * 4
    path.write_bytes(once[:-4])
    with pytest.raises(InputError, match="not a whole state file"):
        states.load(path)
    with pytest.raises(InputError, match="no such state file"):
        states.load(tmp_path / "none.safetensors")
    torch_file = tmp_path / "other.safetensors"
    save_file(state, torch_file)
    with pytest.raises(InputError, match="expected a state of format"):
        states.load(torch_file)


def test_copy_rows_restores_masked_rows():
    state = {"age": torch.tensor([4, 5, 6]), "cache": torch.tensor([[1.0], [2.0], [3.0]])}
    source = {"age": torch.tensor([0, 0, 0]), "cache": torch.tensor([[7.0], [8.0], [9.0]])}
    found = states.copy_rows(state, source, torch.tensor([True, False, True]))
    assert found["age"].tolist() == [0, 5, 0]
    assert found["cache"].tolist() == [[7.0], [2.0], [9.0]]
    assert source["age"].tolist() == [0, 0, 0]
