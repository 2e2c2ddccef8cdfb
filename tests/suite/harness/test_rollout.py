"""The rollout: feedback to the player, executed actions, restored states, and interruptions."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch
from support import darkroom_jobs, windows
from torch import nn
from torch.nn import functional

from understudy.suite import exploration
from understudy.suite.errors import InputError
from understudy.suite.harness import isolation, rollout
from understudy.suite.harness.records import ISOLATION, RECORD
from understudy.suite.histories import history_format
from understudy.suite.histories.frame_store import open_store
from understudy.suite.io import file_lock, file_names, files
from understudy.suite.io.file_names import HISTORY

LANES = 3


class Spy(nn.Module):
    """Moves right; keeps the timesteps that it receives, and its age as its state."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2), requires_grad=False)
        self.received = []

    def initial_state(self, batch_size):
        return {"age": torch.zeros(batch_size, dtype=torch.int64)}

    def step(self, timestep, state):
        self.received.append((timestep, state["age"].clone()))
        logits = torch.zeros(len(timestep.first), 5)
        logits[:, 4] = 1.0
        return logits, {"age": state["age"] + 1}

    def unroll(self, timesteps, state):
        B, T = timesteps.first.shape
        self.received.append((timesteps, state["age"].clone()))
        return torch.zeros(B, T, 5), {"age": state["age"] + T}


def job(kind="continue", moves=100, exploration=0.2, **changes):
    changes = {"segment_moves": 30, **changes}
    return darkroom_jobs.job(kind=kind, moves=moves, exploration=exploration, **changes)


def play(a_job, folder, player=None, start_state=None, **options):
    player = player or Spy()
    folders = rollout.play(
        a_job, player, lambda: start_state or rollout.empty_start_state(player, LANES), folder, **options
    )
    return [history_format.read(path / HISTORY) for path in folders]


def test_a_player_receives_what_was_executed_and_earned(tmp_path):
    spy = Spy()
    histories = play(job(), tmp_path, spy)
    for lane, history in enumerate(histories):
        received = [timestep for timestep, _ in spy.received]
        assert [bool(t.first_of_run[lane]) for t in received] == [True] + [False] * 99
        assert [bool(t.first[lane]) for t in received] == [move % 20 == 0 for move in range(100)]
        assert [int(t.previous_action[lane]) for t in received[1:]] == history.action[:-1].tolist()
        assert [float(t.previous_reward[lane]) for t in received[1:]] == history.reward[:-1].tolist()
        assert (history.action[~history.explored] == 4).all()
        assert [int(age[lane]) for _, age in spy.received] == list(range(100))


def test_exploration_is_uniform_at_the_declared_rate(tmp_path):
    histories = play(job(moves=3000, exploration=0.3), tmp_path)
    explored = np.concatenate([history.explored for history in histories])
    actions = np.concatenate([history.action for history in histories])[explored]
    assert abs(explored.mean() - 0.3) < 0.02
    assert np.abs(np.bincount(actions, minlength=5) / len(actions) - 0.2).max() < 0.03


def test_a_run_s_exploration_follows_from_its_seed(tmp_path):
    for lane, history in zip(job().lanes, play(job(moves=5000), tmp_path), strict=True):
        explored, drawn = exploration.exploration_of(lane.seed, np.ones(5, bool), 5000, 0.2)
        assert (explored == history.explored).all()
        assert (drawn[explored] == history.action[explored]).all()


def test_start_runs_restore_everything_at_every_episode_start(tmp_path):
    spy = Spy()
    start_state = rollout.StartState(
        {"age": torch.tensor([50, 60, 70])},
        np.array([1, 2, 3]),
        np.array([0.5, 1.5, 2.5], np.float32),
        np.zeros(LANES, bool),
    )
    play(job("start"), tmp_path, spy, start_state)
    for move, (timestep, age) in enumerate(spy.received):
        assert not timestep.first_of_run.any()
        assert age.tolist() == [50 + move % 20, 60 + move % 20, 70 + move % 20]
        if move % 20 == 0:
            assert timestep.previous_action.tolist() == [1, 2, 3]
            assert timestep.previous_reward.tolist() == [0.5, 1.5, 2.5]


def test_interrupted_job_goes_on_to_the_same_bytes(tmp_path):
    play(job(), tmp_path / "whole")
    for stop in (1, 20, 33, 99):
        folder = tmp_path / f"stopped-{stop}"

        def interrupt(done, total, stop=stop):
            if done == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            play(job(), folder, report=interrupt)
        play(job(), folder)
        for lane in range(LANES):
            for name in (HISTORY, RECORD):
                whole = tmp_path / "whole" / f"lane-{lane}" / name
                assert whole.read_bytes() == (folder / f"lane-{lane}" / name).read_bytes()


