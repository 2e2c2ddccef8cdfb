"""The history file: it reads back bit for bit, and every other content is refused in one line."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from support import ROOT

from understudy.suite import stored_names
from understudy.suite.errors import InputError
from understudy.suite.histories import history_format
from understudy.suite.histories.history_format import COLUMNS, Header, History, Segment
from understudy.suite.testing.history_checks import same_moves

DOCUMENT = ROOT / "docs" / "history-format.md"


def header_of(segments: tuple[Segment, ...], **changes: Any) -> Header:
    fields = {
        "game": "darkroom/goal-07",
        "fingerprint": {"rules_version": 1, "goal": 7},
        "player": {"kind": "random", "Größe": [1, 2.5, None]},
        "run": {"seed": "00ff"},
        "versions": {"numpy": "2.0"},
    }
    return Header(**{**fields, "segments": segments, **changes})


def history_of(columns: dict[str, np.ndarray], **changes: Any) -> History:
    n = len(columns["action"])
    segments = (Segment(0, n // 3, 5, 6), Segment(n // 3, n - n // 3, 7, 8))
    return History(header_of(tuple(each for each in segments if each.length), **changes), **columns)


def random_columns(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return columns like those of a run of Breakout in which a quarter of the moves explored."""
    rng = np.random.default_rng(seed)
    scored = rng.random(n) < 0.05
    ended = rng.random(n) < 0.005
    return {
        "action": rng.choice([0, 1, 3, 4], n).astype(np.uint8),
        "reward": np.where(scored, rng.choice([1, 4, 7], n), 0).astype(np.float32),
        "terminated": ended & (rng.random(n) < 0.9),
        "truncated": ended & (rng.random(n) < 0.1),
        "explored": rng.random(n) < 0.25,
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, History]:
    path = tmp_path_factory.mktemp("history") / "history.parquet"
    history = history_of(random_columns(300))
    history_format.write(path, history)
    return path, history


@settings(max_examples=40, deadline=None)
@given(data=st.data(), n=st.integers(0, 50))
def test_any_columns_read_back_bit_for_bit(tmp_path_factory, data, n):
    path = tmp_path_factory.getbasetemp() / "any.parquet"
    finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
    columns = {
        name: data.draw(arrays.arrays(dtype, n, elements=finite if name == "reward" else None))
        for name, dtype in COLUMNS.items()
    }
    history = history_of(columns)
    assert history_format.write(path, history) == history.content_sha256
    found = history_format.read(path)
    assert found.header == history.header
    assert same_moves(found, history)
    assert found.content_sha256 == history.content_sha256


def test_the_same_history_gives_the_same_bytes(written, tmp_path):
    path, history = written
    history_format.write(tmp_path / "again.parquet", history)
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()


def test_pandas_reads_the_columns(written):
    path, history = written
    table = pd.read_parquet(path)
    assert list(table.columns) == list(COLUMNS)
    for name, dtype in COLUMNS.items():
        assert table[name].dtype == np.dtype(dtype)
        assert (table[name].to_numpy() == getattr(history, name)).all()


def test_the_documented_reader_reads_it(written, tmp_path):
    path, history = written
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    reader = tmp_path / "reader.py"
    reader.write_text(code)
    episode_returns, total = [], 0.0
    for reward, ended in zip(history.reward, history.ended, strict=True):
        total += float(reward)
        if ended:
            episode_returns.append(total)
            total = 0.0
    read = subprocess.run(
        [sys.executable, str(reader), str(path)], capture_output=True, text=True, timeout=60
    )
    mean = round(np.mean(episode_returns), 3)
    expected = f"darkroom/goal-07 300 moves, {len(episode_returns)} episodes, mean return {mean}\n"
    assert (read.stdout, read.stderr) == (expected, "")


