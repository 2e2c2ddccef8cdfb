"""The log of a training is drawn, or refused in one line that names the line."""

from __future__ import annotations

import pytest

from understudy.leaderboard.figures import training_curves
from understudy.submissions import training_log
from understudy.suite.errors import InputError

HEADER = ",".join(training_log.HEADER)


def line(folder: str = "all", **values: str) -> str:
    return ",".join(values.get(name, folder if name == "checkpoint" else "1") for name in training_log.HEADER)


def test_what_a_training_writes_is_drawn(tmp_path):
    path = tmp_path / "training.csv"
    path.write_text(
        "\n".join([HEADER, line(loss="0.5"), line(update="2", validation_loss="")]), encoding="utf-8"
    )
    (axes,) = training_curves.of_log(path).axes
    losses, validated = axes.lines
    assert losses.get_xydata().tolist() == [[1.0, 0.5], [2.0, 1.0]]
    assert validated.get_xydata().tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER}\n{line(update='x')}", "line 2: expected the log of a training .*'x'"),
        (f"{HEADER}\n{line(loss='')}", "line 2: expected the log of a training"),
        (f"{HEADER}\n{line()}\nall,1", "line 3: expected the log of a training"),
        (f"{HEADER}\n{line(update='9' * 5_000)}", "line 2: expected the log of a training"),
        (f'{HEADER}\n"{line()}', "expected the log of a training"),
        ("checkpoint\nall", "line 2: expected the log of a training"),
        (f"{HEADER}\n{'x' * 200_000}", "expected the log of a training .*field larger"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "training.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message) as refused:
        training_curves.of_log(path)
    assert len(str(refused.value)) < 600 + len(str(path))


def test_a_log_that_is_not_there_is_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match=r"training\.csv: expected the log of a training, found none"):
        training_curves.of_log(tmp_path / "training.csv")
