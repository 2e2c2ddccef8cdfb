"""The DQN controls: with their state they learn the same as the teachers' code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support import short_teachers

from understudy.baselines import controls
from understudy.baselines.controls import Assignment, injected
from understudy.baselines.controls.in_state import flat_networks, in_state_dqn
from understudy.baselines.controls.in_state.in_state_dqn import InStateDQN
from understudy.baselines.controls.in_state.in_state_memory import RingMemory
from understudy.baselines.controls.in_state.snapshots import Snapshot
from understudy.suite import games
from understudy.suite.errors import InputError
from understudy.suite.harness import states
from understudy.suite.histories import history_format
from understudy.suite.histories.frame_store import open_store
from understudy.suite.histories.timesteps import timesteps
from understudy.suite.io import file_names
from understudy.suite.protocols import Timestep
from understudy.suite.teachers import (
    dqn,
    network,
    recompute,
    recomputed,
    train_teacher,
)
from understudy.suite.teachers.replay_memory import ReplayMemory
from understudy.suite.testing import imitator_checks

W, MOVES = short_teachers.WATCHED_MOVES, short_teachers.MOVES
GAMES = ("darkroom/goal-40", "minatar/breakout", "atari/breakout")
CAPPED = replace(
    dqn.SETTINGS["darkroom"], learning_starts=50, exploration_moves=100, target_every=40, memory_moves=90
)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of short runs by game; the one of `darkroom/goal-41` has capped moves and a full memory."""
    found = {name: short_teachers.short_run(name, tmp_path_factory.mktemp("runs")) for name in GAMES}
    training = train_teacher.TeacherTraining(("darkroom/goal-41",), (0,), W, 100, CAPPED)
    (path,) = train_teacher.train(training, tmp_path_factory.mktemp("runs"), 250)
    return {**found, "darkroom/goal-41": path.parent}


def assigned(game_name, *lanes, moves=MOVES - W, on_new_game=False, variant=""):
    new = lanes if on_new_game else (None,) * len(lanes)
    return Assignment(games.load(game_name), W, moves, on_new_game, lanes, new, variant)


def build(name, assignment):
    return controls.load(name)[0].build_control(assignment)


def test_building_a_player_reports_the_progress_of_recomputing(folders):
    name, reported = "darkroom/goal-40", []
    recomputed._known.clear()
    assignment = replace(
        assigned(name, folders[name]), report=lambda done, total: reported.append((done, total))
    )
    build("dqn-continued", assignment)
    assert reported == [(move, W) for move in range(1, W + 1)]


def logged_timesteps(folder, start, stop):
    history = recomputed.history_of(folder)
    return timesteps(history, open_store(history, start, stop), start, stop)


@pytest.mark.parametrize("name", [*GAMES, "darkroom/goal-41"])
def test_teacher_forced_it_learns_as_its_teacher(name, folders):
    """From the teacher's initial network, seed and log it computes the networks that `recompute` does."""
    history = recomputed.history_of(folders[name])
    game, settings = games.load(name), recompute.settings_of([history])
    seed, last = recompute.run_seed(history), history.num_moves - 2
    initial = Snapshot(flat_networks.initial(game, seed), updates=0, age=0)
    player = InStateDQN(game, settings, min(settings.memory_moves, last), [initial], [0], [seed])
    state, reached = player.initial_state(1), 0
    for move, (learned,) in recompute.checkpoints([history], [W, last]):
        _, state = player.unroll(logged_timesteps(folders[name], reached, move + 1), state)
        reached = move + 1
        expected = flat_networks.flattened(learned, game)
        for key, tensor in expected.items():
            torch.testing.assert_close(state[key][0], tensor, atol=1e-5, rtol=0)
        assert int(state["updates"][0]) == flat_networks.updates_of(learned)
    assert float((expected["network"] - initial.learned["network"]).abs().max()) > 1e-4


