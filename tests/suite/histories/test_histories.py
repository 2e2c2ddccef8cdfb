"""Histories: the conformance checks over every family, replay, the frame store and its cache."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from understudy.suite import games
from understudy.suite.errors import CheckFailed, InputError, MachineError
from understudy.suite.histories import frame_cache, frame_store, history_format, replay, segments
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.histories.history_format import History
from understudy.suite.testing.history_checks import check_histories, play_on, random_runs

SIZES = {  # of a family: moves, lanes, kills; enough moves for two segments
    "atari": ("breakout", 360, 1, 1),
    "minatar": ("breakout", 200, 2, 8),
    "darkroom": ("goal-40", 200, 3, 5),
}
MOVES = 600


@pytest.mark.parametrize("family", games.families())
def test_every_family_passes_the_kit(family: str, tmp_path: Path) -> None:
    variant, *sizes = SIZES.get(family, (games.family(family).variants()[0], 600, 2, 3))
    check_histories(games.load(f"{family}/{variant}"), tmp_path, *sizes)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[History, np.ndarray]:
    """A run of the dark room in three segments, and the observation before each move."""
    (run,) = random_runs(games.load("darkroom/goal-40"), tmp_path_factory.mktemp("recorded"), 1)
    seen = [recorder.observation[0] for recorder in play_on([run], SegmentRule(200), MOVES)]
    return history_format.read(run.path), np.array(seen)


# Replay


def altered(history: History, **columns: tuple[int, object]) -> History:
    """Return the history with single values replaced: column=(move, value)."""
    changed = {}
    for name, (move, value) in columns.items():
        changed[name] = getattr(history, name).copy()
        changed[name][move] = value
    return dataclasses.replace(history, **changed)


def with_header(history: History, **changes: object) -> History:
    return dataclasses.replace(history, header=dataclasses.replace(history.header, **changes))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("reward", 5, r"at move 301: reward, terminated, truncated are [01], false, false, logged 5, false"),
        ("terminated", True, r"at move 301: .* false, false, logged [01], true, false"),
        ("truncated", True, r"at move 301: .* false, false, logged [01], false, true"),
        ("action", 77, r"at move 301: action 77, expected one of 0, 1, 2, 3, 4"),
    ],
)
def test_an_altered_move_is_named(recorded, column, value, message):
    history, _ = recorded
    with pytest.raises(CheckFailed, match=rf"segment 1 \(moves 200 to 399\).* {message}.*log was altered"):
        replay.verify(altered(history, **{column: (301, value)}), processes=1)


def test_every_altered_action_that_changes_an_observation_is_noticed(recorded):
    """The action of an episode's last move shows only in its reward; all others move the player."""
    history, seen = recorded
    noticed = 0
    for move in range(0, MOVES, 7):
        if history.ended[move]:
            continue
        up, down, left, right = range(1, 5)
        row, column = divmod(int(seen[move]), 9)
        away = down if row < 4 else up  # never into a wall
        if away == history.action[move]:
            away = right if column < 4 else left
        with pytest.raises(CheckFailed, match=rf"segment {move // 200} "):
            replay.verify(altered(history, action=(move, away)), processes=1)
        noticed += 1
    assert noticed > 60


def test_altered_segments_are_noticed(recorded):
    history, _ = recorded
    first, second, third, *_ = history.header.segments
    for changed, message in [
        (dataclasses.replace(second, crc32=second.crc32 ^ 1), "shows other frames: CRC-32 .*, recorded"),
        (dataclasses.replace(second, seed=second.seed ^ 1), "shows other frames|differs at move"),
    ]:
        with pytest.raises(CheckFailed, match=f"segment 1 .*({message})"):
            replay.verify(with_header(history, segments=(first, changed, third)), processes=1)


def test_all_differing_segments_are_counted(recorded):
    history, _ = recorded
    changed = altered(altered(history, reward=(10, 9)), reward=(500, 9))
    (difference,) = replay.verify_runs([altered(changed, action=(20, 99))], processes=1)
    assert difference is not None
    assert difference.startswith("segment 0 (moves 0 to 199), replayed, differs at move 20: action 99")
    assert difference.endswith("2 segments differ in all")
    assert replay.verify_runs([history, changed, history], processes=1)[::2] == [None, None]


