"""Answers of an imitator that is checked: each has the declared form, or CheckFailed says what to change."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor

from understudy.suite.errors import CheckFailed
from understudy.suite.harness import states
from understudy.suite.protocols import Imitator, State, Timestep

FINITE = "return finite numbers at every move, also for illegal actions, which the harness masks"


def play(imitator: Imitator, timesteps: Timestep, state: State | None = None) -> Tensor:
    """Return the logits [B, T, A] of `step`, move by move; `state` is not changed."""
    B, T = timesteps.first.shape
    state = imitator.initial_state(B) if state is None else states.clone(state)
    moves = []
    for t in range(T):
        logits, state = step(imitator, at(timesteps, t), state, t)
        moves.append(logits.clone())
    return torch.stack(moves, dim=1)


def play_in_slices(imitator: Imitator, timesteps: Timestep, state: State, cuts: Sequence[int]) -> Tensor:
    """Return the logits [B, T, A] of slices from cut to cut, by `unroll` and `step` in turn."""
    state = states.clone(state)
    parts = []
    for i, (start, stop) in enumerate(itertools.pairwise(cuts)):
        part = Timestep(*(field[:, start:stop] for field in timesteps))
        if i % 2:
            for t in range(stop - start):
                logits, state = step(imitator, at(part, t), state, start + t)
                parts.append(logits.clone()[:, None])
        else:
            logits, state = unroll(imitator, part, state, first_move=start)
            parts.append(logits)
    return torch.cat(parts, dim=1)


def step(imitator: Imitator, timestep: Timestep, state: State, move: int) -> tuple[Tensor, State]:
    """Return logits [B, A] and state of `step`, after checking their form; CheckFailed names the move."""
    begun = _forms(state)
    answer = imitator.step(timestep, state)
    return _checked(answer, tuple(timestep.legal_actions.shape), begun, "step", move)


def unroll(
    imitator: Imitator, timesteps: Timestep, state: State, name: str = "unroll", first_move: int = 0
) -> tuple[Tensor, State]:
    """Return logits [B, T, A] and state of `unroll`, after checking their form; CheckFailed names moves."""
    begun = _forms(state)
    answer = imitator.unroll(timesteps, state)
    return _checked(answer, tuple(timesteps.legal_actions.shape), begun, name, first_move)


def _checked(
    answer: Any, shape: tuple[int, ...], begun: dict[str, str], name: str, first_move: int
) -> tuple[Tensor, State]:
    """Return the parts of an answer of the declared form: what playing asks for at every move."""
    moves = shape[1] if len(shape) == 3 else 1
    when = f"at move {first_move}" if moves == 1 else f"at the moves {first_move} to {first_move + moves - 1}"
    if not isinstance(answer, tuple) or len(answer) != 2:
        fail(f"{name} must return a pair, logits and state; found a {type(answer).__name__} {when}")
    logits, state = answer
    wanted = f"float32 {list(shape)}"
    if not isinstance(logits, Tensor) or logits.shape != shape or logits.dtype != torch.float32:
        fail(f"{name} must return logits {wanted}; found {_form(logits)} {when}; return one number an action")
    if not logits.is_meta and not bool(torch.isfinite(logits).all()):
        fail(f"{name} returned logits that are not finite: {_first_not_finite(logits, first_move)}; {FINITE}")
    if type(state) is not dict:
        fail(f"{name} must return its state as a dict; found a {type(state).__name__} {when}")
    found = _forms(state)
    if found != begun:
        fail(
            f"{name} changed the layout of its state {when}: {_difference(begun, found)}; keep names, "
            "dtypes, shapes and device as initial_state makes them; overwrite the oldest, grow nothing"
        )
    if any(tensor.requires_grad for tensor in state.values()):
        fail(f"the state after {name} keeps a gradient {when}; detach it")
    return logits, state


def _first_not_finite(logits: Tensor, first_move: int) -> str:
    """Return the first move, row and value of logits [B, A] or [B, T, A] that are not finite."""
    by_move = logits.detach().cpu() if logits.dim() == 3 else logits.detach().cpu()[:, None]
    t, row, action = min((t, b, a) for b, t, a in (~torch.isfinite(by_move)).nonzero().tolist())
    where = f"move {first_move + t}, row {row}"
    if bool((by_move[row, t] == -torch.inf).all()):
        return f"all actions minus infinity at {where}"
    return f"{float(by_move[row, t, action])} for action {action} at {where}"


def _forms(state: State) -> dict[str, str]:
    return {name: _form(tensor) for name, tensor in state.items()}


def _form(found: Any) -> str:
    """Return dtype, shape and device of a tensor, or the type of anything else."""
    if not isinstance(found, Tensor):
        return f"a {type(found).__name__}"
    return f"{str(found.dtype).removeprefix('torch.')} {list(found.shape)} on {found.device}"


def _difference(begun: dict[str, str], found: dict[str, str]) -> str:
    """Return the first name under which two layouts differ, and how."""
    for name in sorted({*begun, *found}, key=str):
        if begun.get(name) != found.get(name):
            return f"{name!r} was {begun.get(name, 'not there')} and is {found.get(name, 'not there')}"
    raise AssertionError("equal layouts")


def at(timesteps: Timestep, t: int) -> Timestep:
    """Return move t [B, ...] of timesteps [B, T, ...]."""
    return Timestep(*(field[:, t] for field in timesteps))


def near(expected: Tensor, found: Tensor, tolerance: float, message: str, advice: str) -> None:
    """Raise CheckFailed if logits differ by more than the tolerance; `advice` says what to change."""
    difference = (expected.double() - found.double()).abs()
    worst = float(difference.max()) if difference.numel() else 0.0
    if not worst <= tolerance:
        fail(f"{message}: logits differ by {worst:.3g}, the tolerance is {tolerance:g}; {advice}")


def fail(message: str) -> NoReturn:
    """Raise CheckFailed of an imitator."""
    raise CheckFailed(f"imitator: {message}")
