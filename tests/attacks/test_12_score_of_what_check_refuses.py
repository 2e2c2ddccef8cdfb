"""A submission that `check` refuses is scored all the same.

At commit 4a4ea00d `score` loaded the weights and played: it asked neither for the conformance of `step` and
`unroll`, nor whether the declared runs are those that were watched, nor for a sensible K.
"""

from __future__ import annotations

import pytest

from understudy import cli
from understudy.baselines import bc
from understudy.suite.io import files


def commands(folder):
    score = ["score", str(folder), "--benchmark", "darkroom-v1", "--out", str(folder.parent / "out")]
    return ["check", str(folder)], [*score, "--task", "skill", "--num-envs", "2"]


def test_an_honest_submission_is_checked_and_scored(make_submission):
    for command in commands(make_submission()):
        assert cli.main(command) == 0


@pytest.mark.parametrize("fault", ["more priming than watched moves", "unroll is another player"])
def test_what_one_refuses_the_other_refuses_with_the_same_line(make_submission, capsys, monkeypatch, fault):
    folder = make_submission()
    if fault == "unroll is another player":
        plain = bc.BC.unroll
        monkeypatch.setattr(bc.BC, "unroll", lambda *given: (1 - plain(*given)[0], plain(*given)[1]))
    else:
        path = folder / "submission.json"
        files.write_json(path, {**files.read_json(path), "priming_moves": 10**6})
    lines = []
    for command in commands(folder):
        capsys.readouterr()
        assert cli.main(command) == 2
        lines.append(capsys.readouterr().err.strip().splitlines()[-1])
    assert lines[0] == lines[1]
    assert not (folder.parent / "out").exists()
