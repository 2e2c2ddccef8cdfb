"""Segments of scored runs: cut at will, with the right seeds and a log that replays, they are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from understudy import cli
from understudy.leaderboard import scores, verification
from understudy.suite import exploration, games
from understudy.suite.harness import records
from understudy.suite.histories import history_format, replay
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.histories.history_format import COLUMNS, History, Segment
from understudy.suite.histories.recording import Recorder, Run
from understudy.suite.io import file_names, files

RUN = Path("darkroom-v1/quick/random/start/control/lane-3")


def put(folder: Path, forged: History) -> None:
    """Write a log and a record of it, consistently."""
    history_format.write(folder / file_names.HISTORY, forged)
    record = files.read_json(folder / records.RECORD)
    record |= {"history_sha256": forged.content_sha256, **records.measured(forged)}
    files.write_json(folder / records.RECORD, {**record, "record_sha256": records.checksum(record)})


def lines_of(results: Path, folder: Path) -> list[str]:
    found = [text for each in verification.verify(results, processes=1) for text in each.failures]
    return [text.removeprefix(str(folder)) for text in found if text.startswith(str(folder))]


def test_a_player_that_reseeds_where_it_likes_is_refused(copied, tmp_path):
    """It stands still; each episode is a segment of its own, played under the seed that is due to it."""
    folder = copied / RUN
    honest = history_format.read(folder / file_names.HISTORY)
    record = records.read(folder)
    game, seed = games.load(honest.header.game), int(record["lane"]["seed"], 16)
    header = replace(honest.header, segments=())
    recorder = Recorder([Run(tmp_path / "forged.parquet", game, seed, header)], SegmentRule(1))
    explorer = exploration.Explorer([seed], np.array([game.legal_actions]))
    recorder.start()
    for move in range(honest.num_moves):
        recorder.step(*explorer.execute(move, np.zeros(1, np.int64), record["job"]["exploration"]))
    (path,) = recorder.finish()
    forged = history_format.read(path)
    assert len(forged.header.segments) == 13  # 250 moves in episodes of 20
    replay.verify(forged, processes=1)
    put(folder, forged)
    scores.rescore(copied)
    assert lines_of(copied, folder) == [
        f"/{records.RECORD}: segment 0: expected moves 0 to 249, found moves 0 to 19; segments begin at the "
        "first episode start at or after each multiple of 10,000 moves, and nowhere else: take the run as it "
        "was recorded"
    ]


@pytest.mark.parametrize("first", [True, False])
def test_a_segment_without_moves_is_refused(copied, monkeypatch, capsys, first):
    folder = copied / RUN
    honest = history_format.read(folder / file_names.HISTORY)
    (whole,) = honest.header.segments
    empty = Segment(0 if first else 250, 0, 5, 0)
    cut = (empty, whole) if first else (whole, empty)
    with monkeypatch.context() as patched:
        patched.setattr(History, "__post_init__", lambda self: None)
        columns = [getattr(honest, name) for name in COLUMNS]
        put(folder, History(replace(honest.header, segments=cut), *columns))
    (line,) = {text for text in lines_of(copied, folder) if "segment" in text}
    assert f"segment at move {empty.first_move}: expected at least 1 move, found 0" in line
    assert "\n" not in line
    assert cli.main(["histories", "verify", str(folder / file_names.HISTORY)]) == 2
    assert f"at move {empty.first_move}: expected at least 1 move, found 0" in capsys.readouterr().out


def test_the_command_verifies_the_segments_by_the_rule_of_the_header(copied, capsys):
    path = copied / RUN / file_names.HISTORY
    assert cli.main(["histories", "verify", str(path)]) == 0
    assert capsys.readouterr().out == (
        f"{path}: replayed, 250 moves in 1 segment (a new one after each multiple of 10,000 moves)\n"
    )
    honest = history_format.read(path)
    job = {**honest.header.run["job"], "segment_moves": 100}
    history_format.write(
        path, replace(honest, header=replace(honest.header, run={**honest.header.run, "job": job}))
    )
    assert cli.main(["histories", "verify", str(path)]) == 1
    shown = capsys.readouterr().out
    assert f"{path}: differs: segment 0: expected moves 0 to 99, found moves 0 to 249; " in shown
