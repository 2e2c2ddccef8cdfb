"""Conformance checks of an imitator: the properties that the harness, priming and rechecking rely on.

from understudy.suite.testing.imitator_checks import check_imitator

check_imitator(model, games.load("darkroom/goal-40"))
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from understudy.suite import devices
from understudy.suite.harness import states
from understudy.suite.protocols import Game, Imitator, State, Timestep
from understudy.suite.testing import answers
from understudy.suite.testing.answers import at, fail, near, play, play_in_slices
from understudy.suite.testing.device_checks import check_cuda, check_device

STEP_TOLERANCE = 1e-4  # between step and unroll
BATCH_TOLERANCE = 1e-5  # between batch sizes, whose last bits may differ
OLD_AGE = 10_000_000  # moves; a run's age at the end of the longest budget
LANES = 3
METHODS = ("initial_state", "step", "unroll")
BOTH = "compute the same for a move in both"
ROWS = "compute each row from itself alone: no mean, norm or maximum over axis 0"
RESET = "where first_of_run, act as from initial_state, e.g. state.masked_fill(first_of_run, 0)"
AGES = "keep counters in int64, and positions relative to the present move"


@devices.threads(1)
def check_imitator(imitator: Imitator, game: Game, seed: int = 0) -> None:
    """Run all checks of an imitator on random timesteps; raise CheckFailed with what is wrong.

    Args:
        imitator: the model. Runs of 4 x its reach + 3 moves are played, of at least 35 and, without a
            bound on its reach, 131.
        game: whose observations and actions are used.
        seed: of the random timesteps.
    """
    reach = checked_reach(imitator)
    check_methods(imitator)
    moves = 4 * max(reach or 32, 8) + 3
    timesteps = random_timesteps(game, LANES, moves, seed)
    with unchanged_around(imitator), torch.enable_grad():
        check_state(imitator, timesteps)
        check_logits(imitator, game, timesteps)
    with unchanged_around(imitator):
        check_device(imitator, timesteps)
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
    if torch.cuda.is_available():
        check_cuda(imitator, timesteps)


def check_methods(imitator: Imitator) -> None:
    """Check that the imitator has the methods with which it is played."""
    missing = [name for name in METHODS if not callable(getattr(imitator, name, None))]
    if missing:
        fail(
            f"it has no method {' and no '.join(f'`{name}`' for name in missing)}; write it as in "
            "`Imitator` of suite/protocols.py"
        )


def checked_reach(imitator: Imitator) -> int | None:
    """Return `reach_moves`, after checking that it is there and is a number of moves or None."""
    if not hasattr(imitator, "reach_moves"):
        fail("it has no attribute `reach_moves`; set the moves that can change the logits, or None")
    reach = imitator.reach_moves
    if reach is not None and (type(reach) is not int or reach < 1):
        fail(f"reach_moves must be None or a whole number from 1 on; found {reach!r}")
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
        fail("its parameters or buffers changed while it played; keep what changes in the state")
    for name, before in generators_before.items():
        if _global_generators()[name] != before:
            fail(f"it drew from the global generator of {name}; keep generators in the state")


def check_state(imitator: Imitator, timesteps: Timestep) -> None:
    """Check that the state is a flat dict of tensors, batch first, with constant names, dtypes and shapes."""
    lanes = len(timesteps.first)
    state = imitator.initial_state(lanes)
    if type(state) is not dict or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        fail("initial_state must return a flat dict of tensors by name; put nothing else into it")
    layout = _layout(state)
    if not state or any(tensor.dim() == 0 or len(tensor) != lanes for tensor in state.values()):
        fail(
            f"axis 0 of every tensor of its state must be the batch, {lanes}; found {layout}; keep one row a "
            "run, and with nothing to remember a count of moves, torch.zeros(batch_size)"
        )
    if _layout(imitator.initial_state(1)) != layout:
        fail(
            f"its state has another layout at another batch size, {_layout(imitator.initial_state(1))} "
            f"instead of {layout}; only axis 0 may depend on it"
        )
    differing = [n for n, tensor in state.items() if not torch.equal(tensor, tensor[:1].expand_as(tensor))]
    if differing:
        fail(f"its initial state differs from row to row in {differing[0]!r}; begin every row alike")
    for t in range(timesteps.first.shape[1]):
        _, state = answers.step(imitator, at(timesteps, t), state, t)
    answers.unroll(imitator, timesteps, imitator.initial_state(lanes))


def check_logits(imitator: Imitator, game: Game, timesteps: Timestep) -> None:
    """Check that logits are finite float32 [B, A] or [B, T, A], and those of step have no gradient."""
    B = len(timesteps.first)
    assert timesteps.legal_actions.shape[-1] == game.num_actions
    stepped = play(imitator, timesteps)
    if stepped.requires_grad:
        fail("the logits of step keep a gradient; compute them without, e.g. under @torch.no_grad()")
    extreme = timesteps._replace(previous_reward=timesteps.previous_reward * 1e6)
    answers.unroll(imitator, timesteps, imitator.initial_state(B))
    answers.unroll(imitator, extreme, imitator.initial_state(B), "unroll with rewards of millions")


def check_repeats(imitator: Imitator, timesteps: Timestep) -> None:
    """Check that the same timesteps from the same state give the same bits."""
    one, other = play(imitator, timesteps), play(imitator, timesteps)
    if not torch.equal(one, other):
        fail(
            "the same timesteps gave other logits the second time: something outside the state changed; keep "
            "what changes in the state, and draw nothing"
        )


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
        unrolled, _ = answers.unroll(imitator, run, states.clone(state))
        near(stepped, unrolled, STEP_TOLERANCE, f"step and unroll differ (age {age})", BOTH)
        sliced = play_in_slices(imitator, run, state, cuts)
        near(stepped, sliced, STEP_TOLERANCE, f"step and unroll in slices differ (age {age})", BOTH)


def check_causal(imitator: Imitator, timesteps: Timestep, seed: int) -> None:
    """Check that later timesteps change no earlier logits of unroll."""
    B, T = timesteps.first.shape
    expected, _ = answers.unroll(imitator, timesteps, imitator.initial_state(B))
    for t in (1, T // 2, T - 1):
        changed = _spoiled(timesteps, seed, moves=slice(t, T))
        found, _ = answers.unroll(imitator, changed, imitator.initial_state(B))
        near(
            expected[:, :t],
            found[:, :t],
            BATCH_TOLERANCE,
            f"timesteps from move {t} on change earlier logits",
            "let each move depend on itself and on earlier ones alone",
        )


def check_rows_apart(imitator: Imitator, timesteps: Timestep, seed: int) -> None:
    """Check that other rows' contents change nothing in a row, bit for bit, in step and in unroll."""
    B = len(timesteps.first)
    expected_steps = play(imitator, timesteps)
    expected_unroll, _ = answers.unroll(imitator, timesteps, imitator.initial_state(B))
    for row in (0, B - 1):
        others = torch.arange(B) != row
        changed = _spoiled(timesteps, seed, rows=others)
        found, _ = answers.unroll(imitator, changed, imitator.initial_state(B))
        if not torch.equal(play(imitator, changed)[row], expected_steps[row]):
            fail(f"step: the content of other rows changes row {row}; {ROWS}")
        if not torch.equal(found[row], expected_unroll[row]):
            fail(f"unroll: the content of other rows changes row {row}; {ROWS}")


