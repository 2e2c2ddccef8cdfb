"""Recomputing: the log alone leads to the bytes of the training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support import short_teachers

from understudy.suite import benchmarks, games
from understudy.suite.errors import InputError
from understudy.suite.histories import history_format
from understudy.suite.histories.history_format import History
from understudy.suite.io import file_names
from understudy.suite.teachers import (
    dqn,
    layers,
    network,
    recompute,
    recomputed,
    train_teacher,
)

SETTINGS = replace(
    dqn.SETTINGS["darkroom"], learning_starts=50, exploration_moves=100, target_every=40, memory_moves=150
)
TRAINING = train_teacher.TeacherTraining(("darkroom/goal-40", "darkroom/goal-41"), (0, 0), 200, 90, SETTINGS)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two darkroom runs of 300 moves, and their tensors at move 250, from checkpoints of shorter runs."""
    out = tmp_path_factory.mktemp("trained")
    train_teacher.train(TRAINING, out / "250", 250)
    return train_teacher.train(TRAINING, out / "300", 300), [
        load_file(out / "250" / f"goal-{goal}" / "seed-0" / file_names.CHECKPOINT) for goal in (40, 41)
    ]


def test_runs_recomputed_together_have_the_trained_bytes(trained):
    paths, at_250 = trained
    reported = []
    found = recompute.checkpoints(
        [history_format.read(path) for path in paths],
        [250, 200],
        lambda done, total: reported.append((done, total)),
    )
    by_move = dict(found)
    assert list(by_move) == [200, 250]
    assert reported == [(move, 250) for move in range(1, 251)]
    for run, path in enumerate(paths):
        for name, tensor in load_file(path.parent / file_names.NETWORK_AT_W).items():
            assert torch.equal(by_move[200][run][f"network.{name}"], tensor)
        assert by_move[250][run].keys() == at_250[run].keys()
        assert all(torch.equal(by_move[250][run][key], tensor) for key, tensor in at_250[run].items())


@pytest.mark.parametrize("family", ["darkroom", "minatar"])
def test_a_run_has_the_same_bytes_whichever_runs_are_trained_with_it(family, tmp_path):
    names = (
        [f"darkroom/goal-{goal}" for goal in (40, 41, 42)]
        if family == "darkroom"
        else ["minatar/breakout"] * 3
    )
    settings = replace(SETTINGS, update_every=1)
    together = train_teacher.train(
        train_teacher.TeacherTraining(tuple(names), (0, 1, 2), 200, 90, settings), tmp_path / "three", 250
    )
    alone = train_teacher.train(
        train_teacher.TeacherTraining((names[2],), (2,), 200, 90, settings), tmp_path / "one", 250
    )
    histories = [history_format.read(path) for path in together]
    assert np.array_equal(history_format.read(alone[0]).action, histories[2].action)
    networks = [load_file(path.parent / file_names.NETWORK_AT_W) for path in (alone[0], together[2])]
    assert all(torch.equal(networks[0][name], tensor) for name, tensor in networks[1].items())
    ((_, three),) = recompute.checkpoints(histories, [240])
    for history, learned in zip(histories, three, strict=True):
        ((_, (one,)),) = recompute.checkpoints([history], [240])
        assert all(torch.equal(one[name], tensor) for name, tensor in learned.items())


@pytest.mark.parametrize("name", ["darkroom/goal-40", "minatar/breakout", "atari/breakout"])
def test_a_single_recomputed_run_has_the_trained_bytes(name, tmp_path):
    folder = short_teachers.short_run(name, tmp_path)
    (learned,) = recomputed.tensors_of([folder], [short_teachers.WATCHED_MOVES])
    for key, tensor in load_file(folder / file_names.NETWORK_AT_W).items():
        assert torch.equal(learned[short_teachers.WATCHED_MOVES][f"network.{key}"], tensor)


def test_one_of_two_runs_recomputed_alone_is_near_the_trained_one(trained):
    paths, _ = trained
    (learned,) = recomputed.tensors_of([paths[1].parent], [200])
    for name, tensor in load_file(paths[1].parent / file_names.NETWORK_AT_W).items():
        torch.testing.assert_close(learned[200][f"network.{name}"], tensor, atol=1e-5, rtol=0)


def test_threads_and_denormals_are_restored(trained):
    paths, _ = trained
    torch.set_num_threads(2)
    try:
        next(recompute.checkpoints([history_format.read(paths[0])], [60]))
        assert torch.get_num_threads() == 2
        assert float(torch.tensor(1e-38) / 1000) > 0
    finally:
        torch.set_num_threads(1)


def test_results_are_cached_until_the_history_changes(trained, monkeypatch):
    paths, _ = trained
    folder = paths[0].parent
    (first,) = recomputed.tensors_of([folder], [120])
    monkeypatch.setattr(recompute, "checkpoints", None)
    first_again, and_again = recomputed.tensors_of([folder, folder], [120, 120])
    assert all(first_again[120][name] is tensor for name, tensor in first[120].items())
    assert and_again[120].keys() == first[120].keys()
    monkeypatch.setattr(recomputed, "_file_state", lambda path: (1, 1))
    with pytest.raises(TypeError):
        recomputed.tensors_of([folder], [120])


