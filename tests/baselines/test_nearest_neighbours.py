"""Nearest neighbours: a look-up by hand, and slow versions of each search."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from understudy.baselines import controls
from understudy.baselines.controls import nearest_neighbours
from understudy.suite import games
from understudy.suite.errors import InputError
from understudy.suite.games.darkroom import DarkRoomVectorEnv
from understudy.suite.histories import history_format
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.testing import imitator_checks
from understudy.suite.testing.history_checks import play_on, random_runs

DARKROOM = games.load("darkroom/goal-40")
BREAKOUT = games.load("minatar/breakout")


def test_the_newest_move_in_a_cell_by_hand():
    seen = np.array([7, 7, 9, 7, 9, 3])  # newest first
    actions = np.array([2, 1, 4, 1, 1, 1], np.uint8)
    memory = nearest_neighbours.NearestCells([seen], [actions], DARKROOM)
    logits = memory(torch.tensor([7, 9, 3, 80]), torch.zeros(4, dtype=torch.int64))
    assert logits.argmax(1).tolist() == [2, 4, 1, 1]  # in cell 80, never seen: the most frequent of all
    shares = np.array([0, 4, 1, 0, 1]) / 7
    assert logits[0].tolist() == pytest.approx(np.array([0, 5, 6, 0, 0]) + shares)
    assert logits[3].tolist() == pytest.approx(shares)


def slow_nearest(observation, remembered, features):
    """Return the position of the first, newest, of the nearest."""
    distances = [
        sum((int(a) - int(b)) ** 2 for a, b in zip(features(observation), features(other), strict=True))
        for other in remembered
    ]
    return distances.index(min(distances))


def slow_blocks(frame):
    return [
        round(float(frame[4 * i : 4 * i + 4, 4 * j : 4 * j + 4].astype(float).mean()) / 4)
        for i in range(21)
        for j in range(21)
    ]


def test_nearest_planes_equal_the_slow_search():
    rng = np.random.default_rng(0)
    remembered = [rng.random((n, 10, 10, 10)) < 0.02 for n in (12, 9)]
    for each in remembered:
        each[:, 6:] = False  # planes that the game doesn't show
        each[5] = each[2]  # equals: the newest, position 2, counts
    actions = [rng.integers(0, 6, len(each)).astype(np.uint8) for each in remembered]
    memory = nearest_neighbours.NearestPlanes(remembered, actions, BREAKOUT)
    now = np.concatenate([rng.random((6, 10, 10, 10)) < 0.05, remembered[0][5:6], remembered[1][5:6]])
    asked = [0, 1, 0, 1, 0, 1, 0, 1]
    expected = [
        int(actions[k][slow_nearest(row, remembered[k], np.ravel)]) for k, row in zip(asked, now, strict=True)
    ]
    logits = memory(torch.from_numpy(now), torch.tensor(asked))
    assert logits.argmax(1).tolist() == expected
    assert expected[6:] == [int(actions[0][2]), int(actions[1][2])]


def test_nearest_frames_equal_the_slow_search():
    rng = np.random.default_rng(1)
    atari = games.load("atari/breakout")
    remembered = [rng.integers(0, 256, (n, 84, 84)).astype(np.uint8) for n in (4, 3)]
    remembered[0][3] = remembered[0][1]
    actions = [np.array([5, 3, 1, 0], np.uint8), np.array([2, 11, 4], np.uint8)]
    memory = nearest_neighbours.NearestFrames(remembered, actions, atari)
    now = rng.integers(0, 256, (4, 4, 84, 84)).astype(np.uint8)
    now[0, -1] = remembered[0][3]
    now[1, -1] = remembered[1][2] // 2 + now[1, -1] // 2
    asked = [0, 1, 1, 0]
    expected = [
        int(actions[k][slow_nearest(row[-1], remembered[k], slow_blocks)])
        for k, row in zip(asked, now, strict=True)
    ]
    assert memory(torch.from_numpy(now), torch.tensor(asked)).argmax(1).tolist() == expected
    assert expected[0] == 3


@pytest.fixture(scope="module")
def random_run(tmp_path_factory):
    """A folder as a teacher's, with a random run of darkroom: 400 moves, a fifth of them explored."""
    folder = tmp_path_factory.mktemp("random")
    (run,) = random_runs(DARKROOM, folder, 1)
    for _ in play_on([run], SegmentRule(100), 400):
        pass
    run.path.rename(folder / "history.parquet")
    return folder


def test_neighbours_are_watched_moves_of_the_teachers_choice(assigned, random_run, tmp_path, monkeypatch):
    monkeypatch.setattr(nearest_neighbours, "WATCHED_MOVES", 150)
    history = history_format.read(random_run / "history.parquet")
    environment = DarkRoomVectorEnv(np.array([40]))
    newest = np.zeros((81, 5))  # the order of the moves that are searched; the oldest has 1
    cells = []
    for segment in history.header.segments:  # a slow replay
        cell, _ = environment.reset(seed=segment.seed)
        for move in range(segment.first_move, segment.first_move + segment.length):
            cells.append(int(cell[0]))
            cell, *_ = environment.step(history.action[move : move + 1])
    looked_up = [move for move in range(150, 300) if not history.explored[move]]
    for order, move in enumerate(looked_up, 1):
        newest[cells[move], history.action[move]] = order
    control = controls.load("nearest-neighbours")[0]
    player = control.build_control(assigned(DARKROOM, [random_run], watched_moves=300))
    timesteps = imitator_checks.random_timesteps(DARKROOM, 3, 60, seed=0)
    logits = imitator_checks.play(player, timesteps).numpy()
    expected = newest[timesteps.observation.numpy()]
    assert (np.floor(logits) == expected).all()
    assert len(looked_up) > 100
    explored = replace(history, explored=np.ones(400, bool))
    history_format.write(tmp_path / "history.parquet", explored)
    with pytest.raises(InputError, match="among the moves 150 to 300; all of them were explored"):
        control.build_control(assigned(DARKROOM, [tmp_path], watched_moves=300))
