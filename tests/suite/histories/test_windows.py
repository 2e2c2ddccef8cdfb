"""Windows and timesteps of watched runs, compared move by move with the observations during recording."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from understudy.suite import games
from understudy.suite.errors import InputError
from understudy.suite.histories import frame_store, history_format
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.histories.frame_store import FrameStore
from understudy.suite.histories.history_format import COLUMNS, History
from understudy.suite.histories.timesteps import timesteps, timesteps_with_empty_memory
from understudy.suite.histories.windows import WatchedRuns
from understudy.suite.protocols import Game, Timestep
from understudy.suite.testing.history_checks import play_on, random_runs


@dataclasses.dataclass
class RecordedRun:
    """A recorded run and the observations during recording."""

    game: Game
    history: History
    store: FrameStore
    seen: np.ndarray  # [n, *observation_shape]


def record(name: str, moves: int, folder: Path, seed: int = 0) -> RecordedRun:
    game = games.load(name)
    (run,) = random_runs(game, folder / f"seed-{seed}", 1, seed)
    seen = np.array([recorder.observation[0].copy() for recorder in play_on([run], SegmentRule(40), moves)])
    history = history_format.read(run.path)
    return RecordedRun(game, history, frame_store.open_store(history, processes=1, cache=folder), seen)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[RecordedRun]:
    folder = tmp_path_factory.mktemp("runs")
    lengths = (90, 140, 30)
    return [record("minatar/breakout", moves, folder, seed) for seed, moves in enumerate(lengths)]


def expected_timesteps(run: RecordedRun, moves: Sequence[int], memory_begins: int) -> list[dict[str, object]]:
    """Return the timestep of each move as `protocols.Timestep` defines it."""
    history, rows = run.history, []
    for move in moves:
        nothing_before = move == memory_begins
        rows.append(
            {
                "observation": run.seen[move].tolist(),
                "legal_actions": list(run.game.legal_actions),
                "previous_action": 0 if nothing_before else int(history.action[move - 1]),
                "previous_reward": 0.0 if nothing_before else float(history.reward[move - 1]),
                "first": move == 0 or bool(history.terminated[move - 1] or history.truncated[move - 1]),
                "first_of_run": nothing_before,
            }
        )
    return rows


def row(timesteps: Timestep, index: int) -> list[dict[str, object]]:
    """Return one row of timesteps [B, T, ...] in the same form."""
    columns = {name: getattr(timesteps, name)[index].tolist() for name in Timestep._fields}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def test_timesteps_are_those_of_the_recorded_moves(runs):
    for run in runs:
        n = run.history.num_moves
        for start, stop in [(0, n), (0, 1), (1, 2), (17, 29), (n - 1, n)]:
            found = timesteps(run.history, run.store, start, stop)
            assert row(found, 0) == expected_timesteps(run, range(start, stop), memory_begins=0)
            fresh = timesteps_with_empty_memory(run.history, run.store, start, stop)
            assert row(fresh, 0) == expected_timesteps(run, range(start, stop), memory_begins=start)


@pytest.mark.parametrize("name", ["darkroom/goal-40", "minatar/seaquest", "atari/breakout"])
def test_timesteps_have_the_protocols_shapes_and_types(name, tmp_path):
    run = record(name, 45, tmp_path)
    found = timesteps(run.history, run.store, 30, 45)
    shape = run.game.observation_shape
    assert {field: (tuple(column.shape), column.dtype) for field, column in found._asdict().items()} == {
        "observation": ((1, 15, *shape), getattr(torch, run.game.observation_dtype)),
        "legal_actions": ((1, 15, run.game.num_actions), torch.bool),
        "previous_action": ((1, 15), torch.int64),
        "previous_reward": ((1, 15), torch.float32),
        "first": ((1, 15), torch.bool),
        "first_of_run": ((1, 15), torch.bool),
    }
    assert (found.observation[0].numpy() == run.seen[30:45]).all()


def test_windows_are_consecutive_watched_moves(runs):
    """Each row must equal a window, built move by move, of the same actions and explored flags."""
    watched, length = 80, 12
    source = WatchedRuns([a.history for a in runs], [a.store for a in runs], watched)
    sampled = source.sample(40, length, np.random.default_rng(0))
    assert sampled.actions.shape == sampled.explored.shape == (40, length)
    assert (sampled.actions.dtype, sampled.explored.dtype) == (torch.int64, torch.bool)
    candidates = [
        (run, start) for run in runs for start in range(min(watched, run.history.num_moves) - length + 1)
    ]
    for index in range(40):
        actions, explored = sampled.actions[index].tolist(), sampled.explored[index].tolist()
        matching = [
            (run, start)
            for run, start in candidates
            if run.history.action[start : start + length].tolist() == actions
            and run.history.explored[start : start + length].tolist() == explored
        ]
        assert row(sampled.timesteps, index) in [
            expected_timesteps(run, range(start, start + length), memory_begins=start)
            for run, start in matching
        ]


def test_windows_depend_on_the_generator_alone(runs):
    source = WatchedRuns([a.history for a in runs], [a.store for a in runs], 80)
    one, again, other = (source.sample(8, 20, np.random.default_rng(seed)) for seed in (1, 1, 2))
    for a, b in zip((*one.timesteps, *one[1:]), (*again.timesteps, *again[1:]), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.actions, other.actions)


class SpyStore:
    """A store that records which moves are read."""

    def __init__(self, store: FrameStore) -> None:
        self.game, self._store, self.read = store.game, store, set[int]()

    def observations(self, start: int, stop: int, out: np.ndarray) -> np.ndarray:
        self.read |= set(range(start, stop))
        return self._store.observations(start, stop, out)


def test_no_move_at_or_after_w_is_ever_read(runs, tmp_path):
    """Moves after W are altered in one copy of the run, which must make no difference."""
    run, watched = runs[1], 77
    poisoned = {name: getattr(run.history, name).copy() for name in COLUMNS}
    poisoned["action"][watched:] = 255
    poisoned["reward"][watched:] = 1e9
    for name in ("terminated", "truncated", "explored"):
        poisoned[name][watched:] ^= True
    segments = run.history.header.segments
    assert any(segment.first_move < watched < segment.first_move + segment.length for segment in segments)
    spies = [SpyStore(run.store), SpyStore(run.store)]
    histories = [run.history, dataclasses.replace(run.history, **poisoned)]
    samples = [
        WatchedRuns([history], [spy], watched).sample(300, 10, np.random.default_rng(5))
        for history, spy in zip(histories, spies, strict=True)
    ]
    for a, b in zip(
        (*samples[0].timesteps, *samples[0][1:]), (*samples[1].timesteps, *samples[1][1:]), strict=True
    ):
        assert torch.equal(a, b)
    assert spies[0].read == set(range(watched))  # 300 windows read all of these, and no other


def test_a_store_of_the_watched_moves_is_enough(runs, tmp_path):
    history = runs[1].history
    store = frame_store.open_store(history, 0, 77, processes=1, cache=tmp_path)
    assert len(list(store.folder.glob("seg*"))) < len(history.header.segments)
    WatchedRuns([history], [store], 77).sample(100, 10, np.random.default_rng(0))


def test_every_window_is_equally_likely(runs):
    """Runs of 80, 80 and 30 watched moves have 61, 61 and 11 windows of 20."""
    source = WatchedRuns([a.history for a in runs], [a.store for a in runs], 80)
    drawn: Counter[tuple[int, int]] = Counter()
    rng = np.random.default_rng(0)
    for _ in range(20):
        windows = source.sample(133, 20, rng)
        drawn.update(zip(windows.runs.tolist(), windows.starts.tolist(), strict=True))
    assert len(drawn) == 133
    assert {run: sum(1 for each, _ in drawn if each == run) for run in range(3)} == {0: 61, 1: 61, 2: 11}
    counts = np.array(list(drawn.values()))  # expected: 20 each
    chi_squared = ((counts - 20) ** 2 / 20).sum()
    assert chi_squared < 190  # 132 degrees of freedom: p = 0.0007


def test_windows_that_do_not_fit_are_refused(runs):
    source = WatchedRuns([a.history for a in runs], [a.store for a in runs], 80)
    assert source.sample(2, 80, np.random.default_rng(0)).actions.shape == (2, 80)
    for moves in (81, 0):
        with pytest.raises(InputError, match=f"windows of {moves} moves: the longest watched run has 80"):
            source.sample(2, moves, np.random.default_rng(0))
    with pytest.raises(InputError, match="one game family; found no run"):
        WatchedRuns([], [], 80)


def test_windows_are_successive_samples(runs):
    source = WatchedRuns([a.history for a in runs], [a.store for a in runs], 80)
    rng = np.random.default_rng(3)
    for windows, _ in zip(source.windows(7, 5, np.random.default_rng(3)), range(4), strict=False):
        expected = source.sample(5, 7, rng)
        for one, other in zip(
            (*windows.timesteps, *windows[1:]), (*expected.timesteps, *expected[1:]), strict=True
        ):
            assert torch.equal(one, other)
        assert (windows.starts + 7 <= 80).all()


def test_in_order_every_watched_move_comes_once_as_it_was_played(runs):
    """Three runs of different lengths, two at a time; windows of 30 divide none of them."""
    watched = 200
    source = WatchedRuns([a.history for a in runs], [a.store for a in runs], watched)
    seen = [[] for _ in runs]
    for windows in source.in_order(30, 2):
        B, T = windows.actions.shape
        assert B <= 2
        assert T <= 30
        for row, (run, start) in enumerate(zip(windows.runs.tolist(), windows.starts.tolist(), strict=True)):
            whole = timesteps(runs[run].history, runs[run].store, start, start + T)
            for one, other in zip(windows.timesteps, whole, strict=True):
                assert torch.equal(one[row], other[0])
            assert (windows.actions[row].numpy() == runs[run].history.action[start : start + T]).all()
            assert (windows.explored[row].numpy() == runs[run].history.explored[start : start + T]).all()
            seen[run] += range(start, start + T)
    assert seen == [list(range(min(watched, run.history.num_moves))) for run in runs]


def test_arrays_share_the_tensors_memory(runs):
    windows = WatchedRuns([runs[0].history], [runs[0].store], 80).sample(3, 9, np.random.default_rng(0))
    arrays = windows.arrays()
    assert isinstance(arrays.timesteps.observation, np.ndarray)
    assert np.shares_memory(arrays.actions, windows.actions.numpy())
    assert (arrays.timesteps.previous_reward == windows.timesteps.previous_reward.numpy()).all()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_pinned_batches_need_a_device(runs):
    source = WatchedRuns([runs[0].history], [runs[0].store], 80)
    with pytest.raises(InputError, match="pinned batches need a CUDA device"):
        source.sample(3, 9, np.random.default_rng(0), pinned=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_pinned_batches_are_pinned(runs):
    source = WatchedRuns([runs[0].history], [runs[0].store], 80)
    windows = source.sample(3, 9, np.random.default_rng(0), pinned=True)
    assert all(tensor.is_pinned() for tensor in (*windows.timesteps, windows.actions, windows.explored))


@pytest.fixture(scope="module")
def dark(tmp_path_factory: pytest.TempPathFactory) -> WatchedRuns:
    """One run of 200 moves of Dark room, read with an episode stride of 4."""
    run = record("darkroom/goal-40", 200, tmp_path_factory.mktemp("dark"))
    return WatchedRuns([run.history], [run.store], 200, episode_stride=4)


def episodes_of(run: RecordedRun) -> list[range]:
    """Return the moves of each episode, the last one as far as it was recorded."""
    ended = run.history.terminated | run.history.truncated
    starts = [0, *(np.flatnonzero(ended[:-1]) + 1).tolist(), run.history.num_moves]
    return [range(start, stop) for start, stop in itertools.pairwise(starts)]


@pytest.mark.parametrize("stride", [2, 3])
def test_strided_windows_are_every_kth_episode_as_if_the_others_were_not_played(stride, runs):
    histories, stores = [run.history for run in runs], [run.store for run in runs]
    watched = WatchedRuns(histories, stores, 120, episode_stride=stride)
    windows = watched.sample(200, 25, np.random.default_rng(3))
    for b in range(200):
        run = runs[int(windows.runs[b])]
        episodes = [[m for m in episode if m < 120] for episode in episodes_of(run)]
        fitting = [
            (moves, sum(map(len, episodes[first % stride : first : stride])))
            for first in range(len(episodes))
            if (moves := [m for episode in episodes[first::stride] for m in episode][:25])
            and run.history.action[moves].tolist() == windows.actions[b].tolist()
        ]
        ((moves, kept_before),) = fitting
        assert int(windows.starts[b]) == kept_before
        expected = expected_timesteps(run, moves, memory_begins=moves[0])
        for t, before in enumerate(moves[:-1], 1):
            expected[t]["previous_action"] = int(run.history.action[before])
            expected[t]["previous_reward"] = float(run.history.reward[before])
        assert row(windows.timesteps, b) == expected
        assert windows.actions[b].tolist() == run.history.action[moves].tolist()
        assert windows.explored[b].tolist() == run.history.explored[moves].tolist()


def test_every_possible_first_episode_of_a_strided_window_is_equally_likely(dark):
    """Dark room's episodes have 20 moves: a run of 200 has 10, and three of every 4th span 9 of them.

    Windows of two can begin with episodes 0 to 5; of these, 4 and 5 have one kept episode before them.
    """
    drawn = dark.sample(4000, 60, np.random.default_rng(1))
    counts = Counter(tuple(actions) for actions in drawn.actions.tolist())
    assert len(counts) == 2
    assert all(abs(count - 2000) < 200 for count in counts.values())
    assert len({tuple(a) for a in dark.sample(4000, 41, np.random.default_rng(1)).actions.tolist()}) == 2
    drawn = dark.sample(6000, 40, np.random.default_rng(1))
    assert len({tuple(actions) for actions in drawn.actions.tolist()}) == 6
    assert Counter(drawn.starts.tolist()).keys() == {0, 20}
    assert abs(Counter(drawn.starts.tolist())[20] - 2000) < 200


def test_strided_windows_that_do_not_fit_are_refused(dark):
    with pytest.raises(InputError, match="windows of 61 moves with episode_stride 4: no watched run has so"):
        dark.sample(1, 61, np.random.default_rng(0))


def test_windows_of_the_last_moves_lie_within_them(runs):
    """Of 50 moves there are 31 windows of 20; the shortest run has 30 moves, all within its last 50."""
    watched = WatchedRuns([run.history for run in runs], [run.store for run in runs], 120, last_moves=50)
    drawn = watched.sample(20_000, 20, np.random.default_rng(2))
    counts = Counter(zip(drawn.runs.tolist(), drawn.starts.tolist(), strict=True))
    assert set(counts) == {
        (run, start)
        for run, moves in enumerate(watched.moves)
        for start in range(max(moves - 50, 0), moves - 19)
    }
    mean = 20_000 / len(counts)
    assert all(abs(count - mean) < 5 * mean**0.5 for count in counts.values())
    with pytest.raises(InputError, match="the longest watched run has 50 in its last_moves; choose shorter"):
        watched.sample(1, 51, np.random.default_rng(0))


def test_last_moves_that_are_more_than_a_run_has_are_all_of_it(runs):
    histories, stores = [run.history for run in runs], [run.store for run in runs]
    every, last = (WatchedRuns(histories, stores, 120, last_moves=n) for n in (0, 10_000))
    one, other = (source.sample(50, 20, np.random.default_rng(2)) for source in (every, last))
    assert all(torch.equal(a, b) for a, b in zip(one[1:], other[1:], strict=True))


def test_strided_windows_of_the_last_moves_begin_with_an_episode_in_them(dark):
    """Of the last 130 of 200 moves: episodes 4 to 9; two of every 4th begin with 4 or 5, moves 80 and 100."""
    (run,) = dark._runs
    last = WatchedRuns([run[0]], [run[1]], 200, episode_stride=4, last_moves=130)
    drawn = last.sample(2000, 40, np.random.default_rng(1))
    moves = [[*range(m, m + 20), *range(m + 80, m + 100)] for m in (80, 100)]
    assert {tuple(a) for a in drawn.actions.tolist()} == {tuple(run[0].action[m].tolist()) for m in moves}


def test_observations_are_the_same_from_memory_and_from_the_store(runs, monkeypatch):
    def sample() -> list[dict[str, object]]:
        watched = WatchedRuns([run.history for run in runs], [run.store for run in runs], 120)
        windows = watched.sample(8, 20, np.random.default_rng(5))
        return [each for b in range(8) for each in row(windows.timesteps, b)]

    from_memory = sample()
    monkeypatch.setattr("understudy.suite.histories.windows.IN_MEMORY_BYTES", 0)
    assert sample() == from_memory
