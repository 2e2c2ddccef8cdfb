"""The archive of a row's runs: the same files give the same bytes, and what a row never holds is refused."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from understudy.suite.errors import InputError
from understudy.suite.harness import row_archive
from understudy.suite.io import archives, bounded

FILES = {
    "start/all/job.json": json.dumps({"lanes": [1, 2]}).encode(),
    "start/all/isolation.json": b"{}",
    "start/all/kept-state.safetensors": os.urandom(300),
    "start/all/lane-0/history.parquet": b"PAR1" * 100,
    "start/all/lane-0/record.json": b'{"points": 1.0}',
    "start/all/lane-12/record.json": b'{"points": 2.0}',
    "transfer@shuffled-0/breakout-seed-0/rechecked.json": b'{"holds": true}',
    "agreement/all/space_invaders.seed-0.safetensors": os.urandom(50),
}
RECORD = "start/all/lane-0/record.json"


def write(path: Path, files: dict[str, bytes] = FILES, names: list[str] | None = None) -> Path:
    row_archive.write(path, names or list(files), files.__getitem__)
    return path


def made(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    """Write an archive with another program's habits."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def changed(path: Path, name: str, place: int, value: bytes) -> Path:
    """Overwrite bytes of the entry of a member in the archive's directory."""
    data = bytearray(path.read_bytes())
    entry = data.rindex(name.encode()) - 46  # the directory is at the end, a name 46 bytes into its entry
    assert data[entry : entry + 4] == b"PK\1\2"
    data[entry + place : entry + place + len(value)] = value
    path.write_bytes(data)
    return path


def read_all(path: Path) -> dict[str, bytes]:
    return {name: row_archive.read(path, name) for name in row_archive.members(path)}


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_all(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What is written


def test_what_is_read_is_what_was_written(tmp_path):
    path = write(tmp_path / "runs.zip")
    assert list(row_archive.members(path)) == sorted(FILES)
    assert {name: row_archive.read(path, name) for name in FILES} == FILES


def test_the_same_files_give_the_same_bytes_and_any_zip_program_reads_them(tmp_path):
    one = write(tmp_path / "one.zip")
    other = write(tmp_path / "other.zip", names=sorted(FILES, reverse=True))
    assert one.read_bytes() == other.read_bytes()
    with zipfile.ZipFile(one) as archive:
        assert archive.testzip() is None
        found = archive.infolist()
        assert {info.filename: archive.read(info) for info in found} == FILES
    assert [info.filename for info in found] == sorted(FILES)
    assert {info.date_time for info in found} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.external_attr >> 16 for info in found} == {0o100644}
    methods = {Path(info.filename).suffix: info.compress_type for info in found}
    stored, deflated = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
    assert methods == {".json": deflated, ".parquet": stored, ".safetensors": deflated}


def test_a_file_that_was_replaced_is_read_anew(tmp_path):
    path = write(tmp_path / "runs.zip")
    assert row_archive.read(path, RECORD) == FILES[RECORD]
    write(path, {**FILES, RECORD: b'{"points": 3.0}'})
    assert row_archive.read(path, RECORD) == b'{"points": 3.0}'
    with pytest.raises(FileNotFoundError):
        row_archive.read(path, "start/all/lane-1/record.json")


def test_an_archive_that_would_be_refused_does_not_replace_one(tmp_path):
    path = write(tmp_path / "runs.zip")
    before = path.read_bytes()
    bomb = {**FILES, "start/all/job.json": b"0" * 1_000_000}
    with pytest.raises(InputError, match=r"runs\.zip: 'start/all/job\.json': deflated to"):
        write(path, bomb)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_predictions_of_one_value_are_stored_and_no_bomb(tmp_path):
    """As of a player that answers the same at every move; one that does not is deflated."""
    noise = bytes(range(256)) * 2_000
    constant, other = "agreement/all/a.safetensors", "agreement/all/b.safetensors"
    assert len(zlib.compress(noise, 9)) * archives.MAX_RATIO < len(noise)
    found = {constant: noise, other: np.random.default_rng(0).integers(0, 4, 400_000, np.uint8).tobytes()}
    path = write(tmp_path / "runs.zip", {**FILES, **found})
    assert {name: row_archive.read(path, name) for name in found} == found
    with zipfile.ZipFile(path) as archive:
        methods = {name: archive.getinfo(name).compress_type for name in found}
    assert methods == {constant: zipfile.ZIP_STORED, other: zipfile.ZIP_DEFLATED}