def test_the_version_of_another_emulator_is_named_if_frames_differ(tmp_path):
    """Versions may differ as long as the checksums hold; if they don't, the message names the versions."""
    game = games.load("minatar/breakout")
    (run,) = random_runs(game, tmp_path, 1)
    for _ in play_on([run], SegmentRule(1000), 60):
        pass
    history = history_format.read(run.path)
    older = with_header(history, fingerprint={**history.header.fingerprint, "minatar": "1.0.1"})
    replay.verify(older, processes=1)
    (segment,) = older.header.segments
    other_frames = with_header(older, segments=(dataclasses.replace(segment, crc32=1),))
    with pytest.raises(
        CheckFailed, match=r"shows other frames: .*recorded with minatar: '1\.0\.1', not '1\.0\.15'"
    ):
        replay.verify(other_frames, processes=1)
    with pytest.raises(CheckFailed, match=r"segment 0 \(moves 0 to 59\).*minatar: '1\.0\.1'"):
        frame_store.open_store(other_frames, processes=1, cache=tmp_path)


def test_other_settings_are_refused_before_anything_is_played(recorded, tmp_path):
    history, _ = recorded
    other = with_header(history, fingerprint={**history.header.fingerprint, "episode_cap_moves": 30})
    with pytest.raises(
        InputError, match="darkroom/goal-40 was recorded with episode_cap_moves: 30, not 20 here"
    ):
        replay.verify(other)
    with pytest.raises(InputError, match="episode_cap_moves"):
        frame_store.open_store(other, cache=tmp_path)
    with pytest.raises(InputError, match="darkroom"):
        frame_store.open_store(with_header(history, game="darkrom/goal-40"), cache=tmp_path)
    assert not list(tmp_path.iterdir())


# The frame store


def test_every_slice_around_blocks_and_chunks_is_correct(recorded, tmp_path, monkeypatch):
    history, seen = recorded
    store = frame_store.open_store(history, processes=1, cache=tmp_path)
    for length in (0, 1, 31, 32, 33, 64, 200, 256):
        for start in range(0, MOVES - length, 3):
            found = store[start : start + length]
            assert (found == seen[start : start + length]).all(), (start, length)
    assert store.observations_at(np.empty((0, 4), np.int64)).shape == (0, 4)


def test_moves_outside_a_run_or_a_store_are_refused(recorded, tmp_path):
    history, seen = recorded
    store = frame_store.open_store(history, 250, 300, processes=1, cache=tmp_path)
    assert [path.name for path in store.folder.glob("seg*")] == ["segment-00001.b2frame"]
    assert (store.observations(200, 400) == seen[200:400]).all()
    with pytest.raises(ValueError, match=r"no frames of moves \[0, 200\) .*; build them with"):
        store.observations(199, 250)
    for start, stop in [(-1, 5), (5, 601), (7, 6)]:
        with pytest.raises(ValueError, match="not within this run of 600 moves"):
            store.observations(start, stop)
    with pytest.raises(ValueError, match=r"expected moves in \[0, 600\), found 3 to 600"):
        store.observations_at(np.array([3, 600]))
    with pytest.raises(ValueError, match="step 1; found step 2"):
        store[0:10:2]


def test_a_store_is_built_once(recorded, tmp_path, monkeypatch):
    history, seen = recorded
    frame_store.open_store(history, processes=1, cache=tmp_path)
    monkeypatch.setattr(replay, "play", lambda *_: pytest.fail("replayed again"))
    reported: list[tuple[int, int]] = []
    store = frame_store.open_store(history, report=lambda *done: reported.append(done), cache=tmp_path)
    assert (store.observations(0, MOVES) == seen).all()
    assert reported == [(0, 0)]


def test_an_interrupted_or_damaged_store_is_completed(recorded, tmp_path, monkeypatch):
    history, seen = recorded
    play, replayed = replay.play, []
    monkeypatch.setattr(segments, "WAVE_LANES", 1)  # otherwise all segments of a short run are in one wave

    def interrupted(histories, wave):
        replayed.extend(wave)
        for part in play(histories, wave):
            if wave == [(0, 1)]:
                raise KeyboardInterrupt
            yield part

    monkeypatch.setattr(replay, "play", interrupted)
    with pytest.raises(KeyboardInterrupt):
        frame_store.open_store(history, processes=1, cache=tmp_path)
    folder = frame_cache.store_folder(tmp_path, history)
    assert [path.name for path in folder.glob("seg*")] == ["segment-00000.b2frame"]
    monkeypatch.setattr(replay, "play", lambda h, wave: replayed.extend(wave) or play(h, wave))
    frame_store.open_store(history, processes=1, cache=tmp_path)
    assert replayed == [(0, 0), (0, 1), (0, 1), (0, 2)]
    for damage in (b"", (folder / "segment-00000.b2frame").read_bytes()[:100]):
        (folder / "segment-00002.b2frame").write_bytes(damage)
        store = frame_store.open_store(history, processes=1, cache=tmp_path)
        assert (store.observations(0, MOVES) == seen).all()
    assert replayed[4:] == [(0, 2), (0, 2)]