@pytest.mark.parametrize("name", GAMES)
def test_its_memory_draws_the_same_as_the_teachers(name):
    """With wrapped ring buffers, episodes ended by the game or the cap, and rows of different ages."""
    game = replace(games.load(name), episode_cap_moves=6)
    rng = np.random.default_rng(0)
    capacity, moves = 37, 120
    ours, theirs = RingMemory(game, capacity), ReplayMemory(game, 2, capacity)
    state = ours.empty(3)  # the runs are rows 2 and 0; row 1 is 11 moves younger and sees run 0's again
    rows, ages = np.array([2, 0]), np.array([0, -11, 0])
    in_episode, first = np.zeros(2, int), np.ones(2, bool)
    for move in range(moves + 1):
        shape = (2, *game.observation_shape)
        observation = rng.integers(0, game.observation_values, shape).astype(game.observation_dtype)
        theirs.see(game.newest_frame(observation), first)
        seen = observation[[1, 0, 0]]
        ours.see(state, ages + move, seen, first[[1, 0, 0]])
        if move == moves:
            break
        in_episode = np.where(first, 0, in_episode) + 1
        truncated = in_episode == game.episode_cap_moves
        terminated = ~truncated & (rng.random(2) < 0.1)
        action, reward = rng.integers(0, game.num_actions, 2), rng.integers(0, 9, 2).astype(np.float32)
        theirs.complete(action, reward, terminated, truncated)
        ours.complete(state, rows, np.array([move, move]), action, reward, terminated, truncated)
        first = terminated | truncated
        uniforms = rng.random((2, 8))
        if move == 50:
            theirs.see(game.newest_frame(observation), first)
            ours.see(state, ages + move + 1, seen, first[[1, 0, 0]])
            same_draws(game, theirs.draw(uniforms), ours.draw(state, rows, np.array([51, 51]), uniforms))
    uniforms = rng.random((2, 200))
    same_draws(game, theirs.draw(uniforms), ours.draw(state, rows, np.array([moves, moves]), uniforms))


def same_draws(game, expected, found):
    assert torch.equal(found.actions, expected.actions)
    assert torch.equal(found.rewards, expected.rewards)
    assert torch.equal(found.terminated, expected.terminated)
    assert torch.equal(found.observations, expected.observations)
    followed = ~expected.terminated
    assert torch.equal(found.next_observations[followed], expected.next_observations[followed])


@pytest.mark.parametrize("name", ["atari/breakout", "darkroom/goal-41"])
def test_a_memory_from_the_log_equals_the_played_one(name, folders):
    """Except for the last watched move, whose successor belongs to the teacher's run."""
    history = recomputed.history_of(folders[name])
    game, settings = games.load(name), recompute.settings_of([history])
    memory = RingMemory(game, settings.memory_moves)
    initial = Snapshot(flat_networks.initial(game, 0), updates=0, age=0)
    player = InStateDQN(game, settings, settings.memory_moves, [initial], [0], [0])
    moves = 121
    _, state = player.unroll(logged_timesteps(folders[name], 0, moves + 1), player.initial_state(1))
    rings = memory.of_log(history, open_store(history, 0, moves), moves)
    sizes, uniforms = np.array([moves]), np.linspace(0, 1, 300, endpoint=False)[None]
    assert moves - 1 not in state["undrawn"]
    at, no = slice(moves - 1, moves), np.array([False])
    last = history.action[at], history.reward[at], no, ~no  # as if truncated by the cap
    memory.complete(state, np.array([0]), sizes - 1, *last)
    same_draws(
        game,
        memory.draw(state, np.array([0]), sizes, uniforms),
        memory.draw(rings, np.array([0]), sizes, uniforms),
    )


def test_adam_is_torchs_with_a_number_of_updates_per_row():
    settings = dqn.SETTINGS["minatar"]
    rng = torch.Generator().manual_seed(0)
    values = torch.randn(2, 301, generator=rng)
    state = {"network": values.clone(), "average": torch.zeros(2, 301), "square": torch.zeros(2, 301)}
    state["updates"] = torch.zeros(2)
    peers = [row.clone().requires_grad_() for row in values]
    optimisers = [
        torch.optim.Adam([p], settings.learning_rate, eps=settings.optimiser_epsilon, foreach=False)
        for p in peers
    ]
    for step in range(30):
        rows = [0, 1] if step % 3 == 0 else [1]
        gradients = [torch.randn(301, generator=rng) for _ in rows]
        for row, gradient in zip(rows, gradients, strict=True):
            peers[row].grad = gradient.clone()
            optimisers[row].step()
        parts = [[state[name][row] for row in rows] for name in in_state_dqn.ADAM]
        in_state_dqn.adam_update(settings, parts, gradients)
    assert state["updates"].tolist() == [10, 30]
    for row, peer in enumerate(peers):
        torch.testing.assert_close(state["network"][row], peer.detach(), atol=1e-6, rtol=0)


