"""The kit's device checks: what a model makes elsewhere is found on `meta`; the model stays where it is."""

from __future__ import annotations

import copy

import pytest
import torch
from support.cuda import needs_cuda
from torch import nn

from understudy import baselines
from understudy.suite.errors import CheckFailed
from understudy.suite.testing import device_checks, imitator_checks


class Sound(nn.Module):
    """Values of the previous action, and a count; everything is made on its own device."""

    reach_moves = None

    def __init__(self):
        super().__init__()
        self.values = nn.Parameter(torch.arange(25.0).view(5, 5) / 25)

    def initial_state(self, batch_size):
        return {"age": torch.zeros(batch_size, dtype=torch.int64, device=self.values.device)}

    @torch.no_grad()
    def step(self, timestep, state):
        age = state["age"].masked_fill(timestep.first_of_run, 0)
        return self.logits(timestep.previous_action, age), {"age": age + 1}

    def unroll(self, timesteps, state):
        T = timesteps.first.shape[1]
        age = state["age"].masked_fill(timesteps.first_of_run[:, 0], 0)
        ages = age[:, None] + torch.arange(T, device=age.device)
        return self.logits(timesteps.previous_action, ages), {"age": age + T}

    def logits(self, action, age):
        return self.values[action] + (age % 7).float()[..., None] / 100


class StateOnTheCPU(Sound):
    def initial_state(self, batch_size):
        return {"age": torch.zeros(batch_size, dtype=torch.int64)}


class MixesInStep(Sound):
    def step(self, timestep, state):
        logits, state = super().step(timestep, state)
        return logits + torch.zeros(5), state


class MixesInUnroll(Sound):
    def unroll(self, timesteps, state):
        logits, state = super().unroll(timesteps, state)
        return logits + torch.zeros(5), state


class LogitsOnTheCPU(Sound):
    def step(self, timestep, state):
        logits, state = super().step(timestep, state)
        return torch.zeros(logits.shape), state


class StateOfUnrollOnTheCPU(Sound):
    def unroll(self, timesteps, state):
        logits, state = super().unroll(timesteps, state)
        return logits, {"age": torch.full((len(timesteps.first),), timesteps.first.shape[1])}


class TableOnTheCPU(Sound):
    """A plain tensor is not moved with the module; indexing it by another device's does not raise."""

    def __init__(self):
        super().__init__()
        self.table = torch.arange(25.0).view(5, 5)

    def logits(self, action, age):
        return self.table[action] + 0.0


class ReadsValues(Sound):
    def step(self, timestep, state):
        if bool(timestep.first.any()):
            pass
        return super().step(timestep, state)


class UsesNumpy(Sound):
    def step(self, timestep, state):
        timestep.previous_action.numpy()
        return super().step(timestep, state)


class CannotBeCopied(Sound):
    def __init__(self):
        super().__init__()
        self.cache = self.values * 2  # no leaf: deepcopy refuses it


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (StateOnTheCPU, r"initial_state made 'age' on cpu .* torch.zeros\(\.\.\., device="),
        (
            MixesInStep,
            r"step fails on another device .*test_device_checks.py, line \d+: return logits \+ .*device=",
        ),
        (MixesInUnroll, r"unroll fails on another device .*return logits \+ torch.zeros\(5\).*own device"),
        (LogitsOnTheCPU, r"step made 'logits' on cpu while the module is on meta; make every tensor"),
        (StateOfUnrollOnTheCPU, r"unroll made 'age' on cpu while the module is on meta"),
        (TableOnTheCPU, r"step (made 'logits' on cpu|fails on another device)"),
        (ReadsValues, r"line \d+: if bool\(timestep.first.any\(\)\):\): .*computes_on_host = True"),
        (UsesNumpy, r"step fails on another device .*timestep.previous_action.numpy\(\)"),
        (CannotBeCopied, "it cannot be copied, .*keep tensors as parameters, buffers and state"),
    ],
)
def test_what_is_made_elsewhere_is_found_without_an_accelerator(fault, message, darkroom):
    with pytest.raises(CheckFailed, match=message) as caught:
        imitator_checks.check_imitator(fault(), darkroom)
    assert "\n" not in str(caught.value)


def timesteps_of(game, moves=35):
    return imitator_checks.random_timesteps(game, 3, moves, seed=0)


def test_a_sound_model_passes_and_stays_as_it_is(darkroom):
    model = Sound().train()
    before = copy.deepcopy(model.state_dict())
    imitator_checks.check_imitator(model, darkroom)
    assert model.values.device.type == "cpu"
    assert model.training
    assert torch.equal(model.state_dict()["values"], before["values"])


def test_one_that_computes_on_the_cpu_on_purpose_may_say_so(darkroom):
    reads = ReadsValues()
    reads.computes_on_host = True
    device_checks.check_device(reads, timesteps_of(darkroom))
    wrong = StateOnTheCPU()
    wrong.computes_on_host = True
    with pytest.raises(CheckFailed, match="initial_state made 'age' on cpu"):
        device_checks.check_device(wrong, timesteps_of(darkroom))


def test_what_is_no_module_cannot_be_moved(darkroom):
    with pytest.raises(CheckFailed, match=r"must be a torch.nn.Module, .*found a object"):
        device_checks.check_device(object(), timesteps_of(darkroom))


class Otherwise(Sound):
    """Its copy, with which the check plays, has other weights, as if the device computed otherwise."""

    def __deepcopy__(self, memo):
        other = Sound()
        other.values = nn.Parameter(self.values.detach().flip(1))
        return other


class Counts(Sound):
    calls = 0

    def logits(self, action, age):
        self.calls += 1
        return super().logits(action, age) + 1e-6 * self.calls


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Otherwise, "chooses actions whose logits on the CPU are .* below the highest, more than 0.001"),
        (Counts, "gave other logits the second time on cpu"),
    ],
)
def test_the_checks_of_cuda_find_what_they_are_for(fault, message, darkroom):
    """Played on the CPU in CUDA's place: the checks are the same."""
    device_checks.check_cuda(Sound(), timesteps_of(darkroom), "cpu")
    with pytest.raises(CheckFailed, match=message):
        device_checks.check_cuda(fault(), timesteps_of(darkroom), "cpu")


@needs_cuda
@pytest.mark.parametrize("name", baselines.names())
def test_architectures_act_alike_on_cuda(name, darkroom):
    architecture = baselines.load(name)
    model = architecture.build(architecture.config(darkroom, **getattr(architecture, "small", {})), darkroom)
    device_checks.check_cuda(model.eval(), timesteps_of(darkroom, 131))
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())
