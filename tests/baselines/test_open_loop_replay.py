"""Open-loop replay plays the recorded actions: which of them, and what it needs, worked out by hand."""

import numpy as np
import pytest
import torch
from support.teacher_files import write_log

from understudy.baselines import controls
from understudy.suite import exploration, games
from understudy.suite.errors import InputError
from understudy.suite.harness import states
from understudy.suite.testing import imitator_checks

DARKROOM = games.load("darkroom/goal-40")


def replayed(player, lanes, moves, legal=(True,) * 5, state=None):
    """Return the greedily decoded actions [B, T] for random observations."""
    timesteps = imitator_checks.random_timesteps(DARKROOM, lanes, moves, seed=0)
    logits = imitator_checks.play(player, timesteps, state)
    mask = np.broadcast_to(np.array(legal), (lanes, 5))
    return np.stack([exploration.greedy_actions(logits[:, t].numpy(), mask) for t in range(moves)], 1)


def test_it_plays_the_recording_from_w_on_and_repeats_it(assigned, tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    folders = [
        write_log(tmp_path / "a", DARKROOM, [0, 1, 2, 3, 4, 1, 2]),
        write_log(tmp_path / "b", DARKROOM, [4, 4, 4, 0, 2]),
    ]
    control = controls.load("open-loop-replay")[0]
    player = control.build_control(assigned(DARKROOM, folders))
    assert replayed(player, 2, 9).tolist() == [[3, 4, 1, 2, 3, 4, 1, 2, 3], [0, 2, 0, 2, 0, 2, 0, 2, 0]]
    assert replayed(player, 3, 2)[2].tolist() == [3, 4]  # row 2 is as lane 0
    moved = states.take(player.initial_state(2), [1, 0])
    moved["age"] += 1
    later = imitator_checks.random_timesteps(DARKROOM, 2, 1, seed=0)._replace(
        first_of_run=torch.zeros(2, 1) > 0
    )
    assert imitator_checks.play(player, later, moved)[:, 0].argmax(1).tolist() == [2, 4]
    on_new = control.build_control(assigned(DARKROOM, folders, on_new_game=True))
    assert replayed(on_new, 2, 8).tolist() == [[0, 1, 2, 3, 4, 1, 2, 0], [4, 4, 4, 0, 2, 4, 4, 4]]
    short = control.build_control(assigned(DARKROOM, folders, moves=2))
    assert replayed(short, 1, 4)[0].tolist() == [3, 4, 3, 4]  # no more actions are kept than a run needs


def test_an_illegal_recorded_action_is_replaced_by_the_next_higher_legal_one(assigned, tmp_path):
    player = controls.load("open-loop-replay")[0].build_control(
        assigned(DARKROOM, [write_log(tmp_path, DARKROOM, [0, 0, 0, 3, 1, 2, 4])])
    )
    only = (True, False, True, False, False)
    assert replayed(player, 1, 4, only)[0].tolist() == [0, 2, 2, 0]


def test_it_needs_a_recording_after_w(assigned, tmp_path):
    write_log(tmp_path, DARKROOM, [0, 1, 2])
    control = controls.load("open-loop-replay")[0]
    with pytest.raises(InputError, match="expected moves after move 3 to replay, found a run of 3"):
        control.build_control(assigned(DARKROOM, [tmp_path]))
    assert replayed(control.build_control(assigned(DARKROOM, [tmp_path], on_new_game=True)), 1, 2).size
    with pytest.raises(InputError, match="no such history file"):
        control.build_control(assigned(DARKROOM, [tmp_path / "none"]))
