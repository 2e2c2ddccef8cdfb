"""Damage: every altered byte of a run's files is noticed with one line; kills lose no committed move."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from understudy import cli
from understudy.suite import games
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.histories import history_format, replay
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.histories.journal import ROW, Journal
from understudy.suite.hub import manifest
from understudy.suite.testing.history_checks import play_on, random_runs, same_moves

MOVES = 300
SAMPLE = 12  # of the changes are also tried on the command line
COUNTS = [pytest.param(1_000, id="1000"), pytest.param(10_000, id="10000", marks=pytest.mark.long)]


def altered(data: bytes, rng: random.Random, first: int = 0, stop: int | None = None) -> bytes:
    """Return the bytes with one of [first, stop) changed: a random bit flipped, or another random value."""
    position = rng.randrange(first, len(data) if stop is None else stop)
    flip = 1 << rng.randrange(8) if rng.random() < 0.5 else rng.randrange(1, 256)
    return data[:position] + bytes([data[position] ^ flip]) + data[position + 1 :]


def require_one_line(check: Callable[[], object], what: str) -> None:
    """Fail unless the check raises one of our errors, with a message of one line."""
    message = error_of(check)
    assert message is not None, f"not noticed: {what}"
    assert "\n" not in message


def error_of(check: Callable[[], object]) -> str | None:
    """Return the message of one of our errors, or None if there is none; other exceptions propagate."""
    try:
        check()
    except (InputError, CheckFailed) as error:
        return str(error)
    return None


def require_one_line_of_the_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) in (1, 2)
    shown = capsys.readouterr().err
    assert shown.startswith("understudy: ")
    assert shown.count("\n") == 1


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (run,) = random_runs(games.load("darkroom/goal-40"), folder, 1)
    for _ in play_on([run], SegmentRule(60), MOVES):
        pass
    return run.path


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal with checkpoints at moves 200 and 250, and uncommitted moves after them."""
    (run,) = random_runs(games.load("darkroom/goal-40"), tmp_path, 1)
    for recorder in play_on([run], SegmentRule(60), MOVES, checkpoint_moves=50):
        if recorder.move == 280:
            recorder._flush()
            break
    assert run.journal.checkpoints() == [200, 250]
    return run.journal


# Finished files


@pytest.mark.parametrize("changes", COUNTS)
def test_every_changed_byte_of_a_history_is_noticed(run, tmp_path, capsys, changes):
    data = run.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    parts = {"columns": (0, footer), "header": (footer, len(data) - 8), "last eight": (len(data) - 8, None)}
    rng = random.Random(0)
    damaged = tmp_path / "damaged.parquet"
    for change in range(changes):
        part = list(parts)[change % len(parts)]
        damaged.write_bytes(altered(data, rng, *parts[part]))
        require_one_line(lambda: history_format.read(damaged), f"change {change}, in {part}")
        if change < SAMPLE:
            command = ("info", "watch")[change % 2]
            options = ["--out", str(tmp_path / "x.gif")] if command == "watch" else []
            require_one_line_of_the_command(["histories", command, str(damaged), *options], capsys)


# Journals


@pytest.mark.parametrize("changes", COUNTS)
def test_every_changed_byte_of_a_journal_is_noticed(journal, capsys, changes):
    rng = random.Random(1)
    stops = {"header.json": None, "moves.bin": 250 * ROW.itemsize, "segments-250.json": None}
    whole = {name: (journal.folder / name).read_bytes() for name in stops}
    for change in range(changes):
        name = list(stops)[change % len(stops)]
        path = journal.folder / name
        path.write_bytes(altered(whole[name], rng, 0, stops[name]))
        require_one_line(journal.load, f"change {change}, in {name}")
        if change < SAMPLE:
            require_one_line_of_the_command(["histories", "info", str(journal.folder)], capsys)
        path.write_bytes(whole[name])
    journal.load()


def test_the_previous_checkpoint_is_checked_too(journal):
    rng = random.Random(2)
    path = journal.folder / "segments-200.json"
    whole = path.read_bytes()
    for change in range(100):
        path.write_bytes(altered(whole, rng))
        require_one_line(lambda: journal.load(200), f"change {change}")
        assert journal.load().num_moves == 250
    path.write_bytes(whole)
    moves = journal.folder / "moves.bin"
    rows = moves.read_bytes()
    moves.write_bytes(altered(rows, rng, 200 * ROW.itemsize, 250 * ROW.itemsize))
    assert journal.load(200).num_moves == 200  # the altered rows come after it
    with pytest.raises(InputError, match=r"moves\.bin: CRC-32 of the first 250 moves is .*, the checkpoint"):
        journal.load()


def test_uncommitted_rows_are_ignored(journal):
    before = journal.load()
    path = journal.folder / "moves.bin"
    path.write_bytes(altered(path.read_bytes(), random.Random(3), 250 * ROW.itemsize))
    assert same_moves(journal.load(), before)