def check_reset(imitator: Imitator, timesteps: Timestep) -> None:
    """Check that first_of_run resets a row completely, and leaves the other rows unchanged."""
    B, T = timesteps.first.shape
    expected = play(imitator, timesteps)
    _, used = answers.unroll(imitator, _spoiled(timesteps, seed=1), imitator.initial_state(B))
    unrolled, _ = answers.unroll(imitator, timesteps, states.clone(used))
    near(
        expected,
        play(imitator, timesteps, used),
        STEP_TOLERANCE,
        "step: first_of_run does not reset the state",
        RESET,
    )
    near(expected, unrolled, STEP_TOLERANCE, "unroll: first_of_run does not reset the state", RESET)
    t = T // 2
    restarted = timesteps._replace(first_of_run=timesteps.first_of_run.clone())
    restarted.first_of_run[1, t] = True
    found = play(imitator, restarted)
    fresh = play(imitator, Timestep(*(field[:, t:] for field in restarted)))
    near(
        found[1, t:], fresh[1], STEP_TOLERANCE, f"step: a run that begins at move {t} is not a new one", RESET
    )
    if not torch.equal(found[[0, 2]], expected[[0, 2]]):
        fail(f"step: a run that begins in one row changes other rows; {ROWS}")


def check_copies(imitator: Imitator, timesteps: Timestep) -> None:
    """Check that clones, stored states and rows taken from a state continue like the original."""
    B, T = timesteps.first.shape
    first_half, second_half = (
        Timestep(*(f[:, cut] for f in timesteps)) for cut in (slice(T // 2), slice(T // 2, T))
    )
    _, state = answers.unroll(imitator, first_half, imitator.initial_state(B))
    expected = play(imitator, second_half, state)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.safetensors"
        states.save(state, path)
        restored = states.load(path)
    if not torch.equal(play(imitator, second_half, restored), expected):
        fail("a state that was stored and read back continues differently; it must hold all that changes")
    for rows in ([2, 0, 1], [1], [0, 0, 1, 1, 2, 2]):
        found = play(imitator, Timestep(*(field[rows] for field in second_half)), states.take(state, rows))
        near(
            expected[rows],
            found,
            BATCH_TOLERANCE,
            f"rows {rows} taken from a state continue differently",
            "keep in each row all that its run needs",
        )


def check_reach(imitator: Imitator, timesteps: Timestep, reach: int, seed: int) -> None:
    """Check that moves further back than `reach` change nothing."""
    B, T = timesteps.first.shape
    expected, _ = answers.unroll(imitator, timesteps, imitator.initial_state(B))
    changed = _spoiled(timesteps, seed, moves=slice(0, T - reach))
    found, _ = answers.unroll(imitator, changed, imitator.initial_state(B))
    near(
        expected[:, -1],
        found[:, -1],
        BATCH_TOLERANCE,
        f"moves before the last {reach} change the logits",
        "set reach_moves to the moves that can, or to None without a bound",
    )


def check_old_age(imitator: Imitator, timesteps: Timestep, reach: int) -> None:
    """Check that the age of a run, up to ten million moves, does not matter beyond the moves in reach."""
    B = len(timesteps.first)
    later = timesteps._replace(first_of_run=torch.zeros_like(timesteps.first_of_run))
    young = play(imitator, later, _initial_state(imitator, B, 0))
    for age in (OLD_AGE, OLD_AGE + 1):
        old = play(imitator, later, _initial_state(imitator, B, age))
        near(young[:, reach:], old[:, reach:], STEP_TOLERANCE, f"a run of age {age} plays differently", AGES)


def _initial_state(imitator: Imitator, lanes: int, age: int) -> State:
    state = imitator.initial_state(lanes)
    if "age" in state:
        state["age"] = state["age"] + age
    return state


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