def test_ends_and_first_moves():
    columns = random_columns(6)
    columns["terminated"] = np.array([0, 1, 0, 0, 0, 1], bool)
    columns["truncated"] = np.array([0, 0, 0, 1, 0, 1], bool)
    history = history_of(columns)
    assert history.ended.tolist() == [False, True, False, True, False, True]
    assert history.first.tolist() == [True, False, True, False, True, False]


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda column: column.astype(np.float64), r"float64 \[30\]"),
        (lambda column: column[:-1], r"\[29\]|\[30\]"),
        (lambda column: column[:, None], r"\[30, 1\]|expected .* \[30\]"),
    ],
    ids=["dtype", "length", "rank"],
)
def test_wrong_columns_are_refused(name, change, found):
    columns = random_columns(30)
    with pytest.raises(ValueError, match=found):
        History(header_of((Segment(0, 30, 1, 2),)), **{**columns, name: change(columns[name])})


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ((), "segments cover 0 moves, the columns hold 30"),
        ((Segment(0, 29, 1, 2),), "segments cover 29 moves"),
        ((Segment(0, 10, 1, 2), Segment(11, 19, 1, 2)), "segment at move 11: expected it at move 10"),
        ((Segment(0, 40, 1, 2), Segment(40, -10, 1, 2)), "segment at move 40: expected .* 1 move, found -10"),
        ((Segment(0, 0, 1, 2), Segment(0, 30, 1, 2)), "segment at move 0: expected at least 1 move, found 0"),
        (
            (Segment(0, 30, 1, 2), Segment(30, 0, 1, 0)),
            "segment at move 30: expected at least 1 move, found 0",
        ),
    ],
)
def test_segments_that_do_not_fit_are_refused(segments, message):
    with pytest.raises(ValueError, match=message):
        History(header_of(segments), **random_columns(30))


def test_a_run_without_moves_has_no_segment():
    assert History(header_of(()), **random_columns(0)).num_moves == 0
    with pytest.raises(ValueError, match="segment at move 0: expected at least 1 move, found 0"):
        History(header_of((Segment(0, 0, 1, 0),)), **random_columns(0))


def test_every_flipped_bit_is_noticed(written, tmp_path):
    path, _ = written
    data = path.read_bytes()
    rng = np.random.default_rng(1)
    flipped = tmp_path / "flipped.parquet"
    for position in {*rng.integers(0, len(data), 400), *range(len(data) - 120, len(data))}:
        changed = bytearray(data)
        changed[position] ^= 1 << int(rng.integers(8))
        flipped.write_bytes(changed)
        with pytest.raises(InputError, match=r"flipped\.parquet: "):
            history_format.read(flipped)


def test_every_truncation_is_noticed(written, tmp_path):
    path, _ = written
    data = path.read_bytes()
    cut = tmp_path / "cut.parquet"
    for length in [*range(0, len(data), 29), len(data) - 1]:
        cut.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"truncated|expected a Parquet file"):
            history_format.read(cut)


def test_bytes_added_are_noticed(written, tmp_path):
    path, _ = written
    longer = tmp_path / "longer.parquet"
    longer.write_bytes(path.read_bytes() + b"PAR1")
    with pytest.raises(InputError, match=r"longer\.parquet: "):
        history_format.read(longer)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such history file"):
        history_format.read(tmp_path / "absent.parquet")
    with pytest.raises(InputError, match="found a folder; name a file"):
        history_format.read(tmp_path)
    (tmp_path / "text").write_text("moves")
    with pytest.raises(InputError, match="expected a Parquet file, found b'move'"):
        history_format.read(tmp_path / "text")
    pd.DataFrame(random_columns(10)).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="no understudy header"):
        history_format.read(tmp_path / "other.parquet")


def test_a_future_format_is_named(tmp_path):
    path = tmp_path / "future.parquet"
    history_format.write(path, history_of(random_columns(10), format=2))
    with pytest.raises(InputError, match="history format 2, this version reads 1; update understudy"):
        history_format.read(path)


def forge(path: Path, table: pa.Table, header: dict[str, Any], raw: str = '"@"') -> None:
    """Write a file with a correct file hash, as another, faulty writer might; `raw` stands for a text "@"."""
    text = json.dumps(header).replace('"@"', raw)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"understudy": text, "understudy_file_sha256": "0" * 64})
    data = sink.getvalue().to_pybytes()
    assert data.count(b"0" * 64) == 1
    path.write_bytes(data.replace(b"0" * 64, hashlib.sha256(data).hexdigest().encode()))