def test_it_explores_what_the_schedule_exceeds_the_harness_by():
    """Scheduled 0.55, and 0.1 by the harness: half of the rows explore, uniformly over legal actions."""
    game = games.load("darkroom/goal-40")
    settings = replace(dqn.SETTINGS["darkroom"], memory_moves=30)
    initial = Snapshot(flat_networks.initial(game, 0), updates=0, age=0)
    lanes = 1_000
    player = InStateDQN(game, settings, 30, [initial], [0] * lanes, range(lanes))
    legal = torch.tensor([True, False, True, True, False]).expand(lanes, 5)
    nothing = torch.zeros(lanes, dtype=torch.bool)
    zeros = torch.zeros(lanes, dtype=torch.int64)
    for age, share in ((99, 1.0), (600, 0.5), (1_100, 0.0)):
        state = player.initial_state(lanes)
        state["age"] += age
        timestep = Timestep(zeros, legal, zeros, zeros.float(), ~nothing, nothing)
        logits, _ = player.step(timestep, state)
        named = (logits.sort(1).values == torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0])).all(1)
        assert float(named.float().mean()) == pytest.approx(share, abs=0.05)
        actions = torch.bincount(logits[named].argmax(1), minlength=5).tolist()
        assert actions[1] == actions[4] == 0
        assert all(n == pytest.approx(sum(actions) / 3, rel=0.25) for n in (actions[0], *actions[2:4]))


@pytest.mark.parametrize("name", GAMES)
def test_the_continued_dqn_starts_with_everything_of_its_teacher(name, folders):
    folder, game = folders[name], games.load(name)
    player = build("dqn-continued", assigned(name, folder, folder))
    state = player.initial_state(4)
    (at_w,) = recomputed.tensors_of([folder], [W])
    for key, tensor in flat_networks.flattened(at_w[W], game).items():
        assert torch.equal(state[key], tensor.expand(4, -1))
    assert state["age"].tolist() == [W] * 4
    assert state["updates"].tolist() == [flat_networks.updates_of(at_w[W])] * 4
    assert state["lane"].tolist() == [0, 1, 0, 1]
    assert torch.equal(state["seed"][:2], state["seed"][2:])
    assert not torch.equal(state["seed"][0], state["seed"][1])
    assert torch.equal(state["action"][0, :W], torch.tensor(recomputed.history_of(folder).action[:W]))


def test_the_continued_dqn_keeps_learning_on_its_teachers_moves(folders):
    """Given the teacher's next moves: its values at W are the network's at W, and updates follow at once."""
    name = "darkroom/goal-40"
    player = build("dqn-continued", assigned(name, folders[name]))
    run = logged_timesteps(folders[name], W, W + 9)
    run = run._replace(first_of_run=torch.arange(9)[None] == 0, first=torch.arange(9)[None] == 0)
    logits, state = player.unroll(run, player.initial_state(1))
    parameters = network.load_parameters(folders[name] / file_names.NETWORK_AT_W, games.load(name))
    expected = network.q_values(games.load(name), parameters, run.observation)[0]
    for t in range(4):  # there is an update every fourth move, counted from the teacher's first
        torch.testing.assert_close(logits[0, t], expected[t], atol=1e-5, rtol=1e-5)
    assert not torch.equal(logits[0, 8], expected[8])
    at_w = recomputed.tensors_of([folders[name]], [W])[0][W]
    assert int(state["updates"][0]) == flat_networks.updates_of(at_w) + 2
    assert int(state["age"][0]) == W + 9


def test_scratch_and_warm_start_begin_with_their_networks(folders):
    name = "minatar/breakout"
    folder, game = folders[name], games.load(name)
    assignment = assigned(name, folder, folder, on_new_game=True)
    scratch = build("dqn-scratch", assignment).initial_state(2)
    warm = build("dqn-warm-start", assignment).initial_state(2)
    (at_w,) = recomputed.tensors_of([folder], [W])
    learned = flat_networks.flattened(at_w[W], game)
    assert float(learned["square"].abs().max()) > 0
    assert not torch.equal(learned["network"], learned["target"])
    for key in ("network", "target"):
        assert torch.equal(warm[key], learned[key].expand(2, -1))
    assert torch.equal(scratch["network"], scratch["target"])
    assert not torch.equal(scratch["network"][0], scratch["network"][1])
    for state in (scratch, warm):
        for key in ("average", "square", "updates", "age", "frames"):
            assert not state[key].any()
        assert not torch.equal(state["seed"][0], state["seed"][1])


