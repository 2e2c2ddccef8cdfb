"""Parts: writers with equal process numbers do not meet, and nobody removes what another made."""

import os
import re
import subprocess
import sys
import time

import pytest

from understudy.suite.io import files, parts

# A process in a container of its own has the number 1 there, as every other has in its own.
WRITE = """
import os, sys
from pathlib import Path

os.getpid = lambda: 1
from understudy.suite.io import files

with files.written_atomically(Path(sys.argv[1])) as file:
    file.write(sys.argv[2].encode())
    print("written", flush=True)
    sys.stdin.readline()
"""


def writer(path, text):
    return subprocess.Popen(
        [sys.executable, "-c", WRITE, str(path), text],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )


def test_two_containers_write_the_same_file(tmp_path):
    path = tmp_path / "record.json"
    texts = ("one", "another, longer")
    writers = [writer(path, text) for text in texts]
    for each in writers:
        assert each.stdout.readline() == "written\n"
    unfinished = list(tmp_path.iterdir())
    assert len(unfinished) == 2
    assert all(re.fullmatch(r"\.record\.json\.[0-9a-f]{16}\.part", part.name) for part in unfinished)
    for each, text in zip(writers, texts, strict=True):
        each.communicate("\n", timeout=60)
        assert each.returncode == 0
        assert path.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


def test_the_holder_of_a_lock_removes_only_what_is_written_under_it(tmp_path):
    """A user draws a plot into a run's folder, while the run starts again after its process was killed."""
    with writer(tmp_path / "plot.png", "a plot") as plot:
        assert plot.stdout.readline() == "written\n"
        others = (".notes.part", ".record.json.1234.part", "record.json", ".state.part")
        for name in (".record.json.0123456789abcdef.part", ".state-7.x.0123456789abcdef.part", *others):
            (tmp_path / name).touch()
        parts.drop(tmp_path, ("record.json", "state-*.x"))
        left = {path.name for path in tmp_path.iterdir()}
        plot.communicate("\n", timeout=60)
    assert left - {name for name in left if name.startswith(".plot.png.")} == set(others)
    assert plot.returncode == 0
    assert (tmp_path / "plot.png").read_bytes() == b"a plot"


def test_without_a_lock_age_decides(tmp_path):
    old, new, other = (
        tmp_path / f".{name}.0123456789abcdef.part" for name in ("old.bin", "new.bin", "old.txt")
    )
    for path in (old, new, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (time.time() - 90_000,) * 2)
    parts.drop_old(tmp_path, ("*.bin",))
    assert set(tmp_path.iterdir()) == {new, other}


def test_a_folder_is_abandoned_when_its_newest_file_is(tmp_path):
    folder = tmp_path / "import"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").touch()
    long_ago = (time.time() - 90_000,) * 2
    for path in (folder, folder / "inner"):
        os.utime(path, long_ago)
    assert not parts.is_abandoned(folder)
    os.utime(folder / "inner" / "file", long_ago)
    assert parts.is_abandoned(folder)


def test_a_part_never_overwrites(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "token", lambda: "0" * 16)
    (tmp_path / f".file.{'0' * 16}.part").write_bytes(b"another's")
    with pytest.raises(FileExistsError):
        files.write_atomically(tmp_path / "file", b"mine")
    assert (tmp_path / f".file.{'0' * 16}.part").read_bytes() == b"another's"
