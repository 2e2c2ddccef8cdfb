"""A new task is one file and its name in a new benchmark's file: it is played, scored and shown."""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path

import pytest

from understudy import cli
from understudy.leaderboard import scores
from understudy.suite import benchmarks, tasks
from understudy.suite.benchmarks import pinning
from understudy.suite.harness import row_archive
from understudy.suite.testing import task_checks

TASK = '''"""Q4: does the imitator end its run at the skill with which it starts?"""

from dataclasses import dataclass, field

from understudy.suite.scoring import gains, verdicts
from understudy.suite.scoring.evidence import Evidence
from understudy.suite.scoring.verdicts import Verdict
from understudy.suite.tasks import Column


@dataclass(frozen=True)
class Steadiness:
    """Yes where the gain's interval holds 0."""

    name: str = "steadiness"
    question: str = "Does it end its run at the skill with which it starts?"
    label: str = "Q4 steadiness"
    column: Column = Column("gain", "gain in points an episode", "gain", "teacher's gain", signed=True)
    roles: tuple = ("start", "continue")
    reference_players: dict = field(default_factory=dict)
    needs_predictions: bool = False
    gain: None = None

    def evidence(self, row, reference_runs):
        return Evidence(row.claim("continue"), runs=row.of_role("continue"), starts=row.of_role("start"))

    def verdict(self, evidence, rules):
        if not evidence.runs or not evidence.starts:
            return Verdict(self.name, evidence.claim, None, verdicts.NOT_PLAYED)
        if min(run.num_moves for run in evidence.runs) < rules.moves:
            return Verdict(self.name, evidence.claim, None, "runs cut short")
        gain = gains.gain_without_reference(evidence.runs, evidence.starts, evidence.claim, rules)
        holds = not gain.above(0) and not gain.below(0)
        answer = verdicts.YES if holds else verdicts.NO
        return Verdict(self.name, evidence.claim, answer, numbers={"gain": gain}, n=len(evidence.runs))

    def comparable(self, evidence, rules):
        return None


TASK = Steadiness()
'''


@pytest.fixture
def newcomer(tmp_path, monkeypatch):
    """The two new files, found as those in the packages are; and the new benchmark's teacher runs."""
    task_folder, benchmark_folder, data = (tmp_path / name for name in ("tasks", "benchmarks", "data"))
    for folder in (task_folder, benchmark_folder):
        folder.mkdir()
    (task_folder / "steadiness.py").write_text(TASK)
    (source,) = (path for path in benchmarks.__path__)
    declared = (Path(source) / "darkroom-v1.toml").read_text()
    head, _, _ = declared.partition("[budgets.full]")
    budgets = (
        "[budgets.full]\nmoves = 400\nstart_moves = 800\nend_moves = 100\nagreement_moves = 65\nlanes = 4\n"
        'tasks = ["skill", "steadiness"]\n'
    )
    text = head.replace('"darkroom-v1"', '"steady-v1"') + budgets
    (benchmark_folder / "steady-v1.toml").write_text(text)
    shutil.copytree(benchmarks.roots()[0] / "darkroom-v1", data / "steady-v1")
    monkeypatch.setenv("UNDERSTUDY_DATA", str(data))
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(task_folder)])
    monkeypatch.setattr(benchmarks, "__path__", [*benchmarks.__path__, str(benchmark_folder)])
    pinning.pin(benchmarks.load("steady-v1"), data)
    yield
    sys.modules.pop("understudy.suite.tasks.steadiness", None)


@pytest.mark.usefixtures("own_data", "newcomer")
def test_a_new_task_is_played_scored_and_shown(tmp_path, capsys):
    out = tmp_path / "results"
    command = ["score", "bc", "--benchmark", "steady-v1", "--budget", "full", "--out", str(out)]
    assert cli.main(command) == 2  # an entry is of one benchmark
    assert cli.main([*command[:1], "random", *command[2:]]) == 0
    assert "Q4 steadiness" in capsys.readouterr().out
    packed = row_archive.members(out / "steady-v1/full/random" / row_archive.ARCHIVE)
    assert sorted({name.partition("/")[0] for name in packed}) == ["agreement", "continue", "start"]
    (row,) = [one for one in scores.score_all(out) if one.folder.name == "random"]
    found = row.verdict("steadiness")
    assert found is not None
    assert found.answer == "yes"
    assert (out / "steady-v1/full/random/scores.json").exists()
    with (out / "table.csv").open() as file:
        (cell,) = [
            line for line in csv.DictReader(file) if line["name"] == "random" and line["task"] == "steadiness"
        ]
    assert (cell["question"], cell["answer"]) == ("Q4 steadiness", "yes")
    assert float(cell["shown"]) == pytest.approx(found.numbers["gain"].estimate)
    task_checks.check_task(tasks.load("steadiness"))