def test_unfinished_files_of_a_killed_build_are_removed_after_a_day(recorded, tmp_path):
    history, _ = recorded
    folder = frame_cache.store_folder(tmp_path, history)
    folder.mkdir(parents=True)
    mine = (".segment-00000.b2frame.part", ".notes.0123456789abcdef.part", ".segment-00000.b2frame.77.part")
    old, new = (f".segment-00000.b2frame.{token}.part" for token in ("0123456789abcdef", "fedcba9876543210"))
    for name, age_seconds in ((old, 90_000), (new, 60), *((each, 90_000) for each in mine)):
        part = folder / name
        part.touch()
        os.utime(part, (time.time() - age_seconds,) * 2)
    frame_store.open_store(history, processes=1, cache=tmp_path)
    assert {path.name for path in folder.glob(".*.part")} == {new, *mine}


def test_two_processes_can_build_the_same_store(recorded, tmp_path):
    history, seen = recorded
    history_format.write(tmp_path / "history.parquet", history)
    code = (
        "import sys; from understudy.suite.histories import frame_store, history_format\n"
        "frame_store.open_store(history_format.read(sys.argv[1]), processes=1)"
    )
    builders = [
        subprocess.Popen(
            [sys.executable, "-c", code, tmp_path / "history.parquet"],
            env={**os.environ, "UNDERSTUDY_CACHE": str(tmp_path)},
        )
        for _ in range(2)
    ]
    assert [builder.wait(timeout=120) for builder in builders] == [0, 0]
    store = frame_store.FrameStore(history, frame_cache.store_folder(tmp_path, history))
    assert (store.observations(0, MOVES) == seen).all()
    assert sorted(path.name for path in store.folder.glob("seg*")) == [
        f"segment-{index:05d}.b2frame" for index in range(3)
    ]


def test_a_segment_that_another_process_has_built_is_not_built_again(recorded, tmp_path, monkeypatch):
    history, _ = recorded
    frame_store.open_store(history, processes=1, cache=tmp_path)
    monkeypatch.setattr(replay, "play", lambda *_: pytest.fail("replayed again"))
    frame_store._build(tmp_path, [history], [(0, 1), (0, 2)], lambda moves: None)


def test_environment_variables_choose_the_cache_folder(monkeypatch):
    monkeypatch.delenv("UNDERSTUDY_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert frame_cache.folder() == Path("/elsewhere/understudy")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert frame_cache.folder() == Path.home() / ".cache" / "understudy"
    monkeypatch.setenv("UNDERSTUDY_CACHE", "/here")
    assert frame_cache.folder() == Path("/here")


@pytest.mark.parametrize("variable", ["UNDERSTUDY_CACHE", "XDG_CACHE_HOME"])
def test_without_a_home_folder_one_line_says_what_to_set(variable, monkeypatch):
    """Containers run with user numbers that have no home folder."""
    monkeypatch.delenv("UNDERSTUDY_CACHE", raising=False)
    monkeypatch.setenv(variable, "~nobody-of-this-name/c")
    with pytest.raises(InputError, match=f"^{variable}: .*; set UNDERSTUDY_CACHE to an absolute path"):
        frame_cache.folder()


def test_a_cache_whose_name_is_not_utf8_is_refused_in_one_line(recorded, tmp_path):
    history, _ = recorded
    with pytest.raises(InputError, match=r"a folder whose name is UTF-8, .*; set UNDERSTUDY_CACHE"):
        frame_store.open_store(history, processes=1, cache=tmp_path / os.fsdecode(b"caf\xe9"))


def test_more_stores_are_opened_than_files_may_be_open(recorded, tmp_path):
    """macOS starts shells with a limit of 256 open files, and a store keeps one open."""
    resource = pytest.importorskip("resource")
    history, _ = recorded
    frame_store.open_store(history, processes=1, cache=tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) + 100, hard))
        stores = frame_store.open_stores([history] * 200, processes=1, cache=tmp_path)
        assert all(store.holds(0) for store in stores)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Several processes