# Manifests


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A folder of small files with its manifest."""
    for name, text in {"a.txt": "one", "b/c.txt": "two", "b/d.bin": "three"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    manifest.write(tmp_path)
    return tmp_path


@pytest.mark.parametrize("changes", COUNTS)
def test_every_changed_byte_of_a_manifest_or_a_file_that_it_lists_is_noticed(listed, changes):
    rng = random.Random(5)
    whole = {name: (listed / name).read_bytes() for name in (manifest.NAME, "a.txt", "b/c.txt", "b/d.bin")}
    for change in range(changes):
        name = manifest.NAME if change % 4 else rng.choice(list(whole))
        (listed / name).write_bytes(altered(whole[name], rng))
        require_one_line(lambda: manifest.check(listed), f"change {change}, in {name}")
        (listed / name).write_bytes(whole[name])
    assert len(manifest.check(listed)) == 3


# Journals without checksums


def remove_checksums(journal: Journal) -> None:
    """Rewrite the journal's checkpoints in their other form, a bare list of segments."""
    for moves in journal.checkpoints():
        segments = [asdict(segment) for segment in journal.load(moves).header.segments]
        (journal.folder / f"segments-{moves}.json").write_text(json.dumps(segments, indent=1) + "\n")


def test_a_journal_without_checksums_is_read_and_resumed(journal, run):
    before = journal.load()
    remove_checksums(journal)
    assert same_moves(journal.load(), before)
    assert journal.load().header == before.header
    path = journal.folder.with_name(journal.folder.name.removesuffix(".journal"))
    runs = random_runs(games.load("darkroom/goal-40"), path.parent, 1)
    for _ in play_on(runs, SegmentRule(60), MOVES, checkpoint_moves=25):
        if len(journal.checkpoints()) > 1 and journal.checkpoints()[-1] == 275:
            text = json.loads((journal.folder / "segments-275.json").read_text())
            assert set(text) == {"segments", "rows_crc32", "header_sha256", "sha256"}
    assert path.read_bytes() == run.read_bytes()


def test_a_journal_without_checksums_gives_no_other_exception(journal):
    """A change may go unnoticed until the replay, but nothing ends in a traceback."""
    remove_checksums(journal)
    rng = random.Random(4)
    for change in range(400):
        path = journal.folder / ("header.json", "segments-250.json")[change % 2]
        whole = path.read_bytes()
        path.write_bytes(altered(whole, rng))
        assert "\n" not in (error_of(lambda: replay.verify(journal.load(), processes=1)) or "")
        path.write_bytes(whole)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7", "not a journal"),
        ('"text"', "not a journal"),
        ("[7]", "not a journal"),
        ('[{"first_move": 0}]', "not a journal"),
        ("{}", "SHA-256 is not that of its content"),
        ('{"sha256": 1e999}', "not readable JSON"),
        ('{"segments": 1e999}', "not readable JSON"),
    ],
)
def test_a_malformed_checkpoint_is_reported_in_one_line(journal, text, message):
    (journal.folder / "segments-250.json").write_text(text)
    with pytest.raises(InputError, match=message):
        journal.load()


@pytest.mark.parametrize("name", ["header.json", "moves.bin"])
def test_a_file_that_is_missing_from_a_journal_is_named(journal, name):
    (journal.folder / name).unlink()
    with pytest.raises(InputError, match=name):
        journal.load()


def test_other_files_in_a_journal_are_ignored(journal):
    (journal.folder / "segments-copy.json").write_text("{}")
    assert journal.checkpoints() == [200, 250]


# Kills

PLAYER = """
import sys
from pathlib import Path
from understudy.suite import games
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.testing.history_checks import play_on, random_runs

runs = random_runs(games.load("darkroom/goal-40"), Path(sys.argv[1]), 2)
print("playing", flush=True)
for _ in play_on(runs, SegmentRule(700), int(sys.argv[2]), checkpoint_moves=100):
    pass
"""
LONG_MOVES = 3_000


def play_and_kill(folder: Path, after_seconds: float | None) -> int:
    """Play two runs in another process, kill it after some seconds of play, and return its exit code."""
    command = [sys.executable, "-c", PLAYER, str(folder), str(LONG_MOVES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        if after_seconds is not None:
            time.sleep(after_seconds)
            process.send_signal(signal.SIGKILL)
        return process.wait(timeout=300)


@pytest.mark.parametrize(
    "kills", [pytest.param(5, id="5"), pytest.param(100, marks=pytest.mark.long, id="100")]
)
def test_a_killed_process_loses_no_move_before_its_last_checkpoint(tmp_path, kills):
    begin = time.monotonic()
    assert play_and_kill(tmp_path / "whole", None) == 0
    whole_seconds = time.monotonic() - begin
    whole = [run.path for run in random_runs(games.load("darkroom/goal-40"), tmp_path / "whole", 2)]
    expected = [history_format.read(path) for path in whole]
    rng = random.Random(kills)
    done, chain = 0, 0
    while done < kills:
        folder = tmp_path / f"killed-{chain}"
        chain += 1
        code = -signal.SIGKILL
        while code and done < kills:
            code = play_and_kill(folder, rng.uniform(0, whole_seconds / 3))
            done += code == -signal.SIGKILL
            require_readable(folder, expected)
        if code:
            assert play_and_kill(folder, None) == 0
        for path in whole:
            assert (folder / path.name).read_bytes() == path.read_bytes()


def require_readable(folder: Path, expected: list[history_format.History]) -> None:
    """Check that each run's last checkpoint is readable and holds the moves of the uninterrupted run."""
    if not (folder / "progress.json").exists():
        return  # killed before its first checkpoint
    committed = json.loads((folder / "progress.json").read_text())
    runs = random_runs(games.load("darkroom/goal-40"), folder, 2)
    for run, whole in zip(runs, expected, strict=True):
        history = run.recorded(committed)
        assert (history.action == whole.action[:committed]).all()
        assert (history.reward == whole.reward[:committed]).all()
