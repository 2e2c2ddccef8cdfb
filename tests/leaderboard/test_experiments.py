"""Experiments: what they refuse, and that the commands they stand for make entries and rows, once."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import threading
import time

import pytest

from understudy import baselines
from understudy.leaderboard import experiments, make_results, scores
from understudy.leaderboard.experiments import Folders
from understudy.submissions import setting_lists, submission_format
from understudy.suite import games
from understudy.suite.errors import InputError
from understudy.suite.reserved_names import DECLARATION, ENTRIES

TINY = """
[[experiment]]
name = "tiny"
benchmark = "darkroom-v1"
architecture = "bc"
teacher_seeds = "0:1"
num_seeds = 2
plays = [{ budget = "quick", round = 1 }]
settings = { updates = 3, batch_size = 2, window_moves = 40, episode_stride = 2, width = 8 }

[experiment.search]
grid = { learning_rate = [0.0001, 0.1] }
settings = { updates = 40, held_out_games = 13 }

[[experiment]]
name = "tiny-sampled"
weights_of = "darkroom-v1/tiny"
decoding = "sample"
"""


def written(tmp_path, text):
    path = tmp_path / "experiments.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            ("updates = 3,", "updates = 'many',"),
            "experiment 1: settings.updates.int: expected a whole number",
        ),
        (("num_seeds = 2", "num_seeds = 0"), "experiment 1: num_seeds: expected at least 1; found 0"),
        (("num_seeds", "seeds"), "experiment 1: seeds: Extra inputs are not permitted"),
        (('name = "tiny-sampled"', 'name = "tiny"'), "experiment 2: darkroom-v1/tiny stands twice"),
        (('decoding = "sample"', 'like = "darkroom-v1/tyni"'), "did you mean 'darkroom-v1/tiny'?"),
        (("[[experiment]]", "[[experiment"), "not readable TOML"),
    ],
)
def test_a_malformed_experiment_is_one_line(change, line, tmp_path):
    with pytest.raises(InputError) as error:
        experiments.read(written(tmp_path, TINY.replace(*change)))
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_an_experiment_that_is_like_another_has_its_values_and_no_rows_of_it(tmp_path):
    more = '[[experiment]]\nname = "wide"\nlike = "darkroom-v1/tiny"\nsettings = { width = 16 }\n'
    found = experiments.read(written(tmp_path, TINY + more))["darkroom-v1/wide"]
    assert found.settings == {
        **experiments.read(written(tmp_path, TINY))["darkroom-v1/tiny"].settings,
        "width": 16,
    }
    assert (found.architecture, found.num_seeds, found.teacher_seeds) == ("bc", 2, "0:1")
    assert found.search is None
    assert found.plays == []


@pytest.mark.long
def test_an_experiment_is_searched_trained_and_played_once(tmp_path, monkeypatch, capsys):
    path = written(tmp_path, TINY.replace("round = 1", "round = 1, lanes = 2"))
    monkeypatch.setattr(experiments.read, "__defaults__", (path,))
    monkeypatch.setattr("understudy.leaderboard.experiments.rows", in_dev_round(experiments.rows))
    out = tmp_path / "out"
    command = ["--from-scratch", str(out), "--jobs", "2"]
    assert make_results.main(command) == 0
    shown = capsys.readouterr().out
    assert shown.count("done in") == 4  # two trainings of the search, the entry's, a row
    search = json.loads((out / "searches" / "darkroom-v1" / "tiny.json").read_text())
    assert search["chosen"] == {"learning_rate": 0.1}  # 40 updates of 0.0001 change nothing
    assert [each["learning_rate"] for each in search["validation_losses"]] == [0.0001, 0.1]
    assert search["processor_seconds"].keys() == {"search", "training", "playing"}
    assert all(seconds > 0 for seconds in search["processor_seconds"].values())
    entry = submission_format.read(out / "entries" / "darkroom-v1" / "tiny.remade").declaration
    assert [each.training_seed for each in entry.checkpoints] == [0, 1]
    assert entry.search_trials == 2
    assert entry.training is not None
    assert entry.training["learning_rate"] == 0.1
    assert len(entry.watched.histories) == 65
    sampled = submission_format.read(out / "redecoded" / "darkroom-v1" / "tiny-sampled.remade")
    assert sampled.declaration.decoding == "sample"
    assert (
        sampled.identity == submission_format.read(out / "entries" / "darkroom-v1" / "tiny.remade").identity
    )
    assert "tiny.remade" in [one.folder.name for one in scores.score_all(out / "results")]
    assert make_results.main(command) == 0
    assert capsys.readouterr().out.count("training") == 0


@pytest.mark.long
def test_an_interrupted_call_says_so_and_the_same_one_goes_on(tmp_path, monkeypatch, capsys):
    """The training hears one signal, saves, and is resumed: its log then has no update twice."""
    text = TINY.partition("[experiment.search]")[0].replace("updates = 3,", "updates = 4000,")
    path = written(tmp_path, text.replace('plays = [{ budget = "quick", round = 1 }]', ""))
    monkeypatch.setattr(experiments.read, "__defaults__", (path,))
    out = tmp_path / "out"
    log = out / "logs" / "darkroom-v1" / "tiny.log"

    def interrupt():
        while not (log.exists() and "all-training-0: " in log.read_text()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        assert make_results.main(["--from-scratch", str(out)]) == 130
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "interrupted; the same command goes on" in capsys.readouterr().err
    entry = out / "entries" / "darkroom-v1" / "tiny.remade"
    assert list((entry / "all-training-0").glob("training-*.safetensors"))
    assert not (entry / "submission.json").exists()
    assert make_results.main(["--from-scratch", str(out)]) == 0
    assert len(submission_format.read(entry).declaration.checkpoints) == 2
    shown = [int(n) for n in re.findall(r"all-training-0: ([\d,]+) of", log.read_text().replace(",", ""))]
    assert shown == sorted(shown), "updates were made twice"


def in_dev_round(rows):
    """The entry made by this test was committed to no round."""

    def of(experiment, folders):
        for step in rows(experiment, folders):
            yield experiments.Step(
                step.what, step.title, tuple("dev" if text == "1" else text for text in step.arguments)
            )

    return of


def test_a_command_that_fails_is_named_with_its_log_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    text = TINY.partition("[experiment.search]")[0].replace("width = 8", "widht = 8")
    monkeypatch.setattr(experiments.read, "__defaults__", (written(tmp_path, text),))
    assert make_results.main(["--from-scratch", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "darkroom-v1 tiny.remade: training: ended with exit code 2; see " in error
    log = tmp_path / "out" / "logs" / "darkroom-v1" / "tiny.log"
    assert str(log) in error
    assert "did you mean 'width'?" in log.read_text()


def test_stored_entries_are_what_their_experiments_make():
    """Compares declarations, not weights: training them again takes hours."""
    root = experiments.EXPERIMENTS.parent
    folders = Folders(ENTRIES, root / "results", root / "searches", root / "work")
    for experiment in experiments.read().values():
        folder = folders.entry(experiment)
        if not (folder / DECLARATION).exists():
            continue  # not made yet, or being made
        declared = submission_format.read(folder).declaration
        source = experiment if experiment.weights_of is None else experiments.read()[experiment.weights_of]
        chosen = experiments.chosen(source, folders)
        assert chosen is not None
        assert declared.training is not None
        settings = {**source.settings, **chosen}
        own = {name: value for name, value in settings.items() if name in declared.training}
        assert {name: declared.training[name] for name in own} == own
        assert (declared.architecture, declared.decoding) == (source.architecture, experiment.decoding)
        assert declared.targets == source.targets
        each = len(declared.watched.histories) if source.mode == "single" else 1  # a teacher, or all
        assert len(declared.checkpoints) == source.num_seeds * each
        if source.teacher_seeds is not None:
            first, _, end = source.teacher_seeds.partition(":")
            seeds = {int(each.name.partition("seed-")[2]) for each in declared.watched.histories}
            assert seeds == set(range(int(first), int(end)))


@pytest.mark.parametrize(
    ("ending", "game_name", "count"), [("-50k", "darkroom/goal-40", 10), ("-160k", "minatar/breakout", 9)]
)
def test_experiments_of_one_budget_have_numbers_of_parameters_within_a_tenth(ending, game_name, count):
    game = games.load(game_name)
    found = {name: each for name, each in experiments.read().items() if name.endswith(ending)}
    assert len(found) == count
    budgets, sizes = [], []
    for experiment in found.values():
        architecture = baselines.load(experiment.architecture)
        own = setting_lists.names_of(architecture, game)
        of_model = {name: value for name, value in experiment.settings.items() if name in own}
        config = architecture.config(game, **of_model)
        sizes.append(sum(each.numel() for each in architecture.build(config, game, seed=0).parameters()))
        budget = {name: value for name, value in experiment.settings.items() if name not in own}
        budgets.append((budget, experiment.search, experiment.teacher_seeds, experiment.num_seeds))
    assert all(each == budgets[0] for each in budgets)
    assert max(sizes) <= 1.1 * min(sizes)


def test_the_commands_are_those_of_the_documentation(tmp_path):
    experiment = experiments.read(written(tmp_path, TINY))["darkroom-v1/tiny"]
    here = tmp_path
    folders = Folders(here / "e", here / "r", here / "s", here / "t", ".remade")
    trained = experiments.training(experiment, {"learning_rate": 0.1}, folders)
    assert shlex.join(trained.arguments) == (
        f"train bc --benchmark darkroom-v1 --out {here}/e/darkroom-v1/tiny.remade --name tiny.remade "
        "--decoding greedy --targets chosen --num-seeds 2 --teacher-seeds 0:1 --updates 3 --set batch_size=2 "
        "--set window_moves=40 --set episode_stride=2 --set width=8 --set learning_rate=0.1 --search-trials 2"
    )
    (played,) = experiments.rows(experiment, folders)
    assert shlex.join(played.arguments) == (
        f"score {here}/e/darkroom-v1/tiny.remade --benchmark darkroom-v1 --budget quick --out {here}/r "
        "--round 1 --isolation"
    )
