"""Runs outside the row, a chosen number of lanes, logs of no moves or of millions, logs without seeds.

At commit 32d4ebc7 a checkpoint named by a path had logs scored that `verify` never replayed, 513 lanes made
3.75 points an episode of 1.79, a row of 8 MB had `verify` read 400 million moves, and a log of no moves ended
it, `rescore` and `board` with a traceback. The honest row is `bc`.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import rows

from understudy import cli
from understudy.leaderboard import eligibility, scores, stored_rows, verification
from understudy.suite import benchmarks
from understudy.suite.errors import InputError
from understudy.suite.harness import lanes, records, row_files
from understudy.suite.histories import history_format
from understudy.suite.histories.history_format import History
from understudy.suite.io import file_names, files

PLACE = "darkroom-v1/quick"
HONEST = f"{PLACE}/bc"
RUN = "start/all/lane-0"


@pytest.fixture
def results(tmp_path, own_data):
    """A copy of the honest row and of the references, whose files may be changed."""
    for name in ("bc", "frozen-teacher", "random"):
        rows.copy(stored_rows.RESULTS / PLACE / name, tmp_path / "results" / PLACE / name)
    return tmp_path / "results"


@pytest.fixture
def row(results):
    return stored_rows.RowFolder(results / HONEST, *HONEST.split("/"))


def change(path, **values):
    files.write_json(path, {**files.read_json(path), **values})


def cut(history, moves):
    """Return the first moves of a run of one segment."""
    first, *_ = history.header.segments
    kept = (replace(first, length=moves),) if moves else ()
    columns = {name: getattr(history, name)[:moves] for name in history_format.COLUMNS}
    return History(replace(history.header, segments=kept), **columns)


def failures(results):
    (finding,) = (each for each in verification.verify(results, processes=1) if each.row.name == "bc")
    return finding.failures


@pytest.mark.parametrize("name", ["../elsewhere", "/elsewhere", "a/b", "..", "all\0", "ALL", ""])
def test_a_checkpoint_is_a_folder_of_the_row(row, results, name):
    declared = files.read_json(row.path / records.ROW)["checkpoints"]
    change(row.path / records.ROW, checkpoints={**declared, name: "f" * 64})
    with pytest.raises(InputError, match="checkpoints"):
        scores.score_row(results, row)
    assert any("checkpoints" in each for each in failures(results))


@pytest.mark.parametrize("name", ["/etc", "../other", "start/../../other", "a\0b"])
def test_no_place_in_a_row_is_outside_it(row, name):
    with pytest.raises(InputError, match="expected the name of a file in a row's folder"):
        row_files.root(row.path) / name


def test_more_lanes_make_no_start_shorter():
    budget = benchmarks.load("darkroom-v1").budget("full")
    assert [lanes.moves(budget, "start", number) for number in (1, 16, 17, 65, 513, 1_024)] == [
        20_000,
        *[1_250] * 5,
    ]
    assert [lanes.moves(budget, "transfer", number) for number in (1, 16, 513)] == [13_000] * 3


def test_a_row_of_other_lanes_than_the_budgets_is_not_ranked(row, results):
    assert eligibility.ranked(scores.score_row(results, row))
    for path in stored_rows.job_folders(row):
        job = row.path / path.parent.name / path.name / records.JOB
        change(job, lanes=files.read_json(job)["lanes"][:15])
    assert "15 lanes, not the budget's 16" in eligibility.unranked_because(scores.score_row(results, row))
    assert "15 lanes, not the budget's 16" in eligibility.unranked_because_stored(row)
    job = row.path / "start" / "all" / records.JOB
    change(job, lanes=files.read_json(job)["lanes"][:14])
    assert any("lanes, another job of this row has" in each for each in failures(results))


@pytest.mark.parametrize("moves", [0, 5])
def test_a_log_has_as_many_moves_as_its_job(row, results, tmp_path, capsys, moves):
    path = row.path / RUN / file_names.HISTORY
    history_format.write(path, cut(history_format.read(path), moves))
    with pytest.raises(InputError, match=f"expected 250 moves, as its record says; found {moves}"):
        scores.score_row(results, row)
    assert cli.main(["verify", str(results)]) == 1
    assert cli.main(["board", str(results), "--out", str(tmp_path / "site")]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_a_job_has_lanes(row, results, capsys):
    change(row.path / "start" / "all" / records.JOB, lanes=[])
    assert cli.main(["verify", str(results)]) == 1
    assert "lanes" in capsys.readouterr().out


def test_a_log_of_more_moves_than_the_budget_has_is_not_read(row, results):
    path = row.path / RUN / file_names.HISTORY
    first, *_ = history_format.read(path).header.segments
    many = 200_000
    header = replace(history_format.read(path).header, segments=(replace(first, length=many),))
    history_format.write(
        path,
        History(header, **{name: np.zeros(many, dtype) for name, dtype in history_format.COLUMNS.items()}),
    )
    assert history_format.read(path).num_moves == many
    assert any("expected at most 10,000 moves, found 200,000" in each for each in failures(results))


def test_a_footer_that_says_less_than_its_groups_is_refused(row):
    """The reader would believe the groups, and what bounds it the footer."""
    path = row.path / RUN / file_names.HISTORY
    table = pq.read_table(path)
    moves, claimed = len(table), len(table) - 1
    small, large = (_varint(2 * count) for count in (claimed, moves))
    assert len(small) == len(large)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, compression="zstd", store_schema=False) as writer:
        writer.write_table(table)
        header = pq.read_metadata(path).metadata[b"understudy"].decode()
        writer.add_key_value_metadata({"understudy": header, "understudy_file_sha256": "0" * 64})
    data = sink.getvalue().to_pybytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    at = data.index(large, footer)
    data = data[:at] + small + data[at + len(large) :]
    match = history_format._only_match(data)
    file_hash = hashlib.sha256(data).hexdigest().encode()
    path.write_bytes(data[: match.start(1)] + file_hash + data[match.end(1) :])
    assert pq.ParquetFile(path).metadata.num_rows == claimed
    with pytest.raises(InputError, match=f"found {claimed} or {moves}"):
        history_format.read(path)


def _varint(number):
    """Return a number as Thrift's compact protocol writes it."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def test_a_log_without_seeds_is_a_failure_of_its_row_alone(row, results, capsys):
    path = row.path / RUN / file_names.HISTORY
    history = history_format.read(path)
    seedless = tuple(replace(segment, seed=None) for segment in history.header.segments)
    history_format.write(path, replace(history, header=replace(history.header, segments=seedless)))
    assert any("has no seeds, so it can't be replayed" in each for each in failures(results))
    assert cli.main(["verify", str(results)]) == 1
    assert "random: replayed" in capsys.readouterr().out