# What is refused


@pytest.mark.parametrize(
    "name",
    [
        "/start/all/job.json",
        "../start/all/job.json",
        "start/../job.json",
        "start/./job.json",
        "start//job.json",
        "start\\all\\job.json",
        "C:/all/job.json",
        "start/all/job.json/",
        "start/all/",
        "job.json",
        "row.json",
        "start/all/job.py",
        "start/all/Job.json",
        "Start/all/job.json",
        "start/.hidden/job.json",
        "start/all/lane-01/record.json",
        "start/all/lane-0/timing.json",
        "start/all/lane-0/lane-0/record.json",
        "start/a\nb/job.json",
        "start/all\x7f/job.json",
        "start/\u00e4/job.json",
        f"start/{'a' * 129}/job.json",
        "agreement/all/a.json",
    ],
)
def test_a_name_that_no_row_has_is_refused(tmp_path, name):
    path = made(tmp_path / "runs.zip", (name, b"{}"))
    assert "not a file of a row's runs" in refusal(path)
    assert not row_archive.is_known(name)


def test_a_name_that_ends_early_for_some_readers_is_refused(tmp_path):
    path = made(tmp_path / "runs.zip", ("start/all/job.jsonXY", b"{}"))
    path.write_bytes(path.read_bytes().replace(b"job.jsonXY", b"job.json\0Y"))
    assert "not a file of a row's runs" in refusal(path)


def test_a_link_and_a_folder_are_refused(tmp_path):
    for mode, bits in ((0o120777, 0), (0o040755, 0x10)):
        info = zipfile.ZipInfo(RECORD)
        info.create_system, info.external_attr = 3, mode << 16 | bits
        assert "a link or a folder" in refusal(made(tmp_path / "runs.zip", (info, b"/etc/passwd")))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(tmp_path):
    assert "twice in it" in refusal(made(tmp_path / "runs.zip", (RECORD, b"{}"), (RECORD, b"[]")))


def test_encryption_and_other_methods_are_refused(tmp_path):
    path = made(tmp_path / "runs.zip", (RECORD, b"{}"))
    assert "encrypted" in refusal(changed(path, RECORD, 8, b"\1"))
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = made(tmp_path / "runs.zip", (RECORD, b"{}"), method=method)
        assert f"compressed by method {method}" in refusal(path)


def test_the_bounds_hold(tmp_path, monkeypatch):
    path = write(tmp_path / "runs.zip")
    with monkeypatch.context() as bound:
        bound.setattr(archives, "MAX_MEMBERS", len(FILES) - 1)
        archives._kept_directory.cache_clear()
        assert f"expected at most {len(FILES) - 1} files, found {len(FILES)}" in refusal(path)
    with monkeypatch.context() as bound:
        bound.setattr(archives, "MAX_TOTAL_BYTES", path.stat().st_size - 1)
        assert f"bytes, found {path.stat().st_size:,}" in refusal(path)
    padded = write(tmp_path / "padded.zip", {RECORD: b" " * 4_000})  # smaller than what is in it
    with monkeypatch.context() as bound:
        bound.setattr(archives, "MAX_TOTAL_BYTES", 3_999)
        assert "expected at most 3,999 bytes in it, found 4,000" in refusal(padded)
    for suffix, name in ((".parquet", "history.parquet"), (".safetensors", "safetensors"), (".json", "json")):
        with monkeypatch.context() as bound:
            bound.setattr(bounded, "MAX_BYTES", {**bounded.MAX_BYTES, suffix: 1})
            archives._kept_directory.cache_clear()
            text = refusal(path)
            assert name in text
            assert "expected at most 1" in text
    archives._kept_directory.cache_clear()
    assert list(row_archive.members(path)) == sorted(FILES)


def test_a_bomb_is_refused_before_it_is_inflated(tmp_path):
    path = made(tmp_path / "runs.zip", (RECORD, b"0" * 10_000_000), method=zipfile.ZIP_DEFLATED)
    assert "more than 100 times" in refusal(path)