def test_a_reset_row_equals_a_new_run_to_the_last_bit(folders):
    """Also a row that was moved: the state says which lane it is."""
    name = "darkroom/goal-41"
    player = build("dqn-scratch", assigned(name, *[folders[name]] * 3, on_new_game=True))
    run = imitator_checks.random_timesteps(games.load(name), 3, 150, seed=1)
    _, state = player.unroll(run, player.initial_state(3))
    first_moves = Timestep(*(field[:, :1] for field in run))
    _, after = player.unroll(first_moves, states.take(state, [2, 0, 1]))
    _, expected = player.unroll(first_moves, states.take(player.initial_state(3), [2, 0, 1]))
    assert all(torch.equal(tensor, expected[key]) for key, tensor in after.items())


def test_networks_are_evenly_spaced_in_each_block():
    assert injected.block_moves("minatar", 200) == list(range(5, 200, 10))
    assert injected.block_moves("darkroom", 2_000)[:7] == [10, 30, 50, 70, 90, 110, 130]
    assert len(injected.block_moves("darkroom", 13_000)) == 100


def test_injected_plays_the_networks_that_it_draws(folders):
    """Each episode is played by one of the teacher's networks, a share of them by the block's."""
    name = "darkroom/goal-40"
    game, folder, lanes, cells = games.load(name), folders[name], 300, torch.arange(81)
    player = build("injected-0.25", assigned(name, *[folder] * lanes, variant="0.25"))
    moves = [W, *(W + move for move in injected.block_moves("darkroom", MOVES - W))]
    (by_move,) = recomputed.tensors_of([folder], moves)
    tables = []
    for move in moves:
        parameters = {key: by_move[move][f"network.{key}"][None] for key in network.shapes(game)}
        tables.append(network.q_values(game, parameters, cells[None])[0])  # [81, A]
    run = imitator_checks.random_timesteps(game, lanes, MOVES - W, seed=3)
    state = player.initial_state(lanes)
    injections, episodes = 0, 0
    for t in range(MOVES - W):
        logits, state = player.step(Timestep(*(field[:, t] for field in run)), state)
        plays = state["plays"].tolist()
        expected = torch.stack([tables[n][run.observation[row, t]] for row, n in enumerate(plays)])
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
        if t == 0:
            assert not any(plays)
            continue
        block = t * injected.BLOCKS // (MOVES - W)
        for row in run.first[:, t].nonzero()[:, 0].tolist():
            episodes += 1
            injections += plays[row] > 0
            assert plays[row] == 0 or (plays[row] - 1) // 5 == block
    assert injections / episodes == pytest.approx(0.25, abs=0.03)


def test_what_is_refused(folders, monkeypatch):
    name = "darkroom/goal-40"
    with pytest.raises(InputError, match="expected a continuation of 71 moves after W = 60, found 70"):
        build("injected-0.5", assigned(name, folders[name], moves=71, variant="0.5"))
    longer = replace(assigned(name, folders[name]), watched_moves=131)
    for control in ("dqn-continued", "dqn-warm-start"):
        with pytest.raises(InputError, match=r"expected moves in \[0, 130\) of this run, found \[131\]"):
            build(control, longer)
    monkeypatch.setattr(recompute, "MAX_MOVES", {"atari": 50})
    recomputed._known.clear()
    with pytest.raises(InputError, match="recomputing 60 moves of atari/breakout takes hours"):
        build("dqn-continued", assigned("atari/breakout", folders["atari/breakout"]))
    other = history_format.read(folders["darkroom/goal-41"] / file_names.HISTORY)
    assert recompute.settings_of([other]) == CAPPED
    for control in ("dqn-scratch", "dqn-continued"):
        with pytest.raises(InputError, match="take them one at a time"):
            build(control, assigned(name, folders[name], folders["darkroom/goal-41"]))
