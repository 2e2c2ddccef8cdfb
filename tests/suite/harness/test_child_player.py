"""Players in processes of their own: the same bytes as in this one, and one clear line for every fault."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
import torch
from support import custom_players, darkroom_jobs, threaded_child
from support.faulty_players import AT, FAULTS, Counter, at

from understudy.suite import games
from understudy.suite.errors import InputError
from understudy.suite.harness import (
    child_player,
    child_process,
    confinement,
    drawn_windows,
    frozenness,
    isolation,
    recheck,
    rollout,
    states,
)
from understudy.suite.harness.child_player import ChildPlayer
from understudy.suite.harness.child_process import Launch
from understudy.suite.harness.rollout import StartState
from understudy.suite.histories import history_format
from understudy.suite.io.file_names import HISTORY
from understudy.suite.testing import imitator_checks

LANES = len(darkroom_jobs.GOALS)
SMALL = {"layers": 1, "context_moves": 8, "width": 8, "heads": 1}
PRIMED_MOVES = 30


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return custom_players.built_in(tmp_path_factory.mktemp("submission"), "transformer", **SMALL)


@pytest.fixture(scope="module")
def here(source):
    torch.set_num_threads(1)
    return custom_players.here(source)


@pytest.fixture(scope="module")
def child(source):
    with child_player.closing(custom_players.in_child(source)) as player:
        yield player


def primed(player):
    """Return a start state of three rows, two of which are the same."""
    game = games.load("darkroom/goal-00")
    parts = []
    for seed in (1, 2):
        watched = imitator_checks.random_timesteps(game, 1, PRIMED_MOVES, seed)
        with torch.inference_mode():
            _, state = player.unroll(watched, player.initial_state(1))
        action, reward = np.array([seed]), np.array([1.0], np.float32)
        parts.append(StartState(state, action, reward, np.zeros(1, bool)))
    return rollout.join_start_states([parts[0], parts[1], parts[0]])


def played(player, folder, job):
    """Return the files of a job that a player has played, by path, without the clock."""
    rollout.play(job, player, lambda: primed(player), folder)
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "timing.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    "changes", [{"kind": "start"}, {"decoding": "sample"}, {"kind": "continue"}], ids=str
)
def test_a_job_gives_the_same_bytes_in_the_child(child, here, tmp_path, changes):
    job = darkroom_jobs.job(priming_moves=PRIMED_MOVES, **changes)
    one, other = (played(player, tmp_path / name, job) for player, name in ((child, "child"), (here, "here")))
    assert one == other
    assert sum(path.endswith("record.json") for path in one) == LANES


def test_checks_find_the_same_in_the_child(child, here, tmp_path):
    job = darkroom_jobs.job()
    played(here, tmp_path / "own", job)
    histories = [history_format.read(tmp_path / "own" / f"lane-{lane}" / HISTORY) for lane in range(LANES)]
    windows = drawn_windows.drawn("salt", "continue/all", job.moves, LANES, child.reach_moves)
    assert child.reach_moves == here.reach_moves == 8
    for player in (child, here):
        found = recheck.recheck(job, player, primed(player), histories)
        assert (found.holds, found.differing) == (True, 0)
        found = recheck.recheck(job, player, primed(player), histories, windows)
        assert (found.holds, found.differing) == (True, 0)
        assert isolation.first_difference(job, player, primed(player), histories, windows) is None
    rollout.play(job, Counter(), lambda: rollout.empty_start_state(Counter(), LANES), tmp_path / "other")
    others = [history_format.read(tmp_path / "other" / f"lane-{lane}" / HISTORY) for lane in range(LANES)]
    wrong = [recheck.recheck(job, player, primed(player), others) for player in (child, here)]
    assert wrong[0] == wrong[1]
    assert wrong[0].differing > 50


def test_a_job_that_was_interrupted_goes_on_in_the_child(child, here, tmp_path):
    job = darkroom_jobs.job()

    def interrupt(done, total):
        if done == 33:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rollout.play(job, child, lambda: primed(child), tmp_path / "child", interrupt)
    assert (tmp_path / "child" / "state-33.safetensors").exists()
    assert played(child, tmp_path / "child", job) == played(here, tmp_path / "here", job)


def test_functions_of_states_do_there_what_they_do_here(child, here):
    one, other = primed(child).state, primed(here).state
    pairs = [(one, other), (states.clone(one), states.clone(other))]
    pairs.append((states.take(one, [2, 0]), states.take(other, [2, 0])))
    pairs.append((states.join([one, states.clone(other)]), states.join([other, other])))
    mask = torch.tensor([False, True, True])
    fresh = [states.join([player.initial_state(LANES)]) for player in (child, here)]
    pairs.append((states.copy_rows(fresh[0], one, mask), states.copy_rows(fresh[1], other, mask)))
    for there, local in pairs:
        assert states.is_remote(there)
        assert not states.is_remote(local)
        assert states.to_bytes(there) == states.to_bytes(local)
        assert states.size_bytes(there) == states.size_bytes(local)
        assert child.digest_of(there) == states.sha256(local).hex()
    assert frozenness.parameters_sha256(child) == frozenness.parameters_sha256(here)


def test_a_reload_keeps_the_states_and_nothing_else(monkeypatch):
    class Forgetful(Counter):
        def step(self, timestep, state):
            self.steps = getattr(self, "steps", 0) + 1
            logits, state = super().step(timestep, state)
            return logits + self.steps, state

    player = threaded_child.player(monkeypatch, Forgetful)
    run = imitator_checks.random_timesteps(games.load("darkroom/goal-00"), LANES, 3, 0)
    moves = [type(run)(*(field[:, t] for field in run)) for t in range(3)]
    state = player.initial_state(LANES)
    first, state = player.step(moves[0], state)
    second, state = player.step(moves[1], state)
    assert (first.max(), second.max()) == (2, 3)
    before = states.to_bytes(state)
    player.reload()
    assert states.to_bytes(state) == before
    assert states.tensors(state)["age"].tolist() == [2] * LANES
    assert player.step(moves[2], state)[0].max() == 2
    player.close()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_gives_the_same_line_in_the_child(fault, tmp_path, monkeypatch):
    change, expected = FAULTS[fault]
    child = threaded_child.player(monkeypatch, lambda: Counter(at(AT, change)))
    lines = []
    for player, folder in ((child, tmp_path / "child"), (Counter(at(AT, change)), tmp_path / "here")):
        with pytest.raises(InputError) as caught:
            darkroom_jobs.play(player, folder, darkroom_jobs.job())
        lines.append(str(caught.value))
        assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert lines[0] == lines[1]
    assert re.search(expected, lines[0])


def test_weights_of_a_learning_player_are_watched_in_the_child(monkeypatch, tmp_path):
    class Learner(Counter):
        def __init__(self):
            super().__init__()
            self.register_buffer("bias", torch.zeros(5))

        def step(self, timestep, state):
            logits, state = super().step(timestep, state)
            self.bias += torch.tensor([0.5, 0, 0, 0, 0])
            return logits + self.bias, state

    job = darkroom_jobs.job(kind="start", player={**darkroom_jobs.PLAYER, "track": "learning"}, moves=50)
    child = threaded_child.player(monkeypatch, Learner)
    found = []
    for player, name in ((child, "child"), (Learner(), "here")):
        rollout.play(
            job, player, lambda player=player: rollout.empty_start_state(player, LANES), tmp_path / name
        )
        paths = sorted((tmp_path / name).glob("lane-*/*"))
        found.append([path.read_bytes() for path in paths])
    assert found[0] == found[1]


def test_an_exception_in_the_players_code_names_the_move_and_the_lines_cause(monkeypatch, tmp_path):
    def raising(logits, state):
        raise IndexError("index 9 is out of bounds\nfor dimension 0")

    child = threaded_child.player(monkeypatch, lambda: Counter(at(AT, raising)))
    with pytest.raises(
        InputError, match=rf"move {AT}: expected an answer; found IndexError.*index 9 is out of"
    ) as caught:
        darkroom_jobs.play(child, tmp_path, darkroom_jobs.job())
    assert "\n" not in str(caught.value)


MISBEHAVIOURS = {
    "is killed": "found that its process ended by SIGKILL",
    "exits": r"found that its process ended with exit code 3 \(ValueError: no \\x1b\[31mcolours\)",
    "hangs": "expected an answer within 2 s; found none",
    "answers something else": "found a reply of kind 1 where 2 is expected",
    "answers too little": "expected an answer of 100 bytes; found one of 96",
    "announces too much": "found a message of 1,099,511,627,776 bytes where at most 65,536 are expected",
    "fails without a form": "found a failure of another form",
    "grows": "expected a state of at most 16,777,216 bytes a run; found one of 366,503,875,925",
}


def hostile(misbehaviour, at_move=0):
    load = {"misbehaviour": misbehaviour, "at": at_move}
    return ChildPlayer(Launch("spy/seed-0", "support.hostile_children", (), load, b"", 5, 1 << 24))


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOURS)
def test_a_process_that_fails_ends_the_row_with_a_line_that_names_the_move(
    misbehaviour, tmp_path, monkeypatch
):
    with child_player.closing(hostile(misbehaviour, at_move=7)) as player:
        monkeypatch.setattr(child_player, "MOVE_SECONDS", 2.0 if misbehaviour == "hangs" else 60.0)
        with pytest.raises(InputError) as caught:
            darkroom_jobs.play(player, tmp_path, darkroom_jobs.job())
        message = str(caught.value)
        assert message.startswith("spy/seed-0, all 3 lanes, move 7: expected ")
        assert re.search(MISBEHAVIOURS[misbehaviour], message), message
        assert "\n" not in message
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
        assert player._process._process.poll() is not None  # killed
        assert isinstance(player.step(any_timestep(), player.initial_state(LANES)), child_process.Fault)


def any_timestep():
    """Return any timestep."""
    run = imitator_checks.random_timesteps(games.load("darkroom/goal-00"), LANES, 1, 0)
    return type(run)(*(field[:, 0] for field in run))


def test_a_process_that_ends_while_it_loads_is_refused():
    with pytest.raises(
        InputError, match=r"spy/seed-0, .*its process ended with exit code 1 \(no such weights\)"
    ):
        hostile("exits while it loads")


def test_a_state_of_other_rows_is_refused_before_the_first_move(tmp_path):
    with (
        child_player.closing(hostile("has other rows")) as player,
        pytest.raises(InputError, match="before the first move: expected a state of one form, batch first"),
    ):
        darkroom_jobs.play(player, tmp_path, darkroom_jobs.job())


def test_reloads_are_drawn_one_in_each_part(child, here):
    job = darkroom_jobs.job(moves=300)
    drawn = {recheck.drawn_reloads(child, job) for _ in range(200)}
    assert len(drawn) > 150
    assert all(1 <= one < 100 <= two < 200 <= three < 300 for one, two, three in drawn)
    assert recheck.drawn_reloads(here, job) == ()
    learning = darkroom_jobs.job(player={**darkroom_jobs.PLAYER, "track": "learning"})
    assert recheck.drawn_reloads(child, learning) == ()


def test_how_a_player_is_confined_is_said(child, here):
    assert child_player.confinement_of(child) in (confinement.BUBBLEWRAP, confinement.LIMITS)
    assert child_player.confinement_of(here) == "in-process"


def test_no_descriptor_is_left_open(monkeypatch):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with child_player.closing(threaded_child.player(monkeypatch, Counter)) as player:
            player.initial_state(2)
    assert len(os.listdir("/proc/self/fd")) == before
