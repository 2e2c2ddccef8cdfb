"""The DQN Replay dataset and TorchRL's copy: every move is imported, damage is reported in one line."""

from __future__ import annotations

import dataclasses
import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.replay_shards import (
    BREAKOUT,
    WRITERS,
    N,
    ReplayLog,
    assert_equal,
    columns,
    edited,
    imported,
    joined,
    played,
    save_gz,
    without_gap,
    write_replay_logs,
    write_torchrl,
)

from understudy.suite import games
from understudy.suite.errors import InputError
from understudy.suite.histories import importers


@pytest.mark.parametrize("name", WRITERS)
def test_every_move_of_the_shards_is_imported(name, tmp_path):
    log = without_gap(0, 300)
    assert len(log.shards) >= 4
    folder = WRITERS[name](tmp_path / "run", log)
    assert_equal(imported(name, folder), log.stored())


@pytest.mark.parametrize("seed", range(3))
def test_the_last_stored_round_may_be_half_full(seed, tmp_path):
    log = without_gap(10 * seed, 200)
    log.finish()
    folder = write_replay_logs(tmp_path / "1" / "replay_logs", log)
    opened = importers.importer("dqn-replay").open(
        folder.parent, BREAKOUT, None
    )  # the parent folder works too
    assert any("ends the run" in line for line in opened.lacks)
    assert_equal(joined(opened.blocks), [move for _, move in log.moves])


def test_a_missing_round_is_reported_and_truncates_the_episode(tmp_path):
    seed = next(s for s in range(1000) if skips_a_round(played(s, 400)))
    log = played(seed, 400)
    folder = write_replay_logs(tmp_path / "run", log)
    opened = importers.importer("dqn-replay").open(folder, BREAKOUT, None)
    assert any(line.startswith(f"{N} rows are missing before shard") for line in opened.lacks)
    found = joined(opened.blocks)
    stored = log.stored()
    positions = np.array([position for position, move in log.moves if any(move is held for held in stored)])
    (gap,) = np.flatnonzero(np.diff(positions) > 3 + 1)  # padding lies between episodes
    expected = () if stored[gap].terminal else (gap,)
    assert_equal(found, stored, cut=expected)


def skips_a_round(log: ReplayLog) -> bool:
    """Return whether exactly one round is missing."""
    counts = [count for count, _ in log.shards]
    steps = np.diff(counts).tolist()
    return steps.count(2 * N) == 1 and set(steps) <= {N, 2 * N} and counts[0] == N - 1


def test_some_shards_of_a_run(tmp_path):
    log = without_gap(0, 300)
    folder = write_replay_logs(tmp_path / "run", log)
    opened = importers.importer("dqn-replay").open(folder, BREAKOUT, range(2, 4))
    assert any(line.startswith("it begins with shard 2") for line in opened.lacks)
    found = joined(opened.blocks)
    log.shards = log.shards[2:4]
    first = log.shards[0][0] - N
    wanted = [move for position, move in log.moves if first <= position < log.shards[1][0]]
    assert_equal(found, wanted)


def test_without_counts_shards_are_assumed_to_be_full(tmp_path):
    log = without_gap(0, 300)
    folder = write_replay_logs(tmp_path / "run", log, counts=False)
    opened = importers.importer("dqn-replay").open(folder, BREAKOUT, None)
    assert any(line.startswith("no add_count files") for line in opened.lacks)
    assert_equal(joined(opened.blocks), log.stored())


def test_overlapping_checkpoints_give_each_move_once(tmp_path):
    """Each of Dopamine's checkpoints holds the whole buffer."""
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


def test_blocks_may_split_episodes(tmp_path, monkeypatch):
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
            len(part.action) for part in importers.importer("dqn-replay").open(folder, BREAKOUT, None).blocks
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
        r"shard 1 ends at row 127 of the run, the one before at 500; these shards are not of one run",
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
