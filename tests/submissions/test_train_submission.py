"""Training a submission: one that check accepts, the same bytes again, and what is refused."""

import signal

import pytest
from support import rows
from support.sound_submissions import NEW, WATCHED, content, entries

from understudy import cli
from understudy.submissions import submission_format


def train(out: str, *more: str) -> int:
    sizes = ("--set", "window_moves=32", "--set", "batch_size=2", "--set", "width=8")
    return cli.main(["train", "bc", "--benchmark", "darkroom-v1", "--out", out, *sizes, *more])


def test_train_writes_a_submission_that_check_accepts(data, here, capsys):
    assert train("mine", "--updates", "3") == 0
    shown = capsys.readouterr().out
    assert "nats, agreement" in shown
    assert "constant player" in shown
    declared = submission_format.read(here / "mine").declaration
    assert [entry.model_dump() for entry in declared.watched.histories] == entries(data, *WATCHED)
    assert declared.watched.mode == "multi"
    assert declared.training is not None
    assert declared.training["updates"] == 3
    assert sorted(content(here)) == [
        "mine/all/config.json",
        "mine/all/model.safetensors",
        "mine/submission.json",
        "mine/training.csv",
        "mine/training.svg",
    ]
    assert cli.main(["check", "mine"]) == 0
    assert "warning" not in capsys.readouterr().out


def test_train_single_makes_a_checkpoint_a_run(here):
    assert train("mine", "--updates", "2", "--mode", "single", "--all") == 0
    checkpoints = submission_format.read(here / "mine").declaration.checkpoints
    assert [(each.folder, each.teacher) for each in checkpoints] == [
        ("goal-00-seed-0", "goal-00/seed-0"),
        ("goal-01-seed-0", "goal-01/seed-0"),
    ]
    players = rows.entry(str(here / "mine")).players
    assert [player.teachers for player in players] == [("goal-00/seed-0",), ("goal-01/seed-0",)]
    assert train("other", "--updates", "2", "--mode", "single", "--teacher", "goal-01/seed-0") == 0
    one, other = (here / name / "goal-01-seed-0" / "model.safetensors" for name in ("mine", "other"))
    assert one.read_bytes() == other.read_bytes(), "what else is trained beside it made a difference"


@pytest.mark.usefixtures("hears_ctrl_c")
def test_train_goes_on_to_the_same_bytes(here, monkeypatch, capsys):
    assert train("whole", "--updates", "6", "--name", "mine") == 0
    reported = []

    def note(display, what, done, total, said):
        reported.append((what, done))
        if what == "all" and done == 3:
            signal.raise_signal(signal.SIGINT)  # counts after the fourth update

    with monkeypatch.context() as patch:
        patch.setattr("understudy.screen.ProgressDisplay.report", note)
        assert train("mine", "--updates", "6") == 130
        assert "to go on: understudy train bc" in capsys.readouterr().err
        assert [path.partition("-")[0] for path in content(here / "mine")] == ["all/training"]
        reported.clear()
        assert train("mine", "--updates", "6") == 0
    assert [done for what, done in reported if what == "all"] == [5, 6], "updates were made twice"
    assert content(here / "mine") == content(here / "whole")


def test_train_again_is_done_and_never_overwrites(here, capsys):
    assert train("mine", "--updates", "2") == 0
    before = content(here)
    assert train("mine", "--updates", "2") == 0
    assert train("mine", "--updates", "3") == 2
    assert "holds a submission made with other settings or data" in capsys.readouterr().err
    assert content(here) == before


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--set", "widht=8"], "unknown setting of bc or its training 'widht'; did you mean 'width'?"),
        (["--set", "updates=3"], "--set updates: give it as --updates, and once"),
        (["--set", "seed=3"], "--set seed: give it as --seed, and once"),
        (["--set", "width"], "--set: expected KEY=NUMBER, e.g. layers=2; found 'width'"),
        (["--set", "width=nan"], "bc: width: expected a whole number; found nan"),
        (["--teacher", NEW], "unknown run that darkroom-v1 may watch in mode multi: 'goal-02/seed-0'"),
        (["--mode", "singel"], "unknown mode 'singel'; did you mean 'single'?"),
        (["--name", "A B"], "name: String should match"),
        (["--priming", "601"], "at most the 600 watched moves of goal-01/seed-0"),
        (["--set", "window_moves=100000"], "choose shorter windows"),
        (["--all", "--teacher", WATCHED[0]], "give --all or --teacher, not both"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_train_refuses_before_it_writes(here, capsys, more, line):
    assert train("mine", "--updates", "2", *more) == 2
    captured = capsys.readouterr()
    assert line in captured.err
    assert captured.err.count("\n") == 1
    assert content(here) == {}
