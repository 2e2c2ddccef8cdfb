"""Conformance checks of an imitator: the properties that the harness, priming and rechecking rely on.

from understudy.suite.testing.imitator_checks import check_imitator

check_imitator(model, games.load("darkroom/goal-40"))
"""

from __future__ import annotations

import itertools
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from understudy.suite.errors import CheckFailed
from understudy.suite.harness import states
from understudy.suite.protocols import Game, Imitator, State, Timestep

STEP_TOLERANCE = 1e-4  # between step and unroll
BATCH_TOLERANCE = 1e-5  # between batch sizes, whose last bits may differ
OLD_AGE = 10_000_000  # moves; a run's age at the end of the longest budget
LANES = 3
SMALL = {"transformer": {"layers": 2, "context_moves": 6, "width": 16, "heads": 2}}  # settings for tests


def check_imitator(imitator: Imitator, game: Game, seed: int = 0) -> None:
    """Run all checks of an imitator on random timesteps; raise CheckFailed with what is wrong.

    Args:
        imitator: the model. Runs of 4 x its reach + 3 moves are played, of at least 35 and, without a
            bound on its reach, 131.
        game: whose observations and actions are used.
        seed: of the random timesteps.
    """
    reach = checked_reach(imitator)
    moves = 4 * max(reach or 32, 8) + 3
    timesteps = random_timesteps(game, LANES, moves, seed)
    with unchanged_around(imitator), torch.enable_grad():
        check_state(imitator, timesteps)
        check_logits(imitator, game, timesteps)
    with unchanged_around(imitator), torch.no_grad():
        check_repeats(imitator, timesteps)
        check_step_equals_unroll(imitator, timesteps)
        check_causal(imitator, timesteps, seed)
        check_rows_apart(imitator, timesteps, seed)
        check_reset(imitator, timesteps)
        check_copies(imitator, timesteps)
        if reach is not None:
            check_reach(imitator, timesteps, reach, seed)
            check_old_age(imitator, timesteps, reach)


def checked_reach(imitator: Imitator) -> int | None:
    """Return `reach_moves`, after checking that it is there and is a number of moves or None."""
    if not hasattr(imitator, "reach_moves"):
        _fail("it has no attribute `reach_moves`; set the moves that can change the logits, or None")
    reach = imitator.reach_moves
    if reach is not None and (type(reach) is not int or reach < 1):
        _fail(f"reach_moves must be None or a whole number from 1 on; found {reach!r}")
    return reach


def random_timesteps(game: Game, lanes: int, moves: int, seed: int) -> Timestep:
    """Return a run's timesteps [B, T, ...]: uniform observations, legal moves, rewards from -9 to 9."""
    rng = np.random.default_rng(seed)
    shape = (lanes, moves)
    observation = rng.integers(0, game.observation_values, (*shape, *game.observation_shape))
    legal = np.array(game.legal_actions)
    first = rng.random(shape) < 0.1
    first_of_run = np.zeros(shape, dtype=np.bool_)
    first[:, 0] = first_of_run[:, 0] = True
    action = np.where(first_of_run, 0, rng.choice(np.flatnonzero(legal), shape))
    reward = np.where(first_of_run, 0, rng.integers(-9, 10, shape) * (rng.random(shape) < 0.3))
    return Timestep(
        observation=torch.from_numpy(observation.astype(game.observation_dtype)),
        legal_actions=torch.from_numpy(np.broadcast_to(legal, (*shape, len(legal))).copy()),
        previous_action=torch.from_numpy(action.astype(np.int64)),
        previous_reward=torch.from_numpy(reward.astype(np.float32)),
        first=torch.from_numpy(first),
        first_of_run=torch.from_numpy(first_of_run),
    )


@contextmanager
def unchanged_around(imitator: Imitator) -> Iterator[None]:
    """Check that the block changes no parameter, buffer, or global generator of torch, numpy or Python."""
    weights_before = _weights(imitator)
    generators_before = _global_generators()
    yield
    weights_after = _weights(imitator)
    if any(not torch.equal(before, weights_after[name]) for name, before in weights_before.items()):
        _fail("its parameters or buffers changed while it played")
    for name, before in generators_before.items():
        if _global_generators()[name] != before:
            _fail(f"it drew from the global generator of {name}; keep generators in the state")


def check_state(imitator: Imitator, timesteps: Timestep) -> None:
    """Check that the state is a flat dict of tensors, batch first, with constant names, dtypes and shapes."""
    lanes = len(timesteps.first)
    state = imitator.initial_state(lanes)
    layout = _layout(state)
    if not state or any(len(tensor) != lanes for tensor in state.values()):
        _fail(f"axis 0 of every tensor of its state must be the batch, {lanes}; found {layout}")
    if _layout(imitator.initial_state(1)) != layout:
        _fail("its state has another layout at another batch size")
    if any(not torch.equal(tensor, tensor[:1].expand_as(tensor)) for tensor in state.values()):
        _fail("its initial state differs from row to row")
    for name, after in (
        ("step", imitator.step(_at(timesteps, 0), states.clone(state))[1]),
        ("unroll", imitator.unroll(timesteps, states.clone(state))[1]),
    ):
        if _layout(after) != layout:
            _fail(f"{name} changed the layout of its state from {layout} to {_layout(after)}")
        if any(tensor.requires_grad for tensor in after.values()):
            _fail(f"the state after {name} keeps a gradient; detach it")