def test_members_that_lie_in_each_other_are_refused(tmp_path):
    """As in a bomb of one compressed stream under many names."""
    path = made(tmp_path / "runs.zip", *((f"start/all/lane-{i}/record.json", b"0" * 900) for i in range(9)))
    data = bytearray(path.read_bytes())
    first = place = data.find(b"PK\1\2")
    for entry in range(9):  # every entry of the directory leads to the first member
        place = data.find(b"PK\1\2", place + 4 * bool(entry))
        data[place + 42 : place + 46] = bytes(4)
    directory = bytes(data[first:-22])
    end = b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 9, 9, len(directory), 930 + 30, 0)
    path.write_bytes(bytes(data[:960]) + directory + end)
    assert "members lie in each other" in refusal(path)


def test_a_directory_larger_than_its_members_need_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = write(tmp_path / "runs.zip")
    monkeypatch.setattr(zipfile, "ZipFile", None)  # nothing is read by it
    data = path.read_bytes()
    path.write_bytes(data[:-10] + struct.pack("<L", 1 << 26) + data[-6:])
    assert "a larger directory than its members need" in refusal(path)
    path.write_bytes(data[:-22] + b"PK\6\7" + bytes(16) + data[-22:])
    assert "a larger directory than its members need" in refusal(path)
    for short in (b"", b"PK", data[:-1], data + b"x"):
        path.write_bytes(short)
        assert "not a whole ZIP archive" in refusal(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "runs.zip")
    assert "found a device or pipe" in refusal(tmp_path / "runs.zip")


def test_a_size_that_lies_is_refused(tmp_path):
    """The stream inflates to 10 MB; no more than the 3,000 bytes of the directory are inflated."""
    path = made(tmp_path / "runs.zip", (RECORD, b"0" * 10_000_000), method=zipfile.ZIP_DEFLATED)
    changed(path, RECORD, 24, struct.pack("<L", 3_000))
    assert "its size or its CRC-32 is another" in refusal(path)
    path = made(tmp_path / "runs.zip", (RECORD, b"{}"))
    assert "stored in 2 bytes, its size is 9" in refusal(changed(path, RECORD, 24, struct.pack("<L", 9)))
    made(tmp_path / "runs.zip", (RECORD, b"{}"), method=zipfile.ZIP_DEFLATED)
    assert "expected at most" in refusal(changed(path, RECORD, 20, struct.pack("<L", 1 << 31)))


def test_another_file_in_a_members_place_is_refused(tmp_path):
    path = write(tmp_path / "runs.zip")
    data = path.read_bytes()
    path.write_bytes(data.replace(RECORD.encode(), b"start/all/lane-9/record.json", 1))  # in its local header
    assert "another file at its place" in refusal(path)


def test_a_flipped_byte_is_refused(tmp_path):
    path = write(tmp_path / "runs.zip")
    data = bytearray(path.read_bytes())
    data[data.index(b"PAR1") + 7] ^= 1
    path.write_bytes(data)
    assert "lane-0/history.parquet: damaged" in refusal(path)


def test_truncated_and_foreign_files_are_refused(tmp_path):
    path = write(tmp_path / "runs.zip")
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "not a whole ZIP archive" in refusal(path)
    for foreign in (b"a text", b"PK\5\6", zlib.compress(b"0" * 1_000), os.urandom(3_000)):
        path.write_bytes(foreign)
        assert "not a whole ZIP archive" in refusal(path)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert refusal(path).endswith("a Git LFS pointer, not the file: run git lfs pull")


def test_no_altered_byte_makes_anything_but_a_refusal(tmp_path):
    """Every byte in turn: the content is as before, or one line says that the archive is damaged."""
    path = write(tmp_path / "runs.zip", {RECORD: FILES[RECORD]})
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            names = archives.directory(row_archive.KIND, path, path)
            found = {name: row_archive.read(path, name) for name in names}
        except (InputError, FileNotFoundError):
            continue
        assert list(found.values()) in ([FILES[RECORD]], []), place
    assert zipfile.is_zipfile(io.BytesIO(whole))
