"""The replayer plays the recorded actions: which of them, and what it needs, worked out by hand."""

import numpy as np
import pytest
import torch

from understudy import baselines
from understudy.suite import exploration, games, states
from understudy.suite.errors import InputError
from understudy.suite.testing import imitators
from understudy.suite.testing.teacher_files import write_log

DARKROOM = games.load("darkroom/goal-40")


def replayed(player, lanes, moves, legal=(True,) * 5, state=None):
    """Return the actions [B, T] that are decoded greedily, the observations being noise."""
    timesteps = imitators.random_timesteps(DARKROOM, lanes, moves, seed=0)
    logits = imitators.play(player, timesteps, state)
    mask = np.broadcast_to(np.array(legal), (lanes, 5))
    return np.stack([exploration.greedy_actions(logits[:, t].numpy(), mask) for t in range(moves)], 1)


def test_the_replayer_plays_the_record_from_w_on_and_again(assigned, tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    folders = [
        write_log(tmp_path / "a", DARKROOM, [0, 1, 2, 3, 4, 1, 2]),
        write_log(tmp_path / "b", DARKROOM, [4, 4, 4, 0, 2]),
    ]
    control = baselines.load("teacher-replayer")
    player = control.build_control(assigned(DARKROOM, folders))
    assert replayed(player, 2, 9).tolist() == [[3, 4, 1, 2, 3, 4, 1, 2, 3], [0, 2, 0, 2, 0, 2, 0, 2, 0]]
    assert replayed(player, 3, 2)[2].tolist() == [3, 4]  # row 2 is as lane 0
    moved = states.take(player.initial_state(2), [1, 0])
    moved["age"] += 1
    later = imitators.random_timesteps(DARKROOM, 2, 1, seed=0)._replace(first_of_life=torch.zeros(2, 1) > 0)
    assert imitators.play(player, later, moved)[:, 0].argmax(1).tolist() == [2, 4]
    on_new = control.build_control(assigned(DARKROOM, folders, on_new_game=True))
    assert replayed(on_new, 2, 8).tolist() == [[0, 1, 2, 3, 4, 1, 2, 0], [4, 4, 4, 0, 2, 4, 4, 4]]
    short = control.build_control(assigned(DARKROOM, folders, moves=2))
    assert replayed(short, 1, 4)[0].tolist() == [3, 4, 3, 4]  # no more is kept than a life needs


def test_an_illegal_recorded_action_gives_way_to_the_next_above(assigned, tmp_path):
    player = baselines.load("teacher-replayer").build_control(
        assigned(DARKROOM, [write_log(tmp_path, DARKROOM, [0, 0, 0, 3, 1, 2, 4])])
    )
    only = (True, False, True, False, False)
    assert replayed(player, 1, 4, only)[0].tolist() == [0, 2, 2, 0]


def test_the_replayer_needs_a_record_after_w(assigned, tmp_path):
    write_log(tmp_path, DARKROOM, [0, 1, 2])
    control = baselines.load("teacher-replayer")
    with pytest.raises(InputError, match="expected moves after move 3 to replay, found a life of 3"):
        control.build_control(assigned(DARKROOM, [tmp_path]))
    assert replayed(control.build_control(assigned(DARKROOM, [tmp_path], on_new_game=True)), 1, 2).size
    with pytest.raises(InputError, match="no such history file"):
        control.build_control(assigned(DARKROOM, [tmp_path / "none"]))
