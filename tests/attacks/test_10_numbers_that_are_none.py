"""NaN or -inf logits late in a run, NaN in stored predictions, a state that grows in mid-run.

At commit 926ded31, before every answer was checked (9693d331), NaN logits chose action 0, and a record named
the state's size of before the first move. There, and still at 4a4ea00d, a NaN in one row's predictions was a
ValueError that left every row without its table.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support import darkroom_jobs
from torch import nn

from understudy.leaderboard import scores, stored_rows
from understudy.suite.errors import InputError
from understudy.suite.harness.records import RECORD
from understudy.suite.io import files

AT = 71  # the move at which each of these players goes wrong


class Late(nn.Module):
    """Counts its moves and moves right; at move `AT` one thing may go wrong."""

    def __init__(self, wrong=""):
        super().__init__()
        self.wrong = wrong

    def initial_state(self, batch_size):
        return {"age": torch.zeros(batch_size, 1)}

    def step(self, timestep, state):
        logits = torch.zeros(len(timestep.first), 5)
        logits[:, 4] = 1.0
        age = state["age"] + 1
        if int(state["age"][0, 0]) == AT and self.wrong == "grows":
            return logits, {"age": age.repeat(1, 500)}
        if int(state["age"][0, 0]) == AT and self.wrong:
            logits[1] = float(self.wrong)
        return logits, {"age": age}


@pytest.mark.parametrize("wrong", ["nan", "-inf", "inf", "grows"])
def test_the_row_ends_and_the_honest_player_plays_on(wrong, tmp_path):
    with pytest.raises(InputError, match=f"move {AT}: expected"):
        darkroom_jobs.play(Late(wrong), tmp_path / "bad", darkroom_jobs.job())
    assert not list((tmp_path / "bad").rglob(RECORD))
    darkroom_jobs.play(Late(), tmp_path / "good", darkroom_jobs.job())
    record = files.read_json(tmp_path / "good" / "lane-0" / RECORD)
    assert record["state_bytes"] == {"start": 4, "largest": 4}


def test_a_nan_in_one_rows_predictions_leaves_the_other_rows_their_table(copied):
    path = min((copied / "darkroom-v1/quick/frozen-teacher/agreement/control").glob("*"))
    columns = files.read_columns(path)
    files.write_columns(path, {**columns, "loss_nats": np.full_like(columns["loss_nats"], np.nan)})
    left_out = []
    kept = scores.score_all(copied, lambda row, error: left_out.append((row.name, str(error))))
    assert [one.folder.name for one in kept] == ["random"]
    ((name, text),) = {(name, text) for name, text in left_out}
    assert name == "frozen-teacher"
    assert "\n" not in text
    assert len(stored_rows.every_row_in(copied)) == 2