@pytest.mark.parametrize(
    ("columns", "header", "message"),
    [
        ({}, {}, "content SHA-256 is"),
        ({"action": np.arange(30)}, {}, "column action: expected uint8, found int64"),
        ({"reward": np.zeros(30)}, {}, "column reward: expected float, found double"),
        ({"explored": None}, {}, "explored"),
        ({"explored": pa.array([None] * 30, pa.bool_())}, {}, "a column with 30 nulls"),
        ({}, {"segments": [{"first_move": 0}]}, "missing"),
        ({}, {"segments": None}, "not iterable"),
        ({}, {"game": None}, "header: game: expected a text, found None"),
        ({}, {"surprise": 1}, "surprise"),
        ({"extra": np.zeros(30)}, {}, "column extra: expected none, found double"),
        (
            {"reward": np.full(30, np.nan, "<f4")},
            {},
            "column reward: expected finite numbers, found nan at move 0",
        ),
        ({"reward": np.full(30, -np.inf, "<f4")}, {}, "found -inf at move 0"),
        ({}, {"player": "me"}, "header: player: expected an object, found 'me'"),
        ({}, {"versions": None}, "header: versions: expected an object, found None"),
        ({}, {"content_sha256": 7}, "its header says 7"),
        ({}, {"format": [1]}, r"history format \[1\]"),
        ({}, {"player": {"seed": float("nan")}}, "the number NaN"),
        ({}, {"player": {"seed": 10**50}}, "a number of 51 digits"),
        ({}, {"segments": [{"first_move": 0, "length": 30, "seed": 2**31, "crc32": 0}]}, "seed: expected"),
        ({}, {"segments": [{"first_move": 0, "length": 30, "seed": True, "crc32": 0}]}, "a whole number"),
        ({}, {"segments": [{"first_move": 0, "length": 30, "seed": 1, "crc32": 2.0}]}, "a whole number"),
    ],
)
def test_mistakes_of_another_writer_are_named(tmp_path, columns, header, message):
    history = history_of(random_columns(30))
    table = {name: getattr(history, name) for name in COLUMNS} | columns
    written = {
        "format": 1,
        "content_sha256": "f" * 64,
        **{name: getattr(history.header, name) for name in ("game", "fingerprint", "player", "versions")},
        stored_names.HISTORY_RUN: history.header.run,
        "segments": [vars(segment) for segment in history.header.segments],
        **header,
    }
    forge(tmp_path / "x.parquet", pa.table({k: v for k, v in table.items() if v is not None}), written)
    with pytest.raises(InputError, match=message):
        history_format.read(tmp_path / "x.parquet")


def test_a_header_that_is_nested_without_end_is_refused(tmp_path):
    header = {"format": 1, "player": "@"}
    forge(tmp_path / "x.parquet", pa.table({"action": np.zeros(1, "u1")}), header, "[" * 100_000)
    with pytest.raises(InputError, match="nested too deeply"):
        history_format.read(tmp_path / "x.parquet")


def test_more_moves_than_a_run_may_have_are_refused_before_they_are_read(tmp_path, monkeypatch):
    forge(
        tmp_path / "x.parquet",
        pa.table({name: np.zeros(30, dtype) for name, dtype in COLUMNS.items()}),
        {"format": 1},
    )
    monkeypatch.setattr(pq.ParquetFile, "read", None)  # it is not called
    with pytest.raises(InputError, match="expected at most 29 moves, found 30"):
        history_format.read(tmp_path / "x.parquet", most_moves=29)


def test_damage_that_its_writer_sealed_is_refused(tmp_path):
    """The hash of the file holds, so that every byte reaches the Parquet library."""
    history = history_of(random_columns(30))
    history_format.write(tmp_path / "x.parquet", history)
    data = (tmp_path / "x.parquet").read_bytes()
    digits = re.search(rb"understudy_file_sha256\x18\x40([0-9a-f]{64})", data)
    refused = 0
    for place in [*range(4, 200, 7), *range(len(data) - 400, len(data) - 8, 3)]:
        if digits.start() <= place < digits.end():
            continue
        blank = bytearray(data)
        blank[digits.start(1) : digits.end(1)] = b"0" * 64
        blank[place] ^= 0x55
        sealed = hashlib.sha256(blank).hexdigest().encode()
        blank[digits.start(1) : digits.end(1)] = sealed
        (tmp_path / "y.parquet").write_bytes(blank)
        try:
            history_format.read(tmp_path / "y.parquet")
        except InputError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("num_actions", [4, 18])
def test_a_million_moves_are_at_most_a_megabyte(tmp_path, num_actions):
    """The actions are uniformly random, so no real run is larger."""
    n = 1_000_000
    columns = random_columns(n) | {
        "action": np.random.default_rng(2).integers(0, num_actions, n).astype(np.uint8),
        "explored": np.random.default_rng(3).random(n) < 0.01,
    }
    segments = tuple(Segment(move, 50_000, move, move) for move in range(0, n, 50_000))
    path = tmp_path / "million.parquet"
    history_format.write(path, History(header_of(segments), **columns))
    print(f"1M moves, {num_actions} actions: {path.stat().st_size:,} bytes")
    assert path.stat().st_size <= 1_000_000
    assert same_moves(history_format.read(path), History(header_of(segments), **columns))