def test_several_processes_give_the_same_and_report_all_moves(recorded, tmp_path, monkeypatch):
    history, seen = recorded
    monkeypatch.setattr(segments, "ONE_PROCESS_MOVES", 0)
    reported: list[tuple[int, int]] = []
    store = frame_store.open_store(
        history, processes=2, report=lambda *done: reported.append(done), cache=tmp_path
    )
    assert (store.observations(0, MOVES) == seen).all()
    assert reported[-1] == (MOVES, MOVES)
    done = [moves for moves, _ in reported]
    assert done == sorted(done)
    with pytest.raises(CheckFailed, match=r"segment 1 .* at move 301: action 9"):
        frame_store.open_store(altered(history, action=(301, 9)), processes=2, cache=tmp_path)


class Deadly(History):
    """A run that ends the process which unpickles it."""

    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (1,)


def test_a_killed_worker_process_is_reported(recorded, monkeypatch):
    history, _ = recorded
    monkeypatch.setattr(segments, "ONE_PROCESS_MOVES", 0)
    fields = {field.name: getattr(history, field.name) for field in dataclasses.fields(history)}
    with pytest.raises(MachineError, match="a worker process that replays was killed"):
        replay.verify(Deadly(**fields), processes=2)


# Eviction


def stores_of(cache: Path, histories: list[History]) -> list[frame_store.FrameStore]:
    """Build stores one after another, so that the first is the least recently used; none is held."""
    found = []
    for used, history in enumerate(histories):
        frame_store.open_store(history, processes=1, cache=cache)
        folder = frame_cache.store_folder(cache, history)
        os.utime(folder / ".in-use", (1_000_000 + used,) * 2)
        found.append(frame_store.FrameStore(history, folder))
    return found


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[History]:
    folder = tmp_path_factory.mktemp("runs")
    played = random_runs(games.load("minatar/breakout"), folder, 3)
    for _ in play_on(played, SegmentRule(100), 200):
        pass
    return [history_format.read(run.path) for run in played]


def test_the_least_recently_used_stores_are_evicted_first(runs, tmp_path):
    stores = stores_of(tmp_path, runs)
    sizes = [size(store.folder) for store in stores]
    assert frame_cache.evict(tmp_path, sum(sizes)) == []
    assert frame_cache.evict(tmp_path, sum(sizes) - 1) == [stores[0].folder]
    assert [store.folder.exists() for store in stores] == [False, True, True]
    assert stores[2][0:200].shape == (200, 10, 10, 10)


def test_stores_in_use_and_imported_ones_are_never_evicted(runs, tmp_path):
    stores = stores_of(tmp_path, runs)
    (stores[0].folder / frame_cache.IMPORTED).touch()
    held = frame_store.open_store(runs[1], cache=tmp_path)
    assert frame_cache.evict(tmp_path, 1) == [stores[2].folder]
    assert held[0:200].shape == (200, 10, 10, 10)
    del held
    assert frame_cache.evict(tmp_path, 1) == [stores[1].folder]


def test_a_store_in_use_by_another_process_is_not_evicted(runs, tmp_path):
    (store,) = stores_of(tmp_path, runs[:1])
    code = (
        "import sys; from pathlib import Path; from understudy.suite.histories import frame_cache\n"
        "hold = frame_cache.Hold(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(store.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    assert frame_cache.evict(tmp_path, 1) == []
    other.communicate()
    assert frame_cache.evict(tmp_path, 1) == [store.folder]


def test_building_keeps_the_cache_within_its_limit(runs, tmp_path, monkeypatch):
    stores = stores_of(tmp_path, runs[:2])
    monkeypatch.setenv("UNDERSTUDY_CACHE_GB", str((size(stores[0].folder) * 2 + 100) / 1e9))
    frame_store.open_store(runs[2], processes=1, cache=tmp_path)
    assert not stores[0].folder.exists()
    monkeypatch.setenv("UNDERSTUDY_CACHE_GB", "much")
    with pytest.raises(InputError, match=r"UNDERSTUDY_CACHE_GB: expected a size in GB above 0.*'much'"):
        frame_store.open_store(runs[0], processes=1, cache=tmp_path)
