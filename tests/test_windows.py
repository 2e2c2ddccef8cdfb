"""Watched lives: windows and timesteps against what was seen and done live, move by move."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from understudy.suite import games
from understudy.suite.errors import InputError
from understudy.suite.histories import format as history_format
from understudy.suite.histories import frames
from understudy.suite.histories.format import COLUMNS, History
from understudy.suite.histories.frames import FrameStore
from understudy.suite.histories.record import SegmentRule
from understudy.suite.histories.timesteps import timesteps, timesteps_of_new_memory
from understudy.suite.histories.windows import WatchedLives
from understudy.suite.protocols import Game, Timestep
from understudy.suite.testing.histories import play_on, random_lives


@dataclasses.dataclass
class Lived:
    """A recorded life beside what was seen live."""

    game: Game
    history: History
    store: FrameStore
    seen: np.ndarray  # [n, *observation_shape]


def live(name: str, moves: int, folder: Path, seed: int = 0) -> Lived:
    game = games.load(name)
    (life,) = random_lives(game, folder / f"seed-{seed}", 1, seed)
    seen = np.array([recorder.observation[0].copy() for recorder in play_on([life], SegmentRule(40), moves)])
    history = history_format.read(life.path)
    return Lived(game, history, frames.frames(history, processes=1, cache=folder), seen)


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> list[Lived]:
    folder = tmp_path_factory.mktemp("lives")
    lengths = (90, 140, 30)
    return [live("minatar/breakout", moves, folder, seed) for seed, moves in enumerate(lengths)]


def told(lived: Lived, moves: range, memory_begins: int) -> list[dict[str, object]]:
    """Return what a player is told before each move, one after another, as the protocol words it."""
    history, rows = lived.history, []
    for move in moves:
        nothing_before = move == memory_begins
        rows.append(
            {
                "observation": lived.seen[move].tolist(),
                "legal_actions": list(lived.game.legal_actions),
                "previous_action": 0 if nothing_before else int(history.action[move - 1]),
                "previous_reward": 0.0 if nothing_before else float(history.reward[move - 1]),
                "first": move == 0 or bool(history.terminated[move - 1] or history.truncated[move - 1]),
                "first_of_life": nothing_before,
            }
        )
    return rows


def row(timesteps: Timestep, index: int) -> list[dict[str, object]]:
    """Return one row of timesteps [B, T, ...] in the same form."""
    columns = {name: getattr(timesteps, name)[index].tolist() for name in Timestep._fields}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def test_timesteps_are_what_the_player_was_told(lives):
    for lived in lives:
        n = lived.history.num_moves
        for start, stop in [(0, n), (0, 1), (1, 2), (17, 29), (n - 1, n)]:
            found = timesteps(lived.history, lived.store, start, stop)
            assert row(found, 0) == told(lived, range(start, stop), memory_begins=0)
            fresh = timesteps_of_new_memory(lived.history, lived.store, start, stop)
            assert row(fresh, 0) == told(lived, range(start, stop), memory_begins=start)


@pytest.mark.parametrize("name", ["darkroom/goal-40", "minatar/seaquest", "atari/breakout"])
def test_timesteps_have_the_protocols_shapes_and_types(name, tmp_path):
    lived = live(name, 45, tmp_path)
    found = timesteps(lived.history, lived.store, 30, 45)
    shape = lived.game.observation_shape
    assert {field: (tuple(column.shape), column.dtype) for field, column in found._asdict().items()} == {
        "observation": ((1, 15, *shape), getattr(torch, lived.game.observation_dtype)),
        "legal_actions": ((1, 15, lived.game.num_actions), torch.bool),
        "previous_action": ((1, 15), torch.int64),
        "previous_reward": ((1, 15), torch.float32),
        "first": ((1, 15), torch.bool),
        "first_of_life": ((1, 15), torch.bool),
    }
    assert (found.observation[0].numpy() == lived.seen[30:45]).all()


def test_windows_are_stretches_of_watched_moves(lives):
    """Each row must be the stretch that the slow reader finds at the place where its frames were seen."""
    watched, length = 80, 12
    source = WatchedLives([a.history for a in lives], [a.store for a in lives], watched)
    sampled = source.sample(40, length, np.random.default_rng(0))
    assert sampled.actions.shape == sampled.explored.shape == (40, length)
    assert (sampled.actions.dtype, sampled.explored.dtype) == (torch.int64, torch.bool)
    candidates = [
        (lived, start)
        for lived in lives
        for start in range(min(watched, lived.history.num_moves) - length + 1)
    ]
    for index in range(40):
        actions, explored = sampled.actions[index].tolist(), sampled.explored[index].tolist()
        matching = [
            (lived, start)
            for lived, start in candidates
            if lived.history.action[start : start + length].tolist() == actions
            and lived.history.explored[start : start + length].tolist() == explored
        ]
        assert row(sampled.timesteps, index) in [
            told(lived, range(start, start + length), memory_begins=start) for lived, start in matching
        ]


def test_windows_depend_on_the_generator_alone(lives):
    source = WatchedLives([a.history for a in lives], [a.store for a in lives], 80)
    one, again, other = (source.sample(8, 20, np.random.default_rng(seed)) for seed in (1, 1, 2))
    for a, b in zip((*one.timesteps, *one[1:]), (*again.timesteps, *again[1:]), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.actions, other.actions)


class Watcher:
    """A store that notes what is read."""

    def __init__(self, store: FrameStore) -> None:
        self.game, self._store, self.read = store.game, store, set[int]()

    def observations(self, start: int, stop: int, out: np.ndarray) -> np.ndarray:
        self.read |= set(range(start, stop))
        return self._store.observations(start, stop, out)


def test_no_move_at_or_after_w_is_ever_read(lives, tmp_path):
    """What comes after W is poisoned in one copy of the life: it must make no difference."""
    lived, watched = lives[1], 77
    poisoned = {name: getattr(lived.history, name).copy() for name in COLUMNS}
    poisoned["action"][watched:] = 255
    poisoned["reward"][watched:] = np.nan
    for name in ("terminated", "truncated", "explored"):
        poisoned[name][watched:] ^= True
    segments = lived.history.header.segments
    assert any(segment.first_move < watched < segment.first_move + segment.length for segment in segments)
    watchers = [Watcher(lived.store), Watcher(lived.store)]
    histories = [lived.history, dataclasses.replace(lived.history, **poisoned)]
    samples = [
        WatchedLives([history], [watcher], watched).sample(300, 10, np.random.default_rng(5))
        for history, watcher in zip(histories, watchers, strict=True)
    ]
    for a, b in zip(
        (*samples[0].timesteps, *samples[0][1:]), (*samples[1].timesteps, *samples[1][1:]), strict=True
    ):
        assert torch.equal(a, b)
    assert watchers[0].read == set(range(watched))  # all of them, in 300 windows, and no other


def test_a_store_of_the_watched_moves_is_enough(lives, tmp_path):
    history = lives[1].history
    store = frames.frames(history, 0, 77, processes=1, cache=tmp_path)
    assert len(list(store.folder.glob("seg*"))) < len(history.header.segments)
    WatchedLives([history], [store], 77).sample(100, 10, np.random.default_rng(0))


def test_every_stretch_is_equally_likely(lives):
    """Lives of 80, 80 and 30 watched moves hold 61, 61 and 11 stretches of 20."""
    source = WatchedLives([a.history for a in lives], [a.store for a in lives], 80)
    drawn: Counter[tuple[int, int]] = Counter()
    rng = np.random.default_rng(0)
    for _ in range(20):
        windows = source.sample(133, 20, rng)
        drawn.update(zip(windows.lives.tolist(), windows.starts.tolist(), strict=True))
    assert len(drawn) == 133
    assert {life: sum(1 for each, _ in drawn if each == life) for life in range(3)} == {0: 61, 1: 61, 2: 11}
    counts = np.array(list(drawn.values()))  # expected: 20 each
    chi_squared = ((counts - 20) ** 2 / 20).sum()
    assert chi_squared < 190  # 132 degrees of freedom: p = 0.0007


def test_windows_that_do_not_fit_are_refused(lives):
    source = WatchedLives([a.history for a in lives], [a.store for a in lives], 80)
    assert source.sample(2, 80, np.random.default_rng(0)).actions.shape == (2, 80)
    for moves in (81, 0):
        with pytest.raises(InputError, match=f"windows of {moves} moves: the longest watched life has 80"):
            source.sample(2, moves, np.random.default_rng(0))
    with pytest.raises(InputError, match="one game family; found no life"):
        WatchedLives([], [], 80)


def test_windows_are_successive_samples(lives):
    source = WatchedLives([a.history for a in lives], [a.store for a in lives], 80)
    rng = np.random.default_rng(3)
    for windows, _ in zip(source.windows(7, 5, np.random.default_rng(3)), range(4), strict=False):
        expected = source.sample(5, 7, rng)
        for one, other in zip(
            (*windows.timesteps, *windows[1:]), (*expected.timesteps, *expected[1:]), strict=True
        ):
            assert torch.equal(one, other)
        assert (windows.starts + 7 <= 80).all()


def test_in_order_every_watched_move_is_seen_once_as_it_was_lived(lives):
    """Lives of other lengths, three of them two at a time; windows of 30 don't divide any."""
    watched = 200
    source = WatchedLives([a.history for a in lives], [a.store for a in lives], watched)
    seen = [[] for _ in lives]
    for windows in source.in_order(30, 2):
        B, T = windows.actions.shape
        assert B <= 2
        assert T <= 30
        for row, (life, start) in enumerate(
            zip(windows.lives.tolist(), windows.starts.tolist(), strict=True)
        ):
            whole = timesteps(lives[life].history, lives[life].store, start, start + T)
            for one, other in zip(windows.timesteps, whole, strict=True):
                assert torch.equal(one[row], other[0])
            assert (windows.actions[row].numpy() == lives[life].history.action[start : start + T]).all()
            assert (windows.explored[row].numpy() == lives[life].history.explored[start : start + T]).all()
            seen[life] += range(start, start + T)
    assert seen == [list(range(min(watched, life.history.num_moves))) for life in lives]


def test_arrays_share_the_tensors_memory(lives):
    windows = WatchedLives([lives[0].history], [lives[0].store], 80).sample(3, 9, np.random.default_rng(0))
    arrays = windows.arrays()
    assert isinstance(arrays.timesteps.observation, np.ndarray)
    assert np.shares_memory(arrays.actions, windows.actions.numpy())
    assert (arrays.timesteps.previous_reward == windows.timesteps.previous_reward.numpy()).all()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_pinned_batches_need_a_device(lives):
    source = WatchedLives([lives[0].history], [lives[0].store], 80)
    with pytest.raises(InputError, match="pinned batches are for a CUDA device"):
        source.sample(3, 9, np.random.default_rng(0), pinned=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_pinned_batches_are_pinned(lives):
    source = WatchedLives([lives[0].history], [lives[0].store], 80)
    windows = source.sample(3, 9, np.random.default_rng(0), pinned=True)
    assert all(tensor.is_pinned() for tensor in (*windows.timesteps, windows.actions, windows.explored))
