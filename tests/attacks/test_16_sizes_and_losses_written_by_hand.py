"""Sizes of the state, and losses, that were written by hand beside honest logs.

At commit 32d4ebc7 records with `state_bytes` of 0, and predictions with losses of 0.001 nats, earned
`rechecked`: the table showed a state of no byte, and no leak could be suspected of such losses.
"""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from support import rows

from understudy import cli
from understudy.leaderboard import scores, stored_rows
from understudy.suite.harness import records
from understudy.suite.io import files


def verified(row, submission, capsys):
    scores.rescore(row.parents[2])
    capsys.readouterr()
    return cli.main(["verify", str(row), "--recheck", submission]), capsys.readouterr().out


def report(row, start, largest):
    """Write other sizes of the state into all records."""
    for path in row.glob("*/*/lane-*/record.json"):
        record = files.read_json(path) | {"state_bytes": {"start": start, "largest": largest}}
        files.write_json(path, {**record, "record_sha256": records.checksum(record)})


def test_a_state_of_another_size_is_found(make_submission, here, capsys):
    submission = str(make_submission())
    requested = rows.requested(submission, here / "results", lanes=2)
    rows.score(requested, ["skill"])
    row = requested.folder
    (path, _) = row.glob("*/*/lane-*/record.json")
    size = files.read_json(path)["state_bytes"]
    for start, largest in ((0, 0), (size["start"] + 1, size["largest"] + 1)):
        report(row, start, largest)
        code, shown = verified(row, submission, capsys)
        assert code == 1
        assert f"its record reports {start:,} and {largest:,}" in shown
        assert "earned here: replayed\n" in shown
    report(row, **size)
    code, shown = verified(row, submission, capsys)
    assert code == 0, shown
    assert "earned here: replayed, rechecked\n" in shown


def low(losses):
    return np.full_like(losses, 0.001)


def one_of_them(losses):
    return np.concatenate([losses[:-1], losses[-1:] + 0.01])


def of_another_machine(losses):
    return losses + 1e-5


@pytest.mark.parametrize("change", [low, one_of_them, of_another_machine])
def test_losses_that_the_weights_do_not_have_are_found(tmp_path, own_data, capsys, change):
    for name in ("random", "frozen-teacher"):
        row = tmp_path / "darkroom-v1" / "quick" / name
        rows.copy(stored_rows.RESULTS / "darkroom-v1" / "quick" / name, row)
        for role in ("continue", "transfer"):  # only agreement is asked here
            shutil.rmtree(row / role)
    path = min((row / records.AGREEMENT).glob("*/*.safetensors"))
    columns = files.read_columns(path)
    files.write_columns(path, {**columns, "loss_nats": change(columns["loss_nats"])})
    code, shown = verified(row, "frozen-teacher", capsys)
    if change is of_another_machine:
        assert code == 0, shown
        assert "earned here: replayed, rechecked" in shown
    else:
        assert code == 1
        assert "are others than its weights have: mean " in shown
        assert "earned here: replayed\n" in shown
