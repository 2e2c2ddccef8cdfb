"""Training a submission: one that check accepts, the same bytes again, and what is refused."""

import csv
import json
import signal
from dataclasses import fields

import pytest
from support import rows
from support.sound_submissions import NEW, WATCHED, content, entries

from understudy import cli
from understudy.baselines.training.settings import TrainingSettings
from understudy.baselines.transformer import TransformerConfig
from understudy.submissions import submission_format, watched
from understudy.suite.reserved_names import ENTRIES


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


def test_several_seeds_are_several_checkpoints_side_by_side_or_in_turn(here):
    seeds = ("--updates", "2", "--seed", "5", "--num-seeds", "2")
    assert train("mine", *seeds, "--engine", "process") == 0
    assert train("turn", *seeds, "--name", "mine") == 0
    assert content(here / "mine") == content(here / "turn")
    checkpoints = submission_format.read(here / "mine").declaration.checkpoints
    assert [(each.folder, each.teacher, each.training_seed) for each in checkpoints] == [
        ("all-training-5", None, 5),
        ("all-training-6", None, 6),
    ]
    assert train("alone", "--updates", "2", "--seed", "6") == 0
    alone = here / "alone" / "all" / "model.safetensors"
    assert (here / "mine" / "all-training-6" / "model.safetensors").read_bytes() == alone.read_bytes()
    assert (here / "mine" / "all-training-5" / "model.safetensors").read_bytes() != alone.read_bytes()