def check_logits(imitator: Imitator, game: Game, timesteps: Timestep) -> None:
    """Check that logits are finite float32 [B, A] or [B, T, A], and those of step have no gradient."""
    B, T = timesteps.first.shape
    stepped, _ = imitator.step(_at(timesteps, 0), imitator.initial_state(B))
    unrolled, _ = imitator.unroll(timesteps, imitator.initial_state(B))
    extreme = timesteps._replace(previous_reward=timesteps.previous_reward * 1e6)
    unrolled_extreme, _ = imitator.unroll(extreme, imitator.initial_state(B))
    for name, logits, shape in (
        ("step", stepped, (B, game.num_actions)),
        ("unroll", unrolled, (B, T, game.num_actions)),
        ("unroll with rewards of millions", unrolled_extreme, (B, T, game.num_actions)),
    ):
        if logits.shape != shape or logits.dtype != torch.float32:
            _fail(f"{name} must return float32 {shape}; found {logits.dtype} {tuple(logits.shape)}")
        if not bool(torch.isfinite(logits).all()):
            _fail(f"{name} returned logits that are not finite")
    if stepped.requires_grad:
        _fail("the logits of step keep a gradient; compute them without")


def check_repeats(imitator: Imitator, timesteps: Timestep) -> None:
    """Check that the same timesteps from the same state give the same bits."""
    one, other = play(imitator, timesteps), play(imitator, timesteps)
    if not torch.equal(one, other):
        _fail("the same timesteps gave other logits the second time: something outside the state changed")


