"""`understudy histories info` and `verify`: what is shown of a run, and whether it replays."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from understudy import cli
from understudy.commands.histories.info import sparkline
from understudy.suite import games
from understudy.suite.histories import history_format
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.histories.history_format import Header, History, Segment
from understudy.suite.testing.history_checks import play_on, random_runs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two runs of 100 moves, in two segments each."""
    for seed in range(2):
        (run,) = random_runs(games.load("darkroom/goal-40"), tmp_path / f"seed-{seed}", 1, seed)
        for _ in play_on([run], SegmentRule(60), 100):
            pass
        run.path.rename(run.path.with_name("history.parquet"))
    return tmp_path


def hand_made(path: Path) -> None:
    """Write a run of 40 moves whose episodes last two moves, with returns 1, 2, ... 20."""
    reward = np.zeros(40, np.float32)
    reward[1::2] = np.arange(1, 21)
    ended = np.arange(40) % 2 == 1
    history = History(
        Header(
            "darkroom/goal-40",
            {},
            {"kind": "teacher", "seed": 3, "settings": {"x": 1}},
            {},
            (Segment(0, 40, 1, 2),),
            {},
        ),
        action=np.zeros(40, np.uint8),
        reward=reward,
        terminated=ended & (np.arange(40) < 30),
        truncated=ended & (np.arange(40) >= 30),
        explored=np.arange(40) < 4,
    )
    history_format.write(path, history)


def test_info_equals_a_count_by_hand(tmp_path, capsys):
    hand_made(tmp_path / "run.parquet")
    assert cli.main(["histories", "info", str(tmp_path / "run.parquet")]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == str(tmp_path / "run.parquet")
    facts = dict(line.split(maxsplit=1) for line in shown[1:])
    assert facts["game"] == "darkroom/goal-40"
    assert facts["player"] == "kind teacher, seed 3"
    assert facts["moves"] == "40 in 1 segment (by no rule that the header states), 10.0 % explored"
    assert facts["episodes"] == "20 finished: 15 terminated, 5 truncated"
    assert facts["returns"] == "1 to 20; mean of the first 10 %: 1.5, of the last: 19.5"
    assert facts["skill"] == "▁▁▂▂▂▃▃▄▄▄▅▅▅▆▆▇▇▇██ 1 to 20 points per episode, in 20 blocks"
    assert facts["content"].startswith("SHA-256 ")


def test_info_calls_players_as_they_are_called_now(tmp_path, capsys):
    """A history keeps the words of before; another's submission keeps its name."""

    def shown(path, player, run=None):
        path.parent.mkdir(parents=True, exist_ok=True)
        hand_made(path)
        history = history_format.read(path)
        header = dataclasses.replace(history.header, player=player, run=run or history.header.run)
        history_format.write(path, dataclasses.replace(history, header=header))
        assert cli.main(["histories", "info", str(path)]) == 0
        lines = capsys.readouterr().out.splitlines()[1:]
        return dict(line.split(maxsplit=1) for line in lines)

    control = shown(tmp_path / "run.parquet", {"checkpoint": "control", "name": "policy-at-w"})
    assert control["player"] == "checkpoint control, name frozen-teacher"
    entry = shown(tmp_path / "bc" / "start" / "all" / "lane-0" / "history.parquet", {"name": "markov"})
    assert entry["player"] == "name bc"
    another = shown(tmp_path / "markov" / "start" / "all" / "lane-0" / "history.parquet", {"name": "markov"})
    assert another["player"] == "name markov"
    imported = shown(tmp_path / "run.parquet", {"kind": "foreign"}, {"kind": "foreign"})
    assert (imported["player"], imported["run"]) == ("kind imported", "kind imported")
    hostile = shown(tmp_path / "run.parquet", {"name": "a\x1b[2J\nb\u202e"})
    assert hostile["player"] == "name a\\x1b[2J\\nb\\u202e"


def test_sparklines():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([-3.0, 4.0]) == "▁█"
    assert sparkline([2.0, 2.0]) == "▁▁"


def test_info_reads_a_journal_and_a_run_without_an_end(tmp_path, capsys):
    (run,) = random_runs(games.load("darkroom/goal-40"), tmp_path, 1)
    for recorder in play_on([run], SegmentRule(60), 100, checkpoint_moves=10):
        if recorder.move == 15:
            break
    assert cli.main(["histories", "info", str(run.journal.folder)]) == 0
    shown = capsys.readouterr().out
    assert "moves     10 in 1 segment" in shown
    assert "episodes  none finished" in shown


def test_info_starts_no_emulator(tmp_path):
    hand_made(tmp_path / "run.parquet")
    code = (
        "import sys; from understudy.cli import main\n"
        f"assert main(['histories', 'info', {str(tmp_path / 'run.parquet')!r}]) == 0\n"
        "print({'torch', 'gymnasium', 'ale_py', 'minatar', 'blosc2', 'pandas', 'scipy'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.splitlines()[-1] == "set()"


def test_verify_prints_one_line_per_file(folder, capsys):
    assert cli.main(["histories", "verify", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{folder}/seed-{seed}/history.parquet: replayed, 100 moves in 2 segments "
        "(by no rule that the header states)"
        for seed in range(2)
    ]


def test_verify_names_file_segment_and_move(folder, capsys):
    path = folder / "seed-1" / "history.parquet"
    history = history_format.read(path)
    reward = history.reward.copy()
    reward[71] = 9
    history_format.write(path, dataclasses.replace(history, reward=reward))
    assert cli.main(["histories", "verify", str(folder)]) == 1
    shown = capsys.readouterr()
    good, bad = shown.out.splitlines()
    assert good.endswith(
        "seed-0/history.parquet: replayed, 100 moves in 2 segments (by no rule that the header states)"
    )
    assert bad.startswith(f"{path}: differs: segment 1 (moves 60 to 99), replayed, differs at move 71: ")
    assert shown.err == "understudy: 1 of 2 histories differ from their replay\n"


def test_verify_continues_after_an_unreadable_file(folder, capsys):
    path = folder / "seed-0" / "history.parquet"
    path.write_bytes(path.read_bytes()[:-3])
    assert cli.main(["histories", "verify", str(folder)]) == 2
    shown = capsys.readouterr()
    bad, good = shown.out.splitlines()
    assert bad.startswith(f"{path}: truncated at byte")
    assert good.endswith("replayed, 100 moves in 2 segments (by no rule that the header states)")
    assert shown.err == "understudy: 1 of 2 histories can't be replayed here, see above\n"


@pytest.mark.parametrize("command", ["info", "verify"])
def test_a_missing_file_is_reported_in_one_line(command, tmp_path, capsys):
    assert cli.main(["histories", command, str(tmp_path / "absent.parquet")]) == 2
    shown = capsys.readouterr()
    assert "absent.parquet: no such history file" in shown.out + shown.err
    assert shown.err.count("\n") == 1
    assert cli.main(["histories", command, str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"understudy: {tmp_path}: ")