def test_held_out_games_give_all_their_runs_and_no_other(here):
    names = [f"goal-{k // 3:02d}/seed-{k % 3}" for k in range(30)]
    held = watched.held_out_games(names, seed=7, count=4)
    games = {name.partition("/")[0] for name in held}
    assert len(games) == 4
    assert held == {name for name in names if name.partition("/")[0] in games}
    assert held != watched.held_out_games(names, seed=8, count=4)
    assert watched.held_out_games(names, seed=7, count=0) == frozenset()
    assert train("mine", "--updates", "2", "--set", "held_out_games=1", "--set", "report_every=1") == 0
    with (here / "mine" / "training.csv").open(newline="") as file:
        assert all(float(line["validation_loss"]) > 0 for line in csv.DictReader(file))


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
        (["--set", "lr=0.1"], "unknown setting of bc or its training 'lr'; did you mean 'learning_rate'?"),
        (["--set", "d_model=2"], "did you mean 'width'?"),
        (["--set", "held_out=1", "--held-out", "1"], "--set held_out: give it as --held-out, and once"),
        (["--held-out", "2"], "2 held out of 2 watched runs per checkpoint leave none to train on"),
        (["--held-out", "1", "--mode", "single"], "1 held out of 1 watched run per checkpoint leave none"),
        (["--patience", "2"], "patience needs a validation loss, and so held-out runs"),
        (["--targets", "exectued"], "Input should be 'chosen' or 'executed'; found 'exectued'"),
        (["--precision", "bf16"], "unknown precision 'bf16'; did you mean 'bfloat16'?"),
        (["--device", "gpu"], "unknown device 'gpu'; known: cpu, cuda, cuda:N, mps"),
        (["--set", "width=nan"], "bc: width: expected a whole number; found nan"),
        (["--teacher", NEW], "unknown run that darkroom-v1 may watch in mode multi: 'goal-02/seed-0'"),
        (["--mode", "singel"], "unknown mode 'singel'; did you mean 'single'?"),
        (["--set", "held_out_games=2"], "2 held out of 2 watched games per checkpoint leave none"),
        (["--set", "held_out_games=1", "--held-out", "1"], "give held_out or held_out_games, not both"),
        (["--set", "episode_stride=99"], "with episode_stride 99: no watched run has so many"),
        (["--teacher-seeds", "0:2"], "no run of darkroom/goal-00 with seed 1 on this machine"),
        (["--teacher-seeds", "1"], "--teacher-seeds: expected FIRST:END with FIRST < END, e.g. 0:4"),
        (["--data", "nowhere"], "data folder nowhere does not exist"),
        (["--engine", "proces"], "unknown engine 'proces'; did you mean 'process'?"),
        (["--name", "A B"], "name: String should match"),
        (["--priming", "601"], "at most the 600 watched moves of goal-01/seed-0"),
        (["--set", "window_moves=100000"], "choose shorter windows"),
        (["--all", "--teacher", WATCHED[0]], "give one of --all, --teacher and --teacher-seeds"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_train_refuses_before_it_writes(here, capsys, more, line):
    assert train("mine", "--updates", "2", *more) == 2
    captured = capsys.readouterr()
    assert line in captured.err
    assert captured.err.count("\n") == 1
    assert content(here) == {}


def test_train_with_held_out_runs_executed_targets_and_an_early_stop(here, data, capsys):
    options = ("--targets", "executed", "--held-out", "1", "--patience", "1", "--set", "report_every=2")
    assert train("mine", "--updates", "6", *options) == 0
    assert "all: validation loss" in capsys.readouterr().out
    written = json.loads((here / "mine" / "submission.json").read_text())
    assert written["training_targets"] == "executed"
    assert "targets" not in written["training"]
    assert {name: written["training"][name] for name in ("held_out", "patience", "report_every")} == {
        "held_out": 1,
        "patience": 1,
        "report_every": 2,
    }
    assert written["watched"]["histories"] == entries(data, *WATCHED), "held-out runs were watched too"
    lines = list(csv.DictReader((here / "mine" / "training.csv").open(encoding="utf-8")))
    assert [(line["checkpoint"], line["update"]) for line in lines][:2] == [("all", "2"), ("all", "4")]
    assert all(float(line["validation_loss"]) > 0 for line in lines)
    assert (here / "mine" / "training.svg").read_text().startswith("<?xml")
    assert cli.main(["check", "mine"]) == 0
    shown = capsys.readouterr().out
    assert "executed: every action, explored ones too" in shown
    assert "warning" not in shown
    assert rows.entry(str(here / "mine")).training_targets == "executed"
    assert train("mine", "--updates", "6", *options) == 0, "it is the same submission"
    assert train("mine", "--updates", "6", *options[2:]) == 2


def test_targets_decide_the_declaration_hash_only_where_they_are_unusual(make_submission):
    folder = make_submission()
    path = folder / "submission.json"
    values = json.loads(path.read_text()) | {"training": {"updates": 3}}
    found = {}
    for targets in ("absent", None, "chosen", "executed"):
        given = {} if targets == "absent" else {"training_targets": targets}
        path.write_text(json.dumps(values | given))
        submission = submission_format.read(folder)
        found[targets] = submission.declaration.targets, submission_format.declaration_hash(submission)
    assert found["absent"] == found[None] == found["chosen"]
    assert found["absent"][0] == "chosen"
    assert found["executed"][0] == "executed"
    assert found["executed"][1] != found["absent"][1]


def test_stored_entries_keep_their_hashes():
    """As they were when targets could not be chosen."""
    hashes = {"bc": "6f123c3092c4f574", "bc-time": "83bccc3b27ef2157", "transformer": "461e2ad5f6f8d213"}
    for name, expected in hashes.items():
        submission = submission_format.read(ENTRIES / "darkroom-v1" / name)
        assert submission_format.declaration_hash(submission).startswith(expected)
        assert submission.declaration.targets == "chosen"


def test_settings_are_listed_with_defaults_and_meanings(capsys):
    assert cli.main(["train", "transformer", "--settings"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name in (*TrainingSettings.__dataclass_fields__, *TransformerConfig.__dataclass_fields__):
        assert f" {name} " in shown
    assert "moves a layer attends to, the present one included" in shown
    assert cli.main(["train", "bc", "--settings", "--benchmark", "minatar-v1"]) == 0
    assert "128" in capsys.readouterr().out
    for kind in (TrainingSettings, TransformerConfig):
        assert all(field.metadata["meaning"] for field in fields(kind))


def test_train_needs_a_benchmark_and_a_folder(here, capsys):
    assert cli.main(["train", "bc", "--benchmark", "darkroom-v1"]) == 2
    assert "train needs --out" in capsys.readouterr().err
    assert cli.main(["train", "bc", "--out", "mine"]) == 2
    assert "train needs --benchmark" in capsys.readouterr().err


def test_train_logs_for_tensorboard(here):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert train("mine", "--updates", "4", "--set", "report_every=2", "--tensorboard", "runs") == 0
    found = events.EventAccumulator(str(here / "runs" / "all"))
    found.Reload()
    lines = list(csv.DictReader((here / "mine" / "training.csv").open(encoding="utf-8")))
    logged = [(each.step, each.value) for each in found.Scalars("loss/training")]
    assert logged == [(int(line["update"]), pytest.approx(float(line["loss"]))) for line in lines]


@pytest.mark.parametrize(
    ("reach_moves", "moves"), [(None, 1_300), (1, 0), (2, 2), (1_021, 1_021), (1_300, 1_300), (5_000, 1_300)]
)
def test_priming_takes_the_watched_moves_that_can_matter(reach_moves, moves):
    assert watched.useful_priming(reach_moves, 1_300) == moves
