"""Players that answer otherwise than declared at one move, and what is said about it."""

from __future__ import annotations

import torch
from torch import nn

from support import darkroom_jobs

LANES = len(darkroom_jobs.GOALS)
AT = 37  # the move at which most of these players go wrong


class Counter(nn.Module):
    """Moves right and counts its moves; `changed` may change an answer, given the number of its move."""

    def __init__(self, changed=lambda logits, state, move: (logits, state)):
        super().__init__()
        self.changed = changed

    def initial_state(self, batch_size):
        return {"age": torch.zeros(batch_size, dtype=torch.int64), "seen": torch.zeros(batch_size, 4)}

    def step(self, timestep, state):
        logits = torch.zeros(len(timestep.first), 5)
        logits[:, 4] = 1.0
        following = {"age": state["age"] + 1, "seen": state["seen"] + 0.0}
        return self.changed(logits, following, int(state["age"][0]))

    def unroll(self, timesteps, state):
        T = timesteps.first.shape[1]
        answers = []
        for t in range(T):
            logits, state = self.step(type(timesteps)(*(column[:, t] for column in timesteps)), state)
            answers.append(logits)
        return torch.stack(answers, dim=1), state


class Wrapped(torch.Tensor):
    """A tensor of another class."""


def at(move, change):
    """Return a `changed` that applies `change` to logits and state at one move only."""
    return lambda logits, state, now: change(logits, state) if now == move else (logits, state)


def number(value, lane=2, action=3):
    def change(logits, state):
        logits[lane, action] = value
        return logits, state

    return change


def of_logits(change):
    return lambda logits, state: (change(logits), state)


def of_seen(change):
    return lambda logits, state: (logits, {**state, "seen": change(state["seen"])})


def with_gradient(tensor):
    with torch.inference_mode(False), torch.enable_grad():
        return tensor.clone() * torch.ones((), requires_grad=True)


LOGITS = r"expected logits float32 \[3, 5\] on cpu; found "
SEEN = r"expected a state with float32 \[3, 4\] on cpu under the name 'seen'; found "
FAULTS = {
    "nan": (number(torch.nan), r"lane 2 \(darkroom/goal-14\), .* finite logits; found nan for action 3"),
    "inf": (number(torch.inf, lane=0), r"lane 0 \(darkroom/goal-00\), .* found inf for action 3"),
    "minus inf": (number(-torch.inf, 1, 0), r"lane 1 \(darkroom/goal-07\), .* found -inf for action 0"),
    "float64 logits": (of_logits(torch.Tensor.double), LOGITS + r"float64 \[3, 5\] on cpu"),
    "half logits": (of_logits(torch.Tensor.half), LOGITS + "float16"),
    "wide logits": (of_logits(lambda logits: logits.repeat(1, 2)), LOGITS + r"float32 \[3, 10\]"),
    "logits of one lane": (of_logits(lambda logits: logits[:1]), LOGITS + r"float32 \[1, 5\]"),
    "logits of a time step": (of_logits(lambda logits: logits[:, None]), LOGITS + r"float32 \[3, 1, 5\]"),
    "logits elsewhere": (of_logits(lambda logits: logits.to("meta")), LOGITS + r"float32 \[3, 5\] on meta"),
    "logits of a class": (of_logits(lambda logits: logits.as_subclass(Wrapped)), LOGITS + ".*class Wrapped"),
    "sparse logits": (of_logits(torch.Tensor.to_sparse), LOGITS + ".*layout torch.sparse_coo"),
    "logits with a gradient": (of_logits(with_gradient), LOGITS + ".*with a gradient"),
    "array": (of_logits(lambda logits: logits.numpy()), LOGITS + "a ndarray"),
    "no state": (lambda logits, state: logits, "a pair of logits and state; found a Tensor"),
    "state is None": (lambda logits, state: (logits, None), "a dict of tensors; found a NoneType"),
    "state is a list": (
        lambda logits, state: (logits, [*state.values()]),
        "expected a state with a dict of tensors; found a list",
    ),
    "growing state": (of_seen(lambda seen: seen.repeat(1, 3)), SEEN + r"float32 \[3, 12\] on cpu"),
    "other dtype": (of_seen(torch.Tensor.double), SEEN + r"float64 \[3, 4\] on cpu"),
    "state elsewhere": (of_seen(lambda seen: seen.to("meta")), SEEN + r"float32 \[3, 4\] on meta"),
    "state of a class": (of_seen(lambda seen: seen.as_subclass(Wrapped)), SEEN + ".*the class Wrapped"),
    "sparse state": (of_seen(torch.Tensor.to_sparse), SEEN + ".*layout torch.sparse_coo"),
    "state with a gradient": (of_seen(with_gradient), SEEN + ".*with a gradient"),
    "list in the state": (of_seen(torch.Tensor.tolist), SEEN + "a list"),
    "new tensor": (
        lambda logits, state: (logits, {**state, "notes": torch.zeros(LANES, 1)}),
        r"no tensor under the name 'notes'; found float32 \[3, 1\] on cpu",
    ),
    "lost tensor": (lambda logits, state: (logits, {"age": state["age"]}), SEEN + "none"),
}
