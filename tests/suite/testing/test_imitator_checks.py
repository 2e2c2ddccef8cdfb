"""The kit looks at every answer, not only at the first, and says what to change."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from understudy.suite.errors import CheckFailed
from understudy.suite.protocols import Timestep
from understudy.suite.testing import imitator_checks

AT = 9  # the move at which these players go wrong, when stepped and when unrolled


class Sound(nn.Module):
    """Constant logits and a count, with room for one fault."""

    reach_moves = 1

    def initial_state(self, batch_size):
        return {"age": torch.zeros(batch_size, dtype=torch.int64), "notes": torch.zeros(batch_size, 2)}

    @torch.no_grad()
    def step(self, timestep, state):
        age = state["age"].masked_fill(timestep.first_of_run, 0)
        logits = torch.ones(len(age), 5, device=age.device)
        return self.spoiled("step", age, logits, {"age": age + 1, "notes": state["notes"] + 0})

    def unroll(self, timesteps, state):
        moves = []
        for t in range(timesteps.first.shape[1]):
            logits, state = self.stepped(Timestep(*(field[:, t] for field in timesteps)), state)
            moves.append(logits)
        return torch.stack(moves, 1), state

    def stepped(self, timestep, state):
        age = state["age"].masked_fill(timestep.first_of_run, 0)
        logits = torch.ones(len(age), 5, device=age.device)
        return self.spoiled("unroll", age, logits, {"age": age + 1, "notes": state["notes"] + 0})

    def spoiled(self, by, age, logits, state):
        return logits, state


def faulty(by, change):
    """Return a player that goes wrong at move AT of `step` or of `unroll` only."""

    class Faulty(Sound):
        def spoiled(self, called, age, logits, state):
            if called == by and not age.is_meta and int(age[0]) == AT:
                return change(logits, state)
            return logits, state

    return Faulty()


def filled(value, rows=slice(None), actions=slice(None)):
    def change(logits, state):
        logits[rows, actions] = value
        return logits, state

    return change


def of_notes(change):
    return lambda logits, state: (logits, {**state, "notes": change(state["notes"])})


NUMBERS = {
    "nan": (filled(torch.nan, 2, 3), "nan for action 3 at move 9, row 2"),
    "inf": (filled(torch.inf, 1, 0), "inf for action 0 at move 9, row 1"),
    "minus inf": (filled(-torch.inf, 0, 4), "-inf for action 4 at move 9, row 0"),
    "all minus inf": (filled(-torch.inf, 1), "all actions minus infinity at move 9, row 1"),
}
STATES = {
    "grows": (
        of_notes(lambda notes: notes.repeat(1, 2)),
        r"'notes' was float32 \[3, 2\] on cpu and is float32 \[3, 4\]",
    ),
    "other dtype": (of_notes(torch.Tensor.double), r"and is float64 \[3, 2\] on cpu"),
    "other device": (of_notes(lambda notes: notes.to("meta")), r"and is float32 \[3, 2\] on meta"),
    "fewer rows": (of_notes(lambda notes: notes[:2]), r"and is float32 \[2, 2\]"),
    "lost": (lambda logits, state: (logits, {"age": state["age"]}), "'notes' was .* and is not there"),
    "new": (
        lambda logits, state: (logits, {**state, "log": torch.zeros(3, 1)}),
        r"'log' was not there and is float32 \[3, 1\]",
    ),
    "no tensor": (of_notes(torch.Tensor.tolist), "'notes' was .* and is a list"),
}


@pytest.mark.parametrize("by", ["step", "unroll"])
@pytest.mark.parametrize("fault", NUMBERS)
def test_a_number_that_is_none_is_found_at_any_move(fault, by, darkroom):
    change, found = NUMBERS[fault]
    with pytest.raises(
        CheckFailed, match=f"{by} returned logits that are not finite: {found}; return finite"
    ):
        imitator_checks.check_imitator(faulty(by, change), darkroom)


@pytest.mark.parametrize("fault", STATES)
def test_a_state_of_another_form_is_found_at_any_move(fault, darkroom):
    change, found = STATES[fault]
    with pytest.raises(
        CheckFailed, match=f"step changed the layout of its state at move 9: .*{found}.*; keep"
    ):
        imitator_checks.check_imitator(faulty("step", change), darkroom)


@pytest.mark.parametrize("fault", ["grows", "other dtype", "other device", "lost", "new"])
def test_a_state_of_another_form_is_found_in_unroll(fault, darkroom):
    """There it is seen at the end of the moves, so the last one goes wrong."""
    change, found = STATES[fault]

    class Faulty(Sound):
        def unroll(self, timesteps, state):
            return change(*super().unroll(timesteps, state))

    with pytest.raises(CheckFailed, match=f"unroll changed the layout .* at the moves 0 to 34: .*{found}"):
        imitator_checks.check_imitator(Faulty(), darkroom)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda logits, state: (logits[:, :4], state), r"found float32 \[3, 4\]"),
        (lambda logits, state: (logits[:, None], state), r"found float32 \[3, 1, 5\]"),
        (lambda logits, state: (logits.double(), state), r"found float64 \[3, 5\]"),
        (lambda logits, state: (logits.numpy(), state), "found a ndarray"),
        (lambda logits, state: logits, "must return a pair, logits and state; found a Tensor"),
        (lambda logits, state: (logits, None), "must return its state as a dict; found a NoneType"),
    ],
)
def test_an_answer_of_another_form_is_found_at_any_move_of_step(change, found, darkroom):
    with pytest.raises(CheckFailed, match=f"step .*{found}.* at move 9"):
        imitator_checks.check_imitator(faulty("step", change), darkroom)


def test_logits_of_another_shape_are_found_in_unroll(darkroom):
    class Faulty(Sound):
        def unroll(self, timesteps, state):
            logits, state = super().unroll(timesteps, state)
            return logits.transpose(0, 1), state

    with pytest.raises(
        CheckFailed, match=r"unroll must return logits float32 \[3, 35, 5\]; found .*\[35, 3, 5\]"
    ):
        imitator_checks.check_imitator(Faulty(), darkroom)


def test_missing_methods_are_named(darkroom):
    class Without(nn.Module):
        reach_moves = 1

        def step(self, timestep, state):
            return None

    with pytest.raises(
        CheckFailed, match="no method `initial_state` and no `unroll`; write it as in `Imitator`"
    ):
        imitator_checks.check_imitator(Without(), darkroom)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([torch.zeros(3)], "initial_state must return a flat dict of tensors"),
        ({"age": [0, 0, 0]}, "initial_state must return a flat dict of tensors"),
        ({}, "axis 0 of every tensor of its state must be the batch, 3"),
        ({"age": torch.zeros(())}, "must be the batch, 3"),
        ({"age": torch.zeros(2, 3)}, "must be the batch, 3"),
        ({"age": torch.arange(3)}, "differs from row to row in 'age'; begin every row alike"),
    ],
)
def test_a_state_that_begins_wrong_is_found(state, message, darkroom):
    class Faulty(Sound):
        def initial_state(self, batch_size):
            if isinstance(state, dict) and state and isinstance(state["age"], torch.Tensor):
                return {"age": state["age"][:batch_size]} if state["age"].dim() else state
            return state

    with pytest.raises(CheckFailed, match=message):
        imitator_checks.check_imitator(Faulty(), darkroom)