def test_long_results_are_cached_on_disk(trained, monkeypatch):
    paths, _ = trained
    folder = paths[0].parent
    (expected,) = recomputed.tensors_of([folder], [110, 130])
    monkeypatch.setattr(recomputed, "CACHED_FROM_MOVES", 100)
    recomputed._known.clear()
    recomputed.tensors_of([folder], [110, 130])
    recomputed._known.clear()
    monkeypatch.setattr(recompute, "checkpoints", None)
    (found,) = recomputed.tensors_of([folder], [110, 130])
    for move in (110, 130):
        assert found[move].keys() == expected[move].keys()
        assert all(torch.equal(found[move][key], tensor) for key, tensor in expected[move].items())
    recomputed._known.clear()
    with pytest.raises(TypeError):
        recomputed.tensors_of([folder], [110, 131])
    recomputed._known.clear()
    monkeypatch.setattr(recomputed, "_learning_code", lambda: {"dqn": "another"})
    with pytest.raises(TypeError):  # other code of the same version recomputes
        recomputed.tensors_of([folder], [110, 130])


def test_the_cache_key_covers_all_modules_that_learn():
    imported = {
        value
        for module in recomputed.LEARNING_MODULES
        for value in vars(module).values()
        if getattr(value, "__name__", "").startswith("understudy.suite.teachers.")
        and hasattr(value, "__file__")
    }
    assert layers in imported
    assert imported <= set(recomputed.LEARNING_MODULES)


def test_recomputing_starts_from_known_tensors_with_the_same_bytes(trained):
    folders = [path.parent for path in trained[0]]
    straight = recomputed.tensors_of(folders, [290])
    recomputed._known.clear()
    recomputed.tensors_of(folders[:1], [80])  # the other run is not known there
    recomputed.tensors_of(folders, [200, 260])
    reported = []
    begun = recomputed.tensors_of(folders, [200, 290], lambda done, total: reported.append((done, total)))
    assert reported == [(move, 290) for move in range(261, 291)]
    for at, expected in zip(begun, straight, strict=True):
        assert list(at) == [200, 290]
        assert at[290].keys() == expected[290].keys()
        assert all(torch.equal(at[290][name], tensor) for name, tensor in expected[290].items())


def test_a_run_that_ends_at_w_has_a_checkpoint(tmp_path):
    (path, _) = train_teacher.train(TRAINING, tmp_path, 200)
    (learned,) = recomputed.tensors_of([path.parent], [200])
    network_at_w = load_file(path.parent / file_names.NETWORK_AT_W)
    stored = load_file(path.parent / file_names.CHECKPOINT)
    expected = stored | {f"network.{name}": tensor for name, tensor in network_at_w.items()}
    assert learned[200].keys() == expected.keys() != stored.keys()  # the network at W is stored once
    assert all(torch.equal(learned[200][key], tensor) for key, tensor in expected.items())
    (path.parent / file_names.CHECKPOINT).write_bytes(b"no tensors")
    recomputed._known.clear()
    with pytest.raises(InputError, match="not a whole safetensors file"):
        recomputed.tensors_of([path.parent], [200])


def changed(history, **player):
    header = replace(history.header, player={**history.header.player, **player})
    return History(header, *(getattr(history, name) for name in history_format.COLUMNS))


def test_what_is_refused(trained, tmp_path, monkeypatch):
    paths, _ = trained
    one, other = (history_format.read(path) for path in paths)
    slower = changed(other, settings={**other.header.player["settings"], "discount": 0.5})
    for histories, moves, message in (
        (
            [one, slower],
            [10],
            r"trained with another discount \(0.5\) than that of darkroom/goal-40 \(0.95\)",
        ),
        (
            [changed(one, kind="imitator")],
            [10],
            "expected a DQN teacher's run, found player.kind 'imitator'",
        ),
        ([changed(one, algorithm="ppo")], [10], "algorithm 'ppo'"),
        ([changed(one, settings={"patience": 3})], [10], "don't fit this version"),
        ([one], [300], r"expected moves in \[0, 300\) of this run, found \[300\]"),
        ([one], [-1], r"expected moves in \[0, 300\)"),
        ([one], [], "found none"),
    ):
        with pytest.raises(InputError, match=message):
            next(recompute.checkpoints(histories, moves))
    with pytest.raises(InputError, match="no such history file"):
        recomputed.tensors_of([tmp_path], [10])
    monkeypatch.setattr(recompute, "MAX_MOVES", {"darkroom": 100})
    with pytest.raises(InputError, match="recomputing 140 moves of darkroom/goal-40 takes hours"):
        recomputed.tensors_of([paths[0].parent], [140])


def test_families_are_not_mixed(trained, tmp_path):
    dark = history_format.read(trained[0][0])
    minatar = history_format.read(short_teachers.short_run("minatar/breakout", tmp_path) / file_names.HISTORY)
    alike = changed(minatar, settings=dark.header.player["settings"])
    with pytest.raises(InputError, match="expected teachers of one family"):
        next(recompute.checkpoints([dark, alike], [10]))


@pytest.mark.long
def test_embedded_darkroom_runs_are_near_the_trained_ones():
    """They were trained by another version and 81 together, so last bits differ, and the difference grows."""
    benchmark = benchmarks.load("darkroom-v1")
    runs = [run for run in benchmarks.teacher_runs(benchmark) if run.network_path][:16]
    learned = recomputed.tensors_of([run.folder for run in runs], [benchmark.watched_moves])
    game = games.load(runs[0].game)
    agreeing = []
    for run, by_move in zip(runs, learned, strict=True):
        stored = network.load_parameters(run.network_path, game)
        ours = {key: by_move[benchmark.watched_moves][f"network.{key}"].unsqueeze(0) for key in stored}
        cells = torch.arange(81).unsqueeze(0)
        chosen = [network.q_values(game, parameters, cells)[0].argmax(1) for parameters in (stored, ours)]
        agreeing.append(float((chosen[0] == chosen[1]).float().mean()))
    assert np.mean(agreeing) > 0.99
