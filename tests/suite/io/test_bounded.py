"""Files of others are read with bounds: no pipe is waited for, no device or hole is read to its end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from understudy.suite.errors import InputError
from understudy.suite.io import bounded


def test_a_file_and_a_link_to_one_are_read(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff\0\r\n")
    (tmp_path / "b.json").symlink_to("a.json")
    assert bounded.read(tmp_path / "a.json") == bounded.read(tmp_path / "b.json") == b"\xff\0\r\n"


def test_a_missing_file_is_an_oserror_for_its_reader(tmp_path):
    with pytest.raises(FileNotFoundError):
        bounded.read(tmp_path / "a.json")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_circle(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (make_pipe, "found a device or pipe"),
        (make_device, "found a device or pipe"),
        (Path.mkdir, "found a folder"),
        (make_circle, "expected a regular file, found none"),
    ],
)
def test_what_is_no_file_is_refused_at_once(tmp_path, make, found):
    path = tmp_path / "a.json"
    make(path)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    with pytest.raises(InputError, match=found):
        bounded.read(path)
    assert not before or len(os.listdir("/proc/self/fd")) == before


def test_more_bytes_than_a_file_of_its_name_may_have_are_not_read(tmp_path):
    path = tmp_path / "a.json"
    path.touch()
    os.truncate(path, 1 << 40)  # takes no room on the disk
    with pytest.raises(InputError, match="expected at most 16,777,216 bytes, found 1,099,511,627,776"):
        bounded.read(path)


def test_memory_is_taken_for_what_a_file_has(tmp_path):
    """A reader that asks for the 2 GiB that a file may have gets memory for them first."""
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"x")
    text = (
        "import resource, sys; from pathlib import Path\n"
        "from understudy.suite.io import bounded\n"
        "pages = int(Path('/proc/self/statm').read_text().split()[0])\n"
        "limit = pages * resource.getpagesize() + (1 << 28)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))\n"
        "print(bounded.read(Path(sys.argv[1])))\n"
    )
    done = subprocess.run([sys.executable, "-c", text, str(path)], capture_output=True, text=True)
    assert done.stdout == "b'x'\n", done.stderr


def test_a_file_that_grows_while_it_is_read_is_read_whole_or_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"12")
    with bounded.opened(path, 4) as file:
        size = os.fstat(file.fileno()).st_size
        path.write_bytes(b"12345678")
        assert size == 2
        with pytest.raises(InputError, match="expected at most 4 bytes, found more"):
            bounded.content(file, path, 4)


def test_text_is_utf8(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("é\r\n".encode())
    assert bounded.text(path) == "é\r\n"
    path.write_bytes(b"a\xff")
    with pytest.raises(InputError, match="expected UTF-8, found another byte at 1"):
        bounded.text(path)