class Interrupted(Spy):
    """Chooses by a state that it changes in place; at one move it is interrupted by Ctrl-C."""

    def __init__(self, at=None):
        super().__init__()
        self.at = at

    def step(self, timestep, state):
        state["age"].add_(1)
        self.received.append(timestep)
        if len(self.received) == self.at:
            os.kill(os.getpid(), signal.SIGINT)
        return functional.one_hot(state["age"] // 3 % 5, 5).float(), state


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_during_a_move_takes_effect_after_it(tmp_path):
    """Otherwise the saved state would be that after a move which is not in the log."""
    whole = play(job(), tmp_path / "whole", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        play(job(), tmp_path / "stopped", Interrupted(at=37))
    stopped = play(job(), tmp_path / "stopped", Interrupted())
    for one, other in zip(whole, stopped, strict=True):
        assert one.content_sha256 == other.content_sha256


def test_another_job_in_the_folder_is_refused_unless_restarted(tmp_path):
    play(job(), tmp_path)
    other = job(threads=2)
    with pytest.raises(InputError, match=r"threads: 2, not 1.*--restart"):
        play(other, tmp_path)
    (tmp_path / ISOLATION).touch()  # of the runs that are replaced
    assert len(play(other, tmp_path, restart=True)) == LANES
    assert not (tmp_path / ISOLATION).exists()


def test_a_job_that_another_process_plays_is_waited_for(tmp_path):
    class Interrupted(Exception):
        pass

    def interrupt():
        raise Interrupted

    with file_lock.held(tmp_path / file_names.LOCK), pytest.raises(Interrupted):
        play(job(), tmp_path, waiting=interrupt)
    assert not list(tmp_path.iterdir())  # nothing was begun beside it
    play(job(), tmp_path)
    assert not (tmp_path / file_names.LOCK).exists()


def test_finished_job_is_not_played_again(tmp_path):
    play(job(), tmp_path)
    spy = Spy()
    play(job(), tmp_path, spy)
    assert spy.received == []


class Learner(Spy):
    """Changes a weight at every move, and keeps its value before."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def step(self, timestep, state):
        self.weights.append(float(self.weight[0]))
        self.weight += 1.0
        return super().step(timestep, state)


def test_changed_parameters_are_recorded(tmp_path):
    play(job(), tmp_path / "moves", Learner())
    moved = files.read_json(tmp_path / "moves" / "lane-0" / RECORD)["parameters_sha256"]
    assert moved["before"] != moved["after"]
    play(job(), tmp_path / "still")
    still = files.read_json(tmp_path / "still" / "lane-0" / RECORD)["parameters_sha256"]
    assert still["before"] == still["after"] == moved["before"]


def test_changed_weights_resume_where_an_interruption_left_them(tmp_path):
    def interrupt(done, total):
        if done == 33:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play(job(), tmp_path, Learner(), report=interrupt)
    again = Learner()
    play(job(), tmp_path, again)
    assert again.weights[0] == 34.0
    record = files.read_json(tmp_path / "lane-0" / RECORD)
    whole = Learner()
    play(job(), tmp_path / "whole", whole)
    assert record == files.read_json(tmp_path / "whole" / "lane-0" / RECORD)


def test_a_learners_weights_are_restored_in_start_runs_too(tmp_path):
    learner = Learner()
    play(
        job("start", player={**darkroom_jobs.PLAYER, "track": "learning"}),
        tmp_path,
        learner,
    )
    assert learner.weights == [1.0 + move % 20 for move in range(100)]


def test_sampling_follows_the_softmax_of_legal_logits(tmp_path):
    class Sampled(Spy):
        def step(self, timestep, state):
            logits = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4, 1e-9])).expand(LANES, 5)
            return logits, state

    histories = play(job(moves=4000, exploration=0.0, decoding="sample"), tmp_path, Sampled())
    shares = np.bincount(np.concatenate([h.action for h in histories]), minlength=5) / 12_000
    assert np.abs(shares - [0.1, 0.2, 0.3, 0.4, 0.0]).max() < 0.02


def test_priming_feeds_the_teachers_moves_in_order(tmp_path, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))
    (history, *_) = play(job(), tmp_path / "teacher")
    spy = Spy()
    start_state = rollout.primed_start_state(spy, history, open_store(history, 30, 90), 30, 90)
    assert start_state.state["age"].tolist() == [60]
    assert start_state.previous_action.tolist() == [history.action[89]]
    assert start_state.previous_reward.tolist() == [history.reward[89]]
    assert start_state.first_of_run.tolist() == [False]
    (timesteps, _) = spy.received[0]
    assert timesteps.first_of_run[0].tolist() == [True] + [False] * 59
    assert timesteps.previous_action[0, 1:].tolist() == history.action[30:89].tolist()


def test_record_is_a_function_of_job_and_log(tmp_path):
    history = play(job(), tmp_path)[0]
    record = files.read_json(tmp_path / "lane-0" / RECORD)
    assert record["points"] == history.reward.sum()
    assert record["episodes"] == 5
    assert record["explored"] == history.explored.sum()
    assert record["history_sha256"] == history.content_sha256
    assert record["state_bytes"] == {"start": 8, "largest": 8}


class Leaking(Spy):
    """Chooses by the last actions of all rows: information leaks between lanes."""

    def step(self, timestep, state):
        logits = torch.zeros(len(timestep.first), 5)
        logits[:, int(timestep.previous_action.sum()) % 5] = 1.0
        return logits, {"age": state["age"] + 1}


def test_isolation_holds_for_a_player_that_sees_its_own_row_only(tmp_path):
    histories = play(job(), tmp_path)
    spy = Spy()
    start_state = rollout.empty_start_state(spy, LANES)
    assert isolation.first_difference(job(), spy, start_state, histories, windows.of(job())) is None


def test_isolation_finds_information_that_leaks_between_lanes(tmp_path):
    player = Leaking()
    histories = play(job(), tmp_path, player)
    start_state = rollout.empty_start_state(player, LANES)
    assert isolation.first_difference(job(), player, start_state, histories, windows.of(job())) is not None
