"""Notes of replays: what was replayed under the same conditions is not replayed again, and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import multiprocessing
import os
from importlib import metadata
from pathlib import Path

import pytest

from understudy import cli
from understudy.suite import games
from understudy.suite.histories import frame_cache, history_format, replay, replay_notes
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.histories.history_format import History
from understudy.suite.histories.replay_notes import ReplayNotes
from understudy.suite.io import file_lock
from understudy.suite.testing.history_checks import play_on, random_runs

FILE = "replayed.txt"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three runs of the dark room, in two segments each."""
    runs = random_runs(games.load("darkroom/goal-40"), tmp_path_factory.mktemp("recorded"), 3)
    for _ in play_on(runs, SegmentRule(60), 100):
        pass
    return [run.path for run in runs]


@pytest.fixture
def histories(recorded: list[Path]) -> list[History]:
    return [history_format.read(path) for path in recorded]


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of runs that each call replays."""
    counts: list[int] = []
    verify_runs = replay.verify_runs

    def counted(histories, *arguments, **named):
        counts.append(len(histories))
        return verify_runs(histories, *arguments, **named)

    monkeypatch.setattr(replay, "verify_runs", counted)
    return counts


@pytest.fixture
def verify(monkeypatch, tmp_path, replayed, capsys):
    """Return a function that runs `histories verify` and returns its code, runs replayed, and output."""
    monkeypatch.setattr(replay_notes, "FILE", FILE)
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object) -> tuple[int, int, str]:
        code = cli.main(["histories", "verify", *map(str, arguments), "--processes", "1"])
        return code, replayed[-1], capsys.readouterr().out

    return run


def richer(history: History) -> History:
    """Return the history with one more point at move 71."""
    reward = history.reward.copy()
    reward[71] += 1
    return dataclasses.replace(history, reward=reward)


# What needs no second replay


def test_a_second_verify_replays_nothing_and_says_so(verify, recorded):
    code, count, out = verify(*recorded)
    assert (code, count, out.count(": replayed, 100 moves")) == (0, 3, 3)
    assert verify(recorded[0])[:2] == (0, 0)
    code, count, out = verify(*recorded)
    assert (code, count, out.count(": replayed before, 100 moves")) == (0, 0, 3)


def test_only_what_is_new_is_replayed(verify, recorded):
    verify(recorded[1])
    code, count, out = verify(*recorded)
    assert (code, count, out.count("replayed before"), out.count(": replayed, ")) == (0, 2, 1, 2)


def test_again_replays_all(verify, recorded):
    verify(*recorded)
    code, count, out = verify(*recorded, "--again")
    assert (code, count, out.count(": replayed, 100 moves")) == (0, 3, 3)
    assert verify(*recorded)[1] == 0


def test_a_copy_elsewhere_is_the_same_log(verify, recorded, histories, tmp_path):
    verify(*recorded)
    history_format.write(tmp_path / "another-name.parquet", histories[0])
    assert verify(tmp_path / "another-name.parquet")[:2] == (0, 0)


# What must be replayed again


def test_a_changed_log_is_replayed_and_never_noted(verify, recorded, histories, tmp_path):
    """Its file is whole, and its content hash is its own."""
    verify(*recorded)
    changed = tmp_path / "changed.parquet"
    history_format.write(changed, richer(histories[0]))
    for _ in range(2):
        code, count, out = verify(changed)
        assert (code, count) == (1, 1)
        assert "differs at move 71" in out


def test_a_changed_byte_of_a_file_is_noticed_before_any_note(verify, recorded, tmp_path):
    verify(*recorded)
    data = bytearray(recorded[0].read_bytes())
    data[len(data) // 2] ^= 1
    changed = tmp_path / "changed.parquet"
    changed.write_bytes(bytes(data))
    code, count, out = verify(changed)
    assert (code, count) == (2, 0)
    assert "altered" in out


@pytest.mark.parametrize("field", ["action", "explored", "segment seed", "header"])
def test_each_part_of_a_log_is_in_its_note(histories, tmp_path, field):
    notes, history = ReplayNotes(tmp_path / FILE), histories[0]
    notes.update([history], [None])
    first, *others = history.header.segments
    changed = {
        "action": lambda: dataclasses.replace(history, action=(history.action + 1) % 5),
        "explored": lambda: dataclasses.replace(history, explored=~history.explored),
        "segment seed": lambda: dataclasses.replace(
            history,
            header=dataclasses.replace(
                history.header, segments=(dataclasses.replace(first, seed=first.seed ^ 1), *others)
            ),
        ),
        "header": lambda: dataclasses.replace(
            history, header=dataclasses.replace(history.header, player={"name": "another"})
        ),
    }[field]()
    assert notes.held([history, changed]) == [True, False]


def test_a_note_of_other_software_or_another_game_serves_nothing(histories, tmp_path, monkeypatch):
    notes, history = ReplayNotes(tmp_path / FILE), histories[0]
    notes.update([history], [None])
    game = games.load(history.header.game)
    newer = dataclasses.replace(game, fingerprint={**game.fingerprint, "numpy": "99"})
    with monkeypatch.context() as patch:
        patch.setattr(games, "load", lambda name: newer)
        assert notes.held([history]) == [False]
    with monkeypatch.context() as patch:
        patch.setattr(replay_notes, "software_sha256", lambda: "0" * 64)
        assert notes.held([history]) == [False]
    assert notes.held([history]) == [True]


def other_files(distribution, name, read_text=metadata.PathDistribution.read_text):
    return "another,,\n" if name == "RECORD" else read_text(distribution, name)


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr("understudy.__version__", "0.1.0.post1"),
        lambda patch: patch.setattr("platform.machine", lambda: "another"),
        lambda patch: patch.setattr("platform.python_version", lambda: "3.99.0"),
        lambda patch: patch.setattr("importlib.metadata.Distribution.version", "99"),
        lambda patch: patch.setattr("importlib.metadata.PathDistribution.read_text", other_files),
        lambda patch: patch.setattr("understudy.suite.io.files.sha256", lambda path: path.name),
    ],
    ids=["understudy", "machine", "python", "a package's version", "a package's files", "the replaying code"],
)
def test_software_is_told_apart(change, monkeypatch):
    compute = replay_notes.software_sha256.__wrapped__
    before = compute()
    assert compute() == before
    change(monkeypatch)
    assert compute() != before


def test_the_replaying_code_is_among_the_hashed_files(monkeypatch):
    hashed = []

    def noting(path):
        hashed.append("/".join(path.parts[-2:]))
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr("understudy.suite.io.files.sha256", noting)
    replay_notes.software_sha256.__wrapped__()
    assert {"histories/replay.py", "histories/segments.py", "histories/history_format.py"} <= set(hashed)
    assert {f"games/{family}.py" for family in games.families()} <= set(hashed)
    assert {"suite/draws.py", "suite/protocols.py", "io/pools.py", "games/_seeding.py"} <= set(hashed)


def test_a_deleted_cache_replays_all(verify, recorded, tmp_path):
    verify(*recorded)
    (tmp_path / "cache" / FILE).unlink()
    assert verify(*recorded)[:2] == (0, 3)
    assert verify(*recorded)[:2] == (0, 0)


def test_a_difference_that_is_found_again_removes_the_note(histories, tmp_path):
    notes = ReplayNotes(tmp_path / FILE)
    notes.update(histories, [None, None, None])
    ReplayNotes(tmp_path / FILE, again=True).update(histories[:2], ["differs", None])
    assert notes.held(histories) == [False, True, True]


# Files that are not what was written


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 1000,
        b"\xff\xfe not text",
        b"*\n.*\n" + b"[0-9a-f]" * 8,
        b"0" * 64 + b"\n",
        b"[" * 10_000,
    ],
)
def test_a_damaged_file_is_ignored_and_replaced(verify, recorded, tmp_path, content):
    path = tmp_path / "cache" / FILE
    path.parent.mkdir()
    path.write_bytes(content)
    path.chmod(0o600)
    assert verify(*recorded)[:2] == (0, 3)
    assert verify(*recorded)[:2] == (0, 0)
    lines = path.read_text().splitlines()
    assert all(len(line) == 64 for line in lines)
    assert len(lines) == 3 + (content == b"0" * 64 + b"\n")


def test_a_damaged_line_spoils_no_other(histories, tmp_path):
    path = tmp_path / FILE
    notes = ReplayNotes(path)
    notes.update(histories, [None, None, None])
    first, second, third = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([first[:-1], second.upper(), third]))  # also cut off without a line feed
    assert notes.held(histories).count(True) == 1 + second.isdigit()


def test_the_content_hash_alone_is_no_note(histories, tmp_path):
    path = tmp_path / FILE
    path.write_text("".join(f"{history.content_sha256}\n" for history in histories))
    path.chmod(0o600)
    assert ReplayNotes(path).held(histories) == [False, False, False]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_notes_that_others_could_have_written_are_ignored(histories, tmp_path, mode):
    path = tmp_path / FILE
    notes = ReplayNotes(path)
    notes.update(histories, [None, None, None])
    path.chmod(mode)
    assert notes.held(histories) == [False, False, False]
    notes.update(histories[:1], [None])
    assert notes.held(histories) == [True, False, False]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.name == "nt", reason="owners of POSIX")
def test_notes_of_another_user_are_ignored(histories, tmp_path, monkeypatch):
    notes = ReplayNotes(tmp_path / FILE)
    notes.update(histories, [None, None, None])
    monkeypatch.setattr(os, "getuid", lambda: (tmp_path / FILE).stat().st_uid + 1)
    assert notes.held(histories) == [False, False, False]


@pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")
def test_a_link_a_pipe_and_a_folder_are_no_notes(histories, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    ReplayNotes(elsewhere).update(histories, [None, None, None])
    (tmp_path / "link").symlink_to(elsewhere)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder"):
        notes = ReplayNotes(tmp_path / name)
        assert notes.held(histories) == [False, False, False]
        notes.update(histories, [None, None, None])  # replaces a link and a pipe, and gives up on a folder
    assert len(elsewhere.read_bytes().splitlines()) == 3


def test_the_file_is_bounded_and_the_oldest_notes_go(histories, tmp_path, monkeypatch):
    monkeypatch.setattr(replay_notes, "MAX_NOTES", 2)
    path = tmp_path / FILE
    notes = ReplayNotes(path)
    for history in histories:
        notes.update([history], [None])
    assert notes.held(histories) == [False, True, True]
    path.write_bytes(path.read_bytes() + b"\n")
    assert notes.held(histories) == [False, False, False]  # larger than any that was written


# A cache that cannot be used is no failure


def test_a_cache_that_cannot_be_written_or_made(verify, recorded, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file")
    for _ in range(2):
        assert verify(*recorded)[:2] == (0, 3)
    monkeypatch.setenv("UNDERSTUDY_CACHE", "~no-such-user-here/cache")
    assert verify(*recorded)[:2] == (0, 3)


def test_a_full_disk(verify, recorded, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert verify(*recorded)[:2] == (0, 3)
    assert not list(frame_cache.folder().glob(".*part"))
    assert verify(*recorded)[:2] == (0, 3)


def test_a_lock_that_is_never_released(histories, tmp_path, monkeypatch):
    monkeypatch.setattr(file_lock, "WAIT_SECONDS", 0.01)
    path = tmp_path / FILE
    with file_lock.held(path.with_suffix(".lock")):
        ReplayNotes(path).update(histories, [None, None, None])
    assert not path.exists()


# Several processes


def _note_many(path: Path, files: list[Path], start: multiprocessing.Barrier) -> None:
    histories = [history_format.read(file) for file in files]
    start.wait()
    for history in histories:
        ReplayNotes(path).update([history], [None])


def test_processes_at_once_lose_no_note(histories, tmp_path):
    logs = [
        dataclasses.replace(
            histories[0], header=dataclasses.replace(histories[0].header, player={"copy": number})
        )
        for number in range(24)
    ]
    files = [tmp_path / f"{number}.parquet" for number in range(24)]
    for file, log in zip(files, logs, strict=True):
        history_format.write(file, log)
    context = multiprocessing.get_context("spawn")
    start, path = context.Barrier(3), tmp_path / FILE
    processes = [context.Process(target=_note_many, args=(path, files[part::3], start)) for part in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert ReplayNotes(path).held(logs) == [True] * 24
    assert {each.name for each in tmp_path.glob("*replayed*")} == {FILE}
