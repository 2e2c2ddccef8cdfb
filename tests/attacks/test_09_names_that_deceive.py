"""A submission named `random`, a track that is a sentence, formulas and escape sequences in names.

At commit 926ded31, before names were reserved and text was escaped (15d579ad) and rows had a strict schema
(071dd261), a submission of this name was written as the row of the control, and a row's track was shown as it
stood in its file.
"""

from __future__ import annotations

import pytest
from support import rows

from understudy import cli
from understudy.leaderboard import cells, stored_rows, table_files, tables
from understudy.suite.errors import InputError
from understudy.suite.harness import records
from understudy.suite.io import files
from understudy.suite.scoring.verdicts import Verdict

ROW = "darkroom-v1/quick/random"


def changed(results, **values):
    path = results / ROW / records.ROW
    files.write_json(path, {**files.read_json(path), **values})
    return next(row for row in stored_rows.every_row_in(results) if row.name == "random")


@pytest.mark.parametrize("name", ["random", "injected-0.5", "frozen-teacher"])
def test_no_submission_has_the_name_of_a_control(make_submission, capsys, name):
    folder = make_submission()
    assert cli.main(["check", str(folder)]) == 0
    path = folder / "submission.json"
    files.write_json(path, {**files.read_json(path), "name": name})
    assert cli.main(["check", str(folder)]) == 2
    score = ["score", str(folder), "--benchmark", "darkroom-v1", "--out", str(folder.parent / "out")]
    assert cli.main(score) == 2
    assert f"{name!r}" in capsys.readouterr().err
    assert not (folder.parent / "out" / ROW / records.ROW).exists()


def test_a_track_is_one_of_two_words(copied):
    assert stored_rows.row_of(changed(copied, track="frozen"))["track"] == "frozen"
    row = changed(copied, track="frozen, verified by three laboratories")
    with pytest.raises(InputError, match="track") as refused:
        stored_rows.row_of(row)
    assert "\n" not in str(refused.value)


def test_formulas_and_escape_sequences_stay_text(tmp_path):
    reason = "=HYPERLINK(1)\x1b[2J<script>|"
    one = rows.scored(tmp_path, verdicts=[Verdict("skill", "method", None, reason)])
    frame = cells.frame([one])
    for text in (table_files.to_csv(frame), tables.to_markdown(frame)):
        assert "\x1b" not in text
        assert "<script>" not in tables.to_markdown(frame)
    assert ",=HYPERLINK" not in table_files.to_csv(frame)
    honest = rows.scored(tmp_path, verdicts=[Verdict("skill", "method", None, "not played")])
    assert "not played" in table_files.to_csv(cells.frame([honest]))
