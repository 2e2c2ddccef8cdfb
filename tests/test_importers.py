"""Importers: files of the true layouts come in move for move, in constant memory; damage is one line."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import h5py
import numpy as np
import pytest
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage
from PIL import Image

from understudy import cli
from understudy.suite import games, registry
from understudy.suite.errors import InputError
from understudy.suite.histories import foreign, importers
from understudy.suite.histories import format as history_format
from understudy.suite.histories.foreign import Steps
from understudy.suite.histories.importers import _screens

BREAKOUT = games.load("atari/breakout")
MINIMAL = (0, 1, 3, 4)  # of Breakout, from ALE's own table
N = 64  # rows of a shard in these tests; a million in the data set


class Move(NamedTuple):
    """One move that a player made, or a row of padding."""

    frame: np.ndarray  # uint8 [84, 84]
    action: int  # in the minimal set
    reward: float
    terminal: int


PADDING = Move(np.zeros((84, 84), np.uint8), 0, 0.0, 0)


class ReplayLog:
    """Dopamine's circular buffer and the data set's logger, row by row, as their sources describe them."""

    def __init__(self, rows: int) -> None:
        self.rows: list[Move] = [Move(np.full((84, 84), 99, np.uint8), 9, 7.0, 1)] * rows  # not written yet
        self.count = 0
        self.moves: list[tuple[int, Move]] = []  # with the position among all rows ever written
        self.shards: list[tuple[int, list[Move]]] = []  # (add_count, rows)

    def add(self, move: Move) -> None:
        if self.count == 0 or self.rows[(self.count - 1) % len(self.rows)].terminal:
            for _ in range(3):
                self._write(PADDING)
        self.moves.append((self.count, move))
        self._write(move)
        if self.count % len(self.rows) == len(self.rows) - 1:
            self.shards.append((self.count, list(self.rows)))

    def finish(self) -> None:
        """Store what is left, with the count that the logger gives it."""
        self.shards.append((self.count % len(self.rows), list(self.rows)))

    def stored(self) -> list[Move]:
        """Return the moves that some shard of this log holds, in order."""
        size = len(self.rows)
        held: set[int] = set()
        for k, (count, _) in enumerate(self.shards):
            if k == 0 or count >= size:
                held |= set(range(count - size, count))
            else:
                held |= set(range(self.count - count, self.count))
        return [move for position, move in self.moves if position in held]

    def _write(self, move: Move) -> None:
        self.rows[self.count % len(self.rows)] = move
        self.count += 1


def played(seed: int, moves: int, lengths: tuple[int, int] = (5, 40), size: int = N) -> ReplayLog:
    """Return the log of a player whose episodes have some of these lengths; black screens among them."""
    rng = np.random.default_rng(seed)
    log = ReplayLog(size)
    left = int(rng.integers(*lengths))
    for _ in range(moves):
        frame = rng.integers(0, 256, (84, 84)).astype(np.uint8) if rng.random() < 0.9 else PADDING.frame
        left -= 1
        log.add(Move(frame, int(rng.integers(4)), float(rng.integers(-1, 2)), int(left == 0)))
        left = left or int(rng.integers(*lengths))
    return log


def without_gap(seed: int, moves: int, **how: Any) -> ReplayLog:
    """Return such a log in which every round was stored; an episode's start on the last row skips one."""
    for attempt in range(seed, seed + 1000):
        log = played(attempt, moves, **how)
        if [count for count, _ in log.shards] == [(k + 1) * N - 1 for k in range((log.count + 1) // N)]:
            return log
    raise AssertionError


def columns(rows: list[Move]) -> dict[str, np.ndarray]:
    return {
        "observation": np.array([row.frame for row in rows]),
        "action": np.array([row.action for row in rows], np.int32),
        "reward": np.array([row.reward for row in rows], np.float32),
        "terminal": np.array([row.terminal for row in rows], np.uint8),
    }


def save_gz(path: Path, array: np.ndarray) -> None:
    with gzip.open(path, "wb", compresslevel=1) as file:
        np.save(file, array)


def write_replay_logs(folder: Path, log: ReplayLog, counts: bool = True) -> Path:
    folder.mkdir(parents=True)
    for number, (count, rows) in enumerate(log.shards):
        for name, column in columns(rows).items():
            save_gz(folder / f"$store$_{name}_ckpt.{number}.gz", column)
        if counts:
            save_gz(folder / f"add_count_ckpt.{number}.gz", np.array(count))
        save_gz(folder / f"invalid_range_ckpt.{number}.gz", np.arange(5))
    return folder


def described(array: np.ndarray) -> dict[str, Any]:
    return {
        "device": "cpu",
        "shape": list(array.shape),
        "dtype": f"torch.{array.dtype}",
        "is_nested": False,
    }


def write_torchrl(folder: Path, log: ReplayLog) -> Path:
    """Write what torchrl 0.14 with tensordict 0.14 writes for these shards, file for file."""
    tensordict = {"shape": [], "device": "cpu", "_type": "<class 'tensordict._td.TensorDict'>"}
    nested = {"type": "TensorDict"}
    for number, (count, rows) in enumerate(log.shards):
        shard = folder / str(number)
        stored = columns(rows)
        unused = np.zeros((1, 84, 84), np.uint8)
        places = {
            "invalid_range": np.arange(5),
            "add_count": np.array(count),
            "data/action": stored["action"],
            "data/observation": np.concatenate([stored["observation"], unused]),
            "data/next/terminated": stored["terminal"],
            "data/next/reward": stored["reward"],
        }
        metas: dict[str, dict[str, Any]] = {
            "": {"data": nested, "dataset_id": {"type": "NonTensorData"}},
            "data": {"next": nested},
            "data/next": {},
        }
        (shard / "data" / "next").mkdir(parents=True)
        for place, array in places.items():
            (shard / f"{place}.memmap").write_bytes(array.tobytes())
            parent, _, name = place.rpartition("/")
            metas[parent][name] = described(array)
        for place, meta in metas.items():
            (shard / place / "meta.json").write_text(json.dumps({**meta, **tensordict}))
    (folder / "processed.json").write_text('{"processed": null}')
    return folder


WRITERS: dict[str, Callable[[Path, ReplayLog], Path]] = {
    "dqn-replay": write_replay_logs,
    "torchrl": write_torchrl,
}


def imported(name: str, folder: Path, game: Any = BREAKOUT, shards: range | None = None) -> Steps:
    """Return all moves of an import, joined."""
    return joined(importers.importer(name).open(folder, game, shards).steps)


def joined(steps: Iterator[Steps]) -> Steps:
    parts = list(steps)
    assert max(len(part.action) for part in parts) <= importers.BLOCK_MOVES
    return Steps(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def assert_equal(found: Steps, expected: list[Move], cut: tuple[int, ...] = ()) -> None:
    wanted = columns(expected)
    np.testing.assert_array_equal(found.frames, wanted["observation"])
    np.testing.assert_array_equal(found.action, np.array(MINIMAL)[wanted["action"]])
    np.testing.assert_array_equal(found.reward, wanted["reward"])
    np.testing.assert_array_equal(found.terminated, wanted["terminal"] == 1)
    assert np.flatnonzero(found.truncated).tolist() == list(cut)
    assert [column.dtype for column in found] == ["uint8", "uint8", "float32", "bool", "bool"]


# --- the DQN Replay dataset, as published and as TorchRL keeps it


@pytest.mark.parametrize("name", WRITERS)
def test_shards_come_in_move_for_move(name, tmp_path):
    log = without_gap(0, 300)
    assert len(log.shards) >= 4
    folder = WRITERS[name](tmp_path / "run", log)
    assert_equal(imported(name, folder), log.stored())


@pytest.mark.parametrize("seed", range(3))
def test_the_last_stored_round_may_be_half_full(seed, tmp_path):
    log = without_gap(10 * seed, 200)
    log.finish()
    folder = write_replay_logs(tmp_path / "1" / "replay_logs", log)
    opened = importers.importer("dqn-replay").open(folder.parent, BREAKOUT, None)  # the run's folder does
    assert any("ends the run" in line for line in opened.lacks)
    assert_equal(joined(opened.steps), [move for _, move in log.moves])


def test_a_round_that_was_never_stored_is_said_and_cuts_the_episode(tmp_path):
    seed = next(s for s in range(1000) if skips_a_round(played(s, 400)))
    log = played(seed, 400)
    folder = write_replay_logs(tmp_path / "run", log)
    opened = importers.importer("dqn-replay").open(folder, BREAKOUT, None)
    assert any(line.startswith(f"{N} rows are missing before shard") for line in opened.lacks)
    found = joined(opened.steps)
    stored = log.stored()
    positions = np.array([position for position, move in log.moves if any(move is held for held in stored)])
    (gap,) = np.flatnonzero(np.diff(positions) > 3 + 1)  # padding lies between episodes
    expected = () if stored[gap].terminal else (gap,)
    assert_equal(found, stored, cut=expected)


def skips_a_round(log: ReplayLog) -> bool:
    """Whether just one round is missing, in the middle of an episode."""
    counts = [count for count, _ in log.shards]
    steps = np.diff(counts).tolist()
    return steps.count(2 * N) == 1 and set(steps) <= {N, 2 * N} and counts[0] == N - 1


def test_some_shards_of_a_run(tmp_path):
    log = without_gap(0, 300)
    folder = write_replay_logs(tmp_path / "run", log)
    opened = importers.importer("dqn-replay").open(folder, BREAKOUT, range(2, 4))
    assert any(line.startswith("it begins with shard 2") for line in opened.lacks)
    found = joined(opened.steps)
    log.shards = log.shards[2:4]
    first = log.shards[0][0] - N
    wanted = [move for position, move in log.moves if first <= position < log.shards[1][0]]
    assert_equal(found, wanted)


def test_without_counts_shards_are_taken_to_be_full(tmp_path):
    log = without_gap(0, 300)
    folder = write_replay_logs(tmp_path / "run", log, counts=False)
    opened = importers.importer("dqn-replay").open(folder, BREAKOUT, None)
    assert any(line.startswith("no add_count files") for line in opened.lacks)
    assert_equal(joined(opened.steps), log.stored())


def test_overlapping_checkpoints_give_each_move_once(tmp_path):
    """Dopamine's own checkpoints keep the whole buffer each time."""
    log = ReplayLog(N)
    whole = played(5, 150, lengths=(200, 201))
    for number, (_, move) in enumerate(whole.moves):
        log.add(move)
        if number % 30 == 29:
            log.shards.append((log.count, list(log.rows)))
    log.shards = [shard for k, shard in enumerate(sorted(log.shards, key=lambda s: s[0])) if k >= 2]
    folder = write_replay_logs(tmp_path / "run", log)
    found = imported("dqn-replay", folder)
    oldest = max(0, log.shards[0][0] - N)
    assert_equal(found, [m for position, m in log.moves if oldest <= position < log.shards[-1][0]])


def test_an_end_at_the_cap_is_truncated(tmp_path):
    log = without_gap(0, 150, lengths=(20, 21))
    folder = write_replay_logs(tmp_path / "run", log)
    found = imported("dqn-replay", folder, dataclasses.replace(BREAKOUT, episode_cap_moves=20))
    ends = np.flatnonzero(columns(log.stored())["terminal"])
    assert len(ends) > 3
    np.testing.assert_array_equal(np.flatnonzero(found.truncated), ends)
    assert not found.terminated.any()


def test_blocks_and_episodes_cross_each_other(tmp_path, monkeypatch):
    log = without_gap(0, 300)
    folder = write_replay_logs(tmp_path / "run", log)
    for block in (1, 7):
        monkeypatch.setattr("understudy.suite.histories.importers.dqn_replay.BLOCK_MOVES", block)
        assert_equal(imported("dqn-replay", folder), log.stored())


@pytest.mark.parametrize("variant", games.family("atari").variants())
def test_minimal_actions_are_those_of_the_emulator(variant):
    from ale_py import ALEInterface, LoggerMode, roms

    from understudy.suite.histories.importers import _columns

    ALEInterface.setLoggerMode(LoggerMode.Error)
    emulator = ALEInterface()
    emulator.loadROM(roms.get_rom_path(variant))
    minimal = [action.value for action in emulator.getMinimalActionSet()]
    game = games.load(f"atari/{variant}")
    assert _columns.action_table(game, len(minimal), "here").tolist() == minimal


def test_memory_does_not_grow_with_the_shard(tmp_path):
    peaks = []
    for rows in (3_000, 12_000):
        folder = tmp_path / str(rows)
        folder.mkdir()
        save_gz(folder / "$store$_observation_ckpt.0.gz", np.zeros((rows, 84, 84), np.uint8))
        save_gz(folder / "$store$_action_ckpt.0.gz", np.ones(rows, np.int32))
        save_gz(folder / "$store$_reward_ckpt.0.gz", np.zeros(rows, np.float32))
        save_gz(folder / "$store$_terminal_ckpt.0.gz", np.zeros(rows, np.uint8))
        tracemalloc.start()
        moves = sum(
            len(part.action) for part in importers.importer("dqn-replay").open(folder, BREAKOUT, None).steps
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert moves == rows - 1
    assert peaks[1] < peaks[0] * 1.1
    assert peaks[1] < 5 * importers.BLOCK_MOVES * 84 * 84


def one_shard(folder: Path) -> Path:
    return write_replay_logs(folder, without_gap(0, 140))


def replaced(name: str, array: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: save_gz(folder / name, array)


def cut_short(folder: Path) -> None:
    path = folder / "$store$_observation_ckpt.1.gz"
    path.write_bytes(path.read_bytes()[:-200])


def flipped(folder: Path) -> None:
    path = folder / "$store$_observation_ckpt.1.gz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(bytes(data))


def with_row(name: str, value: float, dtype: str) -> Callable[[Path], None]:
    column = np.zeros(N, dtype)
    column[40] = value
    return replaced(name, column)


REPLAY_DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "absent column": (
        lambda folder: (folder / "$store$_reward_ckpt.1.gz").unlink(),
        r"\$store\$_reward_ckpt.1.gz: missing; a shard is 4 files",
    ),
    "truncated": (cut_short, r"observation_ckpt.1.gz: truncated or damaged .*fetch it again"),
    "flipped": (flipped, r"observation_ckpt.1.gz: truncated or damaged"),
    "not gzip": (
        lambda folder: (folder / "$store$_action_ckpt.0.gz").write_bytes(b"hello"),
        r"action_ckpt.0.gz: truncated or damaged \(Not a gzipped file",
    ),
    "not npy": (
        lambda folder: (folder / "$store$_action_ckpt.0.gz").write_bytes(gzip.compress(b"hello, hello")),
        r"action_ckpt.0.gz: expected a gzipped .npy file",
    ),
    "too short": (
        replaced("$store$_terminal_ckpt.0.gz", np.zeros(N - 1, np.uint8)),
        r"terminal_ckpt.0.gz: expected \[64\] as in .*action_ckpt.0.gz, found \[63\]",
    ),
    "other frames": (
        replaced("$store$_observation_ckpt.0.gz", np.zeros((N, 80, 80), np.uint8)),
        r"observation_ckpt.0.gz: expected \[64, 84, 84\] .* found \[64, 80, 80\]",
    ),
    "float frames": (
        replaced("$store$_observation_ckpt.0.gz", np.zeros((N, 84, 84), np.float32)),
        r"observation_ckpt.0.gz: expected uint8, found float32",
    ),
    "Fortran order": (
        replaced("$store$_observation_ckpt.0.gz", np.asfortranarray(np.ones((N, 84, 84), np.uint8))),
        r"observation_ckpt.0.gz: expected rows in C order",
    ),
    "no rows": (
        replaced("$store$_action_ckpt.0.gz", np.zeros(0, np.int32)),
        r"action_ckpt.0.gz: expected rows, found an array of shape \[0\]",
    ),
    "action": (
        with_row("$store$_action_ckpt.0.gz", 4, "int32"),
        r"action_ckpt.0.gz: row 40: action 4, expected 0 to 3 for atari/breakout; is it the right game",
    ),
    "float action": (
        with_row("$store$_action_ckpt.0.gz", 1, "float32"),
        r"action_ckpt.0.gz: expected integer actions \[n\], found float32",
    ),
    "reward": (
        with_row("$store$_reward_ckpt.0.gz", np.nan, "float32"),
        r"reward_ckpt.0.gz: row 40: reward nan, expected a finite number",
    ),
    "terminal": (
        with_row("$store$_terminal_ckpt.0.gz", 2, "uint8"),
        r"terminal_ckpt.0.gz: row 40: flag 2, expected 0 or 1",
    ),
    "one count absent": (
        lambda folder: (folder / "add_count_ckpt.1.gz").unlink(),
        r"no add_count of shard 1, but of others",
    ),
    "counts fall": (
        replaced("add_count_ckpt.0.gz", np.array(500)),
        r"shard 1 ends at row 127 of the life, the one before at 500; these shards are not of one run",
    ),
    "count of nothing": (replaced("add_count_ckpt.0.gz", np.array(0)), r"add_count 0, expected 1 or more"),
}


@pytest.mark.parametrize("damage", REPLAY_DAMAGE)
def test_damaged_shards_are_refused_in_one_line(damage, tmp_path):
    folder = one_shard(tmp_path / "run")
    spoil, message = REPLAY_DAMAGE[damage]
    spoil(folder)
    with pytest.raises(InputError, match=message) as caught:
        imported("dqn-replay", folder)
    assert "\n" not in str(caught.value)


def test_absent_shards_and_folders_are_refused(tmp_path):
    folder = one_shard(tmp_path / "run")
    with pytest.raises(InputError, match=r"shard 2 is missing \(found 0-1\)"):
        imported("dqn-replay", folder, shards=range(1, 3))
    for path in folder.glob("*.0.gz"):
        path.rename(str(path).replace(".0.gz", ".3.gz"))
    with pytest.raises(InputError, match=r"shard 2 is missing \(found 1, 3\)"):
        imported("dqn-replay", folder)
    with pytest.raises(InputError, match="no such folder"):
        imported("dqn-replay", tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"expected .*ckpt.0.gz ..., found none"):
        imported("dqn-replay", tmp_path / "empty")
    with pytest.raises(InputError, match="found none"):
        imported("torchrl", tmp_path / "empty")
    with pytest.raises(InputError, match="no such folder"):
        imported("torchrl", tmp_path / "absent")


@pytest.mark.parametrize("name", WRITERS)
def test_another_family_is_refused(name, tmp_path):
    with pytest.raises(InputError, match="data are of Atari games"):
        imported(name, tmp_path, games.load("minatar/breakout"))


def edited(place: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        meta = json.loads((folder / place).read_text())
        change(meta)
        (folder / place).write_text(json.dumps(meta))

    return spoil


TORCHRL_DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut": (
        lambda folder: (folder / "1/data/observation.memmap").write_bytes(b"123"),
        r"1/data/observation.memmap: 3 bytes, its meta.json says 458,640",
    ),
    "absent": (
        lambda folder: (folder / "1/data/next/reward.memmap").unlink(),
        r"1/data/next/reward.memmap: missing",
    ),
    "no meta": (lambda folder: (folder / "0/data/meta.json").unlink(), r"0/data/meta.json: no such file"),
    "bad meta": (
        lambda folder: (folder / "0/data/meta.json").write_text("{"),
        r"0/data/meta.json: not readable JSON",
    ),
    "no entry": (
        edited("0/data/meta.json", lambda meta: meta.pop("action")),
        r"0/data/meta.json: expected 'action' with a shape .* found None",
    ),
    "odd dtype": (
        edited("0/data/meta.json", lambda meta: meta["action"].update(dtype="torch.complex64")),
        r"expected 'action' with a shape and one of torch.uint8",
    ),
    "odd shape": (
        edited("0/data/meta.json", lambda meta: meta["action"].update(shape=[-1])),
        r"expected 'action' with a shape",
    ),
    "other length": (
        edited("0/data/meta.json", lambda meta: meta["observation"].update(shape=[65, 42, 168])),
        r"observation.memmap: expected \[65, 84, 84\], found \[65, 42, 168\]",
    ),
    "float frames": (
        edited("0/data/meta.json", lambda meta: meta["observation"].update(dtype="torch.bool")),
        r"observation.memmap: expected uint8, found bool",
    ),
}


@pytest.mark.parametrize("damage", TORCHRL_DAMAGE)
def test_damaged_memory_maps_are_refused_in_one_line(damage, tmp_path):
    folder = write_torchrl(tmp_path / "run", without_gap(0, 140))
    spoil, message = TORCHRL_DAMAGE[damage]
    spoil(folder)
    with pytest.raises(InputError, match=message) as caught:
        imported("torchrl", folder)
    assert "\n" not in str(caught.value)


# --- Minari, written by the package itself


def image_space(*shape: int) -> gymnasium.spaces.Box:
    return gymnasium.spaces.Box(0, 255, shape, np.uint8)


def minari_dataset(
    folder: Path,
    observations: list[np.ndarray],
    space: gymnasium.Space[Any],
    actions: int = 4,
    data_format: str = "hdf5",
    jpeg: bool = False,
    terminated: bool = True,
) -> tuple[Path, list[EpisodeBuffer]]:
    """Write episodes with the given observations, [T + 1, ...] each; return the folder and the episodes."""
    rng = np.random.default_rng(0)
    (folder / "data").mkdir(parents=True)
    storage = MinariStorage.new(
        folder / "data",
        observation_space=space,
        action_space=gymnasium.spaces.Discrete(actions),
        data_format=data_format,
        jpeg_encoding=jpeg,
    )
    episodes = []
    for number, seen in enumerate(observations):
        T = len(seen) - 1
        end = np.arange(T) == T - 1
        episodes.append(
            EpisodeBuffer(
                id=number,
                observations=seen,
                actions=rng.integers(0, actions, T),
                rewards=rng.integers(-1, 8, T).astype(float),
                terminations=end & terminated,
                truncations=end & (not terminated),
                infos={},
            )
        )
    storage.update_episodes(episodes)
    return folder, episodes


def assert_minari(found: Steps, episodes: list[EpisodeBuffer], frames: list[np.ndarray], table: Any) -> None:
    np.testing.assert_array_equal(found.frames, np.concatenate(frames))
    np.testing.assert_array_equal(
        found.action, np.array(table)[np.concatenate([e.actions for e in episodes])]
    )
    np.testing.assert_array_equal(found.reward, np.concatenate([e.rewards for e in episodes]))
    np.testing.assert_array_equal(found.terminated, np.concatenate([e.terminations for e in episodes]))
    np.testing.assert_array_equal(found.truncated, np.concatenate([e.truncations for e in episodes]))


def screens(*shape: int, dtype: str = "uint8", high: int = 256) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, high, (T + 1, *shape)).astype(dtype) for T in (7, 1, 30)]


@pytest.mark.parametrize("data_format", ["hdf5", "arrow", "parquet"])
@pytest.mark.parametrize("terminated", [True, False])
def test_minari_comes_in_move_for_move(data_format, terminated, tmp_path, monkeypatch):
    seen = screens(84, 84)
    folder, episodes = minari_dataset(
        tmp_path / "breakout", seen, image_space(84, 84), data_format=data_format, terminated=terminated
    )
    for block in (1024, 5):
        monkeypatch.setattr("understudy.suite.histories.importers._minari_files.BLOCK_MOVES", block)
        found = imported("minari", folder)
        assert_minari(found, episodes, [s[:-1] for s in seen], MINIMAL)
    opened = importers.importer("minari").open(folder / "data", BREAKOUT, None)
    assert opened.most_moves == 38
    assert opened.source["files"][0]["name"] == "metadata.json"
    assert len(opened.source["files"]) == (2 if data_format == "hdf5" else 4)


SHAPES: dict[str, tuple[tuple[int, ...], Callable[[np.ndarray], np.ndarray]]] = {
    "channel last": ((84, 84, 1), lambda seen: seen[..., 0]),
    "channel first": ((1, 84, 84), lambda seen: seen[:, 0]),
    "stack first": ((4, 84, 84), lambda seen: seen[:, 3]),
    "stack last": ((84, 84, 4), lambda seen: seen[..., 3]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_atari_frames_are_found_in_other_shapes(name, tmp_path):
    shape, newest = SHAPES[name]
    seen = screens(*shape)
    folder, episodes = minari_dataset(tmp_path / "d", seen, image_space(*shape), actions=4)
    assert_minari(imported("minari", folder), episodes, [newest(s[:-1]) for s in seen], MINIMAL)


def test_native_screens_are_the_means_of_areas(tmp_path):
    seen = screens(210, 160, 3)[:2]
    folder, _ = minari_dataset(tmp_path / "d", seen, image_space(210, 160, 3))
    opened = importers.importer("minari").open(folder, BREAKOUT, None)
    assert any("scaled to 84x84" in line for line in opened.lacks)
    found = joined(opened.steps).frames
    for frame, rgb in zip(found, np.concatenate([s[:-1] for s in seen]), strict=True):
        assert np.abs(frame.astype(int) - slow_grey_84(rgb)).max() <= 1


def slow_grey_84(rgb: np.ndarray) -> np.ndarray:
    """Return the grey means by repeating pixels until the areas are whole, [84, 84] float."""
    red, green, blue = np.moveaxis(rgb.astype(float), 2, 0)
    grey = np.round(0.299 * red + 0.587 * green + 0.114 * blue)
    fine = np.kron(grey, np.ones((2, 21)))  # 420 x 3360
    return fine.reshape(84, 5, 84, 40).mean((1, 3))


def test_area_means_agree_with_the_emulators_own_scaling():
    """ale-py's vector environment makes the same frame of the screen that the plain emulator shows."""
    from ale_py import ALEInterface, LoggerMode, roms

    ALEInterface.setLoggerMode(LoggerMode.Error)
    emulator = ALEInterface()
    emulator.setInt("random_seed", 0)
    emulator.loadROM(roms.get_rom_path("breakout"))
    grey = np.array(emulator.getScreenGrayscale())
    env = games.make([BREAKOUT])
    observation, _ = env.reset(seed=np.array([0]))
    env.close()
    ours = _screens.grey_84(grey[None])[0].astype(int)
    assert np.abs(ours - observation[0, -1]).max() <= 1


def test_jpeg_screens_are_decoded_and_said_to_be_lossy(tmp_path):
    seen = [np.full((4, 210, 160, 3), 128, np.uint8)]
    seen[0][:, :100] = 30
    for data_format in ("hdf5", "arrow"):
        folder, _ = minari_dataset(
            tmp_path / data_format, seen, image_space(210, 160, 3), data_format=data_format, jpeg=True
        )
        opened = importers.importer("minari").open(folder, BREAKOUT, None)
        assert any("JPEG" in line for line in opened.lacks)
        found = joined(opened.steps).frames
        assert np.abs(found[:, :35].astype(int) - 30).max() <= 3
        assert np.abs(found[:, 45:].astype(int) - 128).max() <= 3


@pytest.mark.parametrize("channels", [4, 10])
def test_minatar_channels_come_first(channels, tmp_path):
    game = games.load("minatar/breakout")
    seen = screens(10, 10, channels, dtype="bool", high=2)
    space = gymnasium.spaces.Box(0, 1, (10, 10, channels), np.bool_)
    folder, episodes = minari_dataset(tmp_path / "d", seen, space, actions=6)
    found = imported("minari", folder, game)
    expected = np.zeros((38, 10, 10, 10), bool)
    expected[:, :channels] = np.concatenate([s[:-1] for s in seen]).transpose(0, 3, 1, 2)
    assert_minari(found, episodes, [expected], range(6))


@pytest.mark.parametrize("data_format", ["hdf5", "arrow"])
def test_darkroom_cells(data_format, tmp_path):
    game = games.load("darkroom/goal-40")
    seen = screens(high=81, dtype="int64")
    spaces = (gymnasium.spaces.Discrete(81), gymnasium.spaces.Box(0, 80, (1,), np.int64))
    for number, space in enumerate(spaces):
        stored = seen if number == 0 else [s[:, None] for s in seen]
        folder, episodes = minari_dataset(
            tmp_path / str(number), stored, space, actions=5, data_format=data_format
        )
        assert_minari(imported("minari", folder, game), episodes, [s[:-1] for s in seen], range(5))


def test_observations_out_of_range_are_refused(tmp_path):
    seen = [np.array([3, 81, 5])]
    folder, _ = minari_dataset(tmp_path / "d", seen, gymnasium.spaces.Discrete(100), actions=5)
    with pytest.raises(InputError, match="observation 81, expected 0 to 80 for darkroom/goal-40"):
        imported("minari", folder, games.load("darkroom/goal-40"))
    space = gymnasium.spaces.Box(0, 9, (10, 10, 4), np.uint8)
    folder, _ = minari_dataset(tmp_path / "e", screens(10, 10, 4, high=9), space, actions=6)
    with pytest.raises(InputError, match="other numbers than 0 and 1"):
        imported("minari", folder, games.load("minatar/breakout"))


@pytest.mark.parametrize(
    ("space", "game", "message"),
    [
        (
            image_space(64, 64),
            "atari/breakout",
            r"observations are uint8 \[64, 64\]; atari/breakout takes uint8",
        ),
        (image_space(84, 84, 3), "atari/breakout", r"observations are uint8 \[84, 84, 3\]"),
        (gymnasium.spaces.Box(0, 1, (84, 84), np.float32), "atari/breakout", "observations are float32"),
        (
            image_space(84, 84),
            "minatar/breakout",
            r"minatar/breakout takes bool \[10, 10, 10\] with channels last",
        ),
        (gymnasium.spaces.Box(0, 1, (10, 10, 11), np.bool_), "minatar/breakout", r"bool \[10, 10, 11\]"),
        (gymnasium.spaces.Discrete(81), "atari/breakout", "observations are Discrete of 81"),
        (gymnasium.spaces.Discrete(81, start=1), "darkroom/goal-40", "observations are Discrete of 81"),
        (image_space(84, 84), "darkroom/goal-40", r"darkroom/goal-40 takes int64 \[\]"),
    ],
)
def test_observations_that_do_not_fit_are_refused(space, game, message, tmp_path):
    seen = np.array([space.sample() for _ in range(3)])
    folder, _ = minari_dataset(tmp_path / "d", [seen], space)
    with pytest.raises(InputError, match=message):
        imported("minari", folder, games.load(game))


def test_actions_that_do_not_fit_are_refused(tmp_path):
    folder, _ = minari_dataset(tmp_path / "d", screens(84, 84), image_space(84, 84), actions=6)
    with pytest.raises(InputError, match=r"6 actions; atari/breakout has 18, of which 4 are legal"):
        imported("minari", folder)
    folder, _ = minari_dataset(tmp_path / "e", screens(84, 84), image_space(84, 84), actions=18)
    with pytest.raises(
        InputError, match=r"actions: row \d+: action \d+ is not legal in atari/breakout \(0, 1, 3, 4\)"
    ):
        imported("minari", folder)


def h5_edit(change: Callable[[Any], None]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        with h5py.File(folder / "data" / "main_data.hdf5", "a") as file:
            change(file["episode_2"])

    return spoil


def swapped(name: str, values: np.ndarray) -> Callable[[Path], None]:
    def change(group: Any) -> None:
        del group[name]
        group[name] = values

    return h5_edit(change)


def metadata_edit(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    return edited("data/metadata.json", change)


def cut_hdf5(folder: Path) -> None:
    path = folder / "data" / "main_data.hdf5"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


MINARI_DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "no file": (lambda folder: (folder / "data/main_data.hdf5").unlink(), "main_data.hdf5: missing"),
    "cut": (cut_hdf5, r"main_data.hdf5: episode \d: damaged HDF5"),
    "no metadata": (lambda folder: (folder / "data/metadata.json").unlink(), "expected a Minari dataset"),
    "bad metadata": (
        lambda folder: (folder / "data/metadata.json").write_text("[]"),
        "expected a JSON object",
    ),
    "no space": (metadata_edit(lambda meta: meta.pop("observation_space")), "no readable observation_space"),
    "odd space": (
        metadata_edit(lambda meta: meta.update(action_space="7")),
        "action_space: expected a JSON object",
    ),
    "box of actions": (
        metadata_edit(lambda meta: meta.update(action_space='{"type": "Box"}')),
        "actions are Box, start 0; expected Discrete from 0",
    ),
    "format": (
        metadata_edit(lambda meta: meta.update(data_format="zarr")),
        "data format 'zarr'; expected hdf5",
    ),
    "no episodes": (
        metadata_edit(lambda meta: meta.update(total_episodes=0)),
        "total_episodes: expected a number",
    ),
    "too few episodes": (
        metadata_edit(lambda meta: meta.update(total_episodes=4)),
        "episode 3: no array observations",
    ),
    "no rewards": (h5_edit(lambda group: group.pop("rewards")), r"episode 2: no array rewards"),
    "short": (
        swapped("rewards", np.zeros(29)),
        r"episode 2: 31 observations and 29 rewards; expected one observation more than moves",
    ),
    "nan": (swapped("rewards", np.full(30, np.nan)), r"episode 2: rewards: row 0: reward nan"),
    "words": (swapped("rewards", np.full(30, b"x")), r"episode 2: rewards: expected rewards \[n\], found"),
    "action": (swapped("actions", np.full(30, 7)), r"episode 2: actions: row 0: action 7, expected 0 to 3"),
    "early end": (
        swapped("terminations", np.arange(30) == 11),
        r"episode 2: row 11 ends the episode, but moves follow",
    ),
    "flags": (swapped("truncations", np.full(30, 3)), r"episode 2: truncations: row 0: flag 3"),
}


@pytest.mark.parametrize("damage", MINARI_DAMAGE)
def test_damaged_minari_datasets_are_refused_in_one_line(damage, tmp_path):
    folder, _ = minari_dataset(tmp_path / "d", screens(84, 84), image_space(84, 84))
    spoil, message = MINARI_DAMAGE[damage]
    spoil(folder)
    with pytest.raises(InputError, match=message) as caught:
        imported("minari", folder)
    assert "\n" not in str(caught.value)


def test_damaged_arrow_episodes_are_refused(tmp_path):
    folder, _ = minari_dataset(tmp_path / "d", screens(84, 84), image_space(84, 84), data_format="arrow")
    (path,) = (folder / "data" / "2").glob("*.arrow")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="episode 2: damaged arrow"):
        imported("minari", folder)
    path.unlink()
    (path.parent / "metadata.json").unlink()
    path.parent.rmdir()
    with pytest.raises(InputError, match="episode 2: missing"):
        imported("minari", folder)


def test_an_episode_that_was_left_open_is_truncated(tmp_path):
    folder, _ = minari_dataset(tmp_path / "d", screens(84, 84), image_space(84, 84))
    swapped("terminations", np.zeros(30, bool))(folder)
    found = imported("minari", folder)
    assert np.flatnonzero(found.truncated).tolist() == [37]


def test_jpegs_of_another_size_are_refused(tmp_path):
    seen = [np.zeros((3, 210, 160, 3), np.uint8)]
    folder, _ = minari_dataset(tmp_path / "d", seen, image_space(210, 160, 3), jpeg=True)
    for picture, message in (
        (Image.new("RGB", (8, 8)), "JPEG of 8x8 RGB, expected 160x210 RGB"),
        (None, "damaged"),
    ):
        buffer = io.BytesIO(b"no picture")
        if picture:
            picture.save(buffer, "JPEG")
        with h5py.File(folder / "data" / "main_data.hdf5", "a") as file:
            del file["episode_0"]["observations"]
            file["episode_0"]["observations"] = np.array([list(buffer.getvalue())] * 3, np.uint8)
        with pytest.raises(InputError, match=message):
            imported("minari", folder)


def test_without_h5py_one_line_says_what_to_install(tmp_path, monkeypatch):
    folder, _ = minari_dataset(tmp_path / "d", screens(84, 84), image_space(84, 84))
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(InputError, match="pip install h5py"):
        imported("minari", folder)


# --- the registry and the command


@pytest.mark.parametrize("name", importers.importers())
def test_every_importer_says_what_it_lacks_and_where_it_comes_from(name, tmp_path):
    if name in WRITERS:
        folder = WRITERS[name](tmp_path / "run", without_gap(0, 140))
    else:
        folder, _ = minari_dataset(tmp_path / "run", screens(84, 84), image_space(84, 84))
    opened = importers.importer(name).open(folder, BREAKOUT, None)
    assert any("can't be replayed" in line for line in opened.lacks)
    history = foreign.record(
        tmp_path / "h.parquet", BREAKOUT, opened.steps, opened.source, opened.lacks, tmp_path / "cache"
    )
    assert history.header.player["source"]["importer"] == name
    assert all(entry["bytes"] > 0 for entry in history.header.player["source"]["files"])
    assert history_format.read(tmp_path / "h.parquet").content_sha256 == history.content_sha256


def test_the_command_writes_a_history_and_warns(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))
    log = without_gap(0, 140)
    folder = write_replay_logs(tmp_path / "run", log)
    command = ["histories", "import", "dqn-replay", str(folder), "--game", "atari/breakout"]
    assert cli.main([*command, "--out", str(tmp_path / "out"), "--shards", "0:1"]) == 0
    shown = capsys.readouterr()
    path = tmp_path / "out" / "history.parquet"
    assert shown.out.splitlines()[0].startswith(f"{path}: 57 moves of atari/breakout")
    assert "can't be replayed, verified" in shown.out
    assert "warning: rewards are clipped to [-1, 1]" in shown.err
    assert history_format.read(path).num_moves == 57
    assert cli.main([*command, "--out", str(tmp_path / "out")]) == 2
    assert "exists already" in capsys.readouterr().err


def test_an_interrupted_import_leaves_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))
    folder = write_replay_logs(tmp_path / "run", without_gap(0, 140))

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("understudy.screen.Progress.report", interrupted)
    out = tmp_path / "out"
    command = [
        "histories",
        "import",
        "dqn-replay",
        str(folder),
        "--game",
        "atari/breakout",
        "--out",
        str(out),
    ]
    assert cli.main(command) == 130
    assert "stopped; nothing was written" in capsys.readouterr().err
    assert not (out / "history.parquet").exists()
    assert not list((tmp_path / "cache").rglob("*.b2frame"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["dqn-repla", "x", "--game", "atari/breakout"],
            "unknown kind of import 'dqn-repla'; did you mean 'dqn-replay'",
        ),
        (["sb4", "x", "--game", "atari/breakout"], "did you mean 'sb3'"),
        (["dqn-replay", "x", "--game", "atari/brekout"], "did you mean 'breakout'"),
        (
            ["dqn-replay", "x", "--game", "atari/breakout", "--moves", "5"],
            "--moves: dqn-replay brings in what was",
        ),
        (["sb3", "x", "--game", "atari/breakout", "--shards", "0:1"], "--shards: sb3 is a trained player"),
        (["minari", "x", "--game", "atari/breakout", "--shards", "0:1"], "--shards: minari data have none"),
        (
            ["dqn-replay", "x", "--game", "atari/breakout", "--shards", "2:1"],
            "expected FIRST:END with FIRST < END",
        ),
        (["dqn-replay", "x", "--game", "atari/breakout"], "x: no such folder"),
    ],
)
def test_bad_usage_is_one_line(arguments, message, tmp_path, capsys):
    assert cli.main(["histories", "import", *arguments, "--out", str(tmp_path)]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1


def test_names_are_files():
    assert importers.importers() == ("dqn-replay", "minari", "torchrl")
    with pytest.raises(InputError, match="did you mean 'minari'"):
        importers.importer("minary")
    for name in importers.importers():
        assert hasattr(registry.load(importers.__name__, name, "IMPORTER"), "open")