def check_step_equals_unroll(imitator: Imitator, timesteps: Timestep) -> None:
    """Check that step, unroll, and unroll in slices give the same logits, in young and old runs."""
    B, T = timesteps.first.shape
    cuts = [0, 1, 2, T // 7 + 3, T // 2, T - 1, T]
    later = timesteps._replace(first_of_run=torch.zeros_like(timesteps.first_of_run))
    for age, run in ((0, timesteps), (OLD_AGE, later)):
        state = _initial_state(imitator, B, age)
        if age and "age" not in state:
            continue
        stepped = play(imitator, run, state)
        unrolled, _ = imitator.unroll(run, states.clone(state))
        _near(stepped, unrolled, STEP_TOLERANCE, f"step and unroll differ (age {age})")
        sliced = play_in_slices(imitator, run, state, cuts)
        _near(stepped, sliced, STEP_TOLERANCE, f"step and unroll in slices differ (age {age})")


def check_causal(imitator: Imitator, timesteps: Timestep, seed: int) -> None:
    """Check that later timesteps change no earlier logits of unroll."""
    B, T = timesteps.first.shape
    expected, _ = imitator.unroll(timesteps, imitator.initial_state(B))
    for t in (1, T // 2, T - 1):
        changed = _spoiled(timesteps, seed, moves=slice(t, T))
        found, _ = imitator.unroll(changed, imitator.initial_state(B))
        _near(
            expected[:, :t],
            found[:, :t],
            BATCH_TOLERANCE,
            f"timesteps from move {t} on change earlier logits",
        )


def check_rows_apart(imitator: Imitator, timesteps: Timestep, seed: int) -> None:
    """Check that other rows' contents change nothing in a row, bit for bit, in step and in unroll."""
    B = len(timesteps.first)
    expected_steps = play(imitator, timesteps)
    expected_unroll, _ = imitator.unroll(timesteps, imitator.initial_state(B))
    for row in (0, B - 1):
        others = torch.arange(B) != row
        changed = _spoiled(timesteps, seed, rows=others)
        found, _ = imitator.unroll(changed, imitator.initial_state(B))
        if not torch.equal(play(imitator, changed)[row], expected_steps[row]):
            _fail(f"step: the content of other rows changes row {row}")
        if not torch.equal(found[row], expected_unroll[row]):
            _fail(f"unroll: the content of other rows changes row {row}")


def check_reset(imitator: Imitator, timesteps: Timestep) -> None:
    """Check that first_of_run resets a row completely, and leaves the other rows unchanged."""
    B, T = timesteps.first.shape
    expected = play(imitator, timesteps)
    _, used = imitator.unroll(_spoiled(timesteps, seed=1), imitator.initial_state(B))
    unrolled, _ = imitator.unroll(timesteps, states.clone(used))
    _near(
        expected,
        play(imitator, timesteps, used),
        STEP_TOLERANCE,
        "step: first_of_run does not reset the state",
    )
    _near(expected, unrolled, STEP_TOLERANCE, "unroll: first_of_run does not reset the state")
    t = T // 2
    restarted = timesteps._replace(first_of_run=timesteps.first_of_run.clone())
    restarted.first_of_run[1, t] = True
    found = play(imitator, restarted)
    fresh = play(imitator, Timestep(*(field[:, t:] for field in restarted)))
    _near(found[1, t:], fresh[1], STEP_TOLERANCE, f"step: a run that begins at move {t} is not a new one")
    if not torch.equal(found[[0, 2]], expected[[0, 2]]):
        _fail("step: a run that begins in one row changes other rows")


def check_copies(imitator: Imitator, timesteps: Timestep) -> None:
    """Check that clones, stored states and rows taken from a state continue like the original."""
    B, T = timesteps.first.shape
    first_half, second_half = (
        Timestep(*(f[:, cut] for f in timesteps)) for cut in (slice(T // 2), slice(T // 2, T))
    )
    _, state = imitator.unroll(first_half, imitator.initial_state(B))
    expected = play(imitator, second_half, state)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.safetensors"
        states.save(state, path)
        restored = states.load(path)
    if not torch.equal(play(imitator, second_half, restored), expected):
        _fail("a state that was stored and read back continues differently; it must hold all that changes")
    for rows in ([2, 0, 1], [1], [0, 0, 1, 1, 2, 2]):
        found = play(imitator, Timestep(*(field[rows] for field in second_half)), states.take(state, rows))
        _near(expected[rows], found, BATCH_TOLERANCE, f"rows {rows} taken from a state continue differently")


def check_reach(imitator: Imitator, timesteps: Timestep, reach: int, seed: int) -> None:
    """Check that moves further back than `reach` change nothing."""
    B, T = timesteps.first.shape
    expected, _ = imitator.unroll(timesteps, imitator.initial_state(B))
    found, _ = imitator.unroll(
        _spoiled(timesteps, seed, moves=slice(0, T - reach)), imitator.initial_state(B)
    )
    _near(expected[:, -1], found[:, -1], BATCH_TOLERANCE, f"moves before the last {reach} change the logits")


def check_old_age(imitator: Imitator, timesteps: Timestep, reach: int) -> None:
    """Check that the age of a run, up to ten million moves, does not matter beyond the moves in reach."""
    B = len(timesteps.first)
    later = timesteps._replace(first_of_run=torch.zeros_like(timesteps.first_of_run))
    young = play(imitator, later, _initial_state(imitator, B, 0))
    for age in (OLD_AGE, OLD_AGE + 1):
        old = play(imitator, later, _initial_state(imitator, B, age))
        _near(young[:, reach:], old[:, reach:], STEP_TOLERANCE, f"a run of age {age} plays differently")


def play(imitator: Imitator, timesteps: Timestep, state: State | None = None) -> Tensor:
    """Return the logits [B, T, A] of `step`, move by move; `state` is not changed."""
    B, T = timesteps.first.shape
    state = imitator.initial_state(B) if state is None else states.clone(state)
    moves = []
    for t in range(T):
        logits, state = imitator.step(_at(timesteps, t), state)
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
                logits, state = imitator.step(_at(part, t), state)
                parts.append(logits.clone()[:, None])
        else:
            logits, state = imitator.unroll(part, state)
            parts.append(logits)
    return torch.cat(parts, dim=1)


def _initial_state(imitator: Imitator, lanes: int, age: int) -> State:
    state = imitator.initial_state(lanes)
    if "age" in state:
        state["age"] = state["age"] + age
    return state


def _at(timesteps: Timestep, t: int) -> Timestep:
    return Timestep(*(field[:, t] for field in timesteps))


def _spoiled(
    timesteps: Timestep, seed: int, rows: Tensor | slice = slice(None), moves: slice = slice(None)
) -> Timestep:
    """Return a copy with other contents in the given rows and moves; `first_of_run` stays."""
    rng = np.random.default_rng(seed + 1)
    order = torch.from_numpy(rng.permutation(timesteps.first.shape[1]))
    spoiled = []
    for name, field in zip(Timestep._fields, timesteps, strict=True):
        copy = field.clone()
        if name not in ("legal_actions", "first_of_run"):
            copy[rows, moves] = field.roll(1, 0)[:, order][rows, moves]
        spoiled.append(copy)
    return Timestep(*spoiled)


def _layout(state: State) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (str(tensor.dtype), tuple(tensor.shape[1:])) for name, tensor in state.items()}


def _weights(imitator: Imitator) -> dict[str, Tensor]:
    if not isinstance(imitator, nn.Module):
        return {}
    named = [*imitator.named_parameters(), *imitator.named_buffers()]
    return {name: tensor.detach().clone() for name, tensor in named}


def _global_generators() -> dict[str, bytes]:
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": repr(np.random.get_state()).encode(),  # noqa: NPY002 - read to see that it doesn't change
        "random": repr(random.getstate()).encode(),
    }


def _near(expected: Tensor, found: Tensor, tolerance: float, message: str) -> None:
    difference = (expected.double() - found.double()).abs()
    worst = float(difference.max()) if difference.numel() else 0.0
    if not worst <= tolerance:
        _fail(f"{message}: logits differ by {worst:.3g}, the tolerance is {tolerance:g}")


def _fail(message: str) -> None:
    raise CheckFailed(f"imitator: {message}")
