"""Relearning: from the log alone to the bytes that teaching had."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from understudy.suite import benchmarks, games
from understudy.suite.errors import InputError
from understudy.suite.histories import format as history_format
from understudy.suite.histories.format import History
from understudy.suite.teachers import checkpoints, dqn, knowledge, layers, network, relearn, standing, teach
from understudy.suite.testing import teachers

SETTINGS = replace(
    dqn.SETTINGS["darkroom"], learning_starts=50, exploration_moves=100, target_every=40, memory_moves=150
)
LESSON = teach.Lesson(("darkroom/goal-40", "darkroom/goal-41"), (0, 0), 200, 90, SETTINGS)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """Two darkroom lives of 300 moves; what they had learned at 250 is a checkpoint of shorter ones."""
    out = tmp_path_factory.mktemp("taught")
    teach.teach(LESSON, out / "250", 250)
    return teach.teach(LESSON, out / "300", 300), [
        load_file(out / "250" / f"goal-{goal}" / "seed-0" / checkpoints.CHECKPOINT) for goal in (40, 41)
    ]


def test_lives_relearnt_side_by_side_have_the_bytes_that_they_had(taught):
    paths, at_250 = taught
    reported = []
    found = relearn.checkpoints(
        [history_format.read(path) for path in paths],
        [250, 200],
        lambda done, total: reported.append((done, total)),
    )
    by_move = dict(found)
    assert list(by_move) == [200, 250]
    assert reported == [(move, 250) for move in range(1, 251)]
    for life, path in enumerate(paths):
        for name, tensor in load_file(path.parent / checkpoints.NETWORK_AT_W).items():
            assert torch.equal(by_move[200][life][f"network.{name}"], tensor)
        assert by_move[250][life].keys() == at_250[life].keys()
        assert all(torch.equal(by_move[250][life][key], tensor) for key, tensor in at_250[life].items())


@pytest.mark.parametrize("family", ["darkroom", "minatar"])
def test_a_life_has_the_same_bytes_whichever_lives_are_beside_it(family, tmp_path):
    names = (
        [f"darkroom/goal-{goal}" for goal in (40, 41, 42)]
        if family == "darkroom"
        else ["minatar/breakout"] * 3
    )
    settings = replace(SETTINGS, update_every=1)
    together = teach.teach(teach.Lesson(tuple(names), (0, 1, 2), 200, 90, settings), tmp_path / "three", 250)
    alone = teach.teach(teach.Lesson((names[2],), (2,), 200, 90, settings), tmp_path / "one", 250)
    histories = [history_format.read(path) for path in together]
    assert np.array_equal(history_format.read(alone[0]).action, histories[2].action)
    networks = [load_file(path.parent / checkpoints.NETWORK_AT_W) for path in (alone[0], together[2])]
    assert all(torch.equal(networks[0][name], tensor) for name, tensor in networks[1].items())
    ((_, three),) = relearn.checkpoints(histories, [240])
    for history, learned in zip(histories, three, strict=True):
        ((_, (one,)),) = relearn.checkpoints([history], [240])
        assert all(torch.equal(one[name], tensor) for name, tensor in learned.items())


@pytest.mark.parametrize("name", ["darkroom/goal-40", "minatar/breakout", "atari/breakout"])
def test_a_short_life_alone_has_the_bytes_that_it_had(name, tmp_path):
    folder = teachers.short_life(name, tmp_path)
    (learned,) = knowledge.of_folders([folder], [teachers.WATCHED_MOVES])
    for key, tensor in load_file(folder / checkpoints.NETWORK_AT_W).items():
        assert torch.equal(learned[teachers.WATCHED_MOVES][f"network.{key}"], tensor)


def test_a_life_relearnt_without_its_neighbour_is_near(taught):
    paths, _ = taught
    (learned,) = knowledge.of_folders([paths[1].parent], [200])
    for name, tensor in load_file(paths[1].parent / checkpoints.NETWORK_AT_W).items():
        torch.testing.assert_close(learned[200][f"network.{name}"], tensor, atol=1e-5, rtol=0)


def test_threads_and_denormals_are_as_they_were(taught):
    paths, _ = taught
    torch.set_num_threads(2)
    try:
        next(relearn.checkpoints([history_format.read(paths[0])], [60]))
        assert torch.get_num_threads() == 2
        assert float(torch.tensor(1e-38) / 1000) > 0
    finally:
        torch.set_num_threads(1)


def test_results_are_kept_until_the_history_changes(taught, monkeypatch):
    paths, _ = taught
    folder = paths[0].parent
    (first,) = knowledge.of_folders([folder], [120])
    monkeypatch.setattr(relearn, "checkpoints", None)
    first_again, and_again = knowledge.of_folders([folder, folder], [120, 120])
    assert all(first_again[120][name] is tensor for name, tensor in first[120].items())
    assert and_again[120].keys() == first[120].keys()
    monkeypatch.setattr(knowledge, "_file_state", lambda path: (1, 1))
    with pytest.raises(TypeError):
        knowledge.of_folders([folder], [120])


def test_long_results_are_kept_on_disk(taught, monkeypatch):
    paths, _ = taught
    folder = paths[0].parent
    (expected,) = knowledge.of_folders([folder], [110, 130])
    monkeypatch.setattr(knowledge, "KEPT_FROM_MOVES", 100)
    knowledge._found.clear()
    knowledge.of_folders([folder], [110, 130])
    knowledge._found.clear()
    monkeypatch.setattr(relearn, "checkpoints", None)
    (found,) = knowledge.of_folders([folder], [110, 130])
    for move in (110, 130):
        assert found[move].keys() == expected[move].keys()
        assert all(torch.equal(found[move][key], tensor) for key, tensor in expected[move].items())
    knowledge._found.clear()
    with pytest.raises(TypeError):
        knowledge.of_folders([folder], [110, 131])
    knowledge._found.clear()
    monkeypatch.setattr(knowledge, "_learning_code", lambda: {"dqn": "another"})
    with pytest.raises(TypeError):  # another DQN of the same version learns it anew
        knowledge.of_folders([folder], [110, 130])


def test_what_is_kept_names_all_code_that_learns():
    imported = {
        value
        for module in knowledge.LEARNING
        for value in vars(module).values()
        if getattr(value, "__name__", "").startswith("understudy.suite.teachers.")
        and hasattr(value, "__file__")
    }
    assert layers in imported
    assert imported <= set(knowledge.LEARNING)


def test_relearning_goes_on_from_what_is_known_to_the_same_bytes(taught):
    folders = [path.parent for path in taught[0]]
    straight = knowledge.of_folders(folders, [290])
    knowledge._found.clear()
    knowledge.of_folders(folders[:1], [80])  # the other life's is not known there
    knowledge.of_folders(folders, [200, 260])
    reported = []
    begun = knowledge.of_folders(folders, [200, 290], lambda done, total: reported.append((done, total)))
    assert reported == [(move, 290) for move in range(261, 291)]
    for at, expected in zip(begun, straight, strict=True):
        assert list(at) == [200, 290]
        assert at[290].keys() == expected[290].keys()
        assert all(torch.equal(at[290][name], tensor) for name, tensor in expected[290].items())


def test_a_life_that_ends_at_w_has_a_checkpoint(tmp_path):
    (path, _) = teach.teach(LESSON, tmp_path, 200)
    (learned,) = knowledge.of_folders([path.parent], [200])
    network_at_w = load_file(path.parent / checkpoints.NETWORK_AT_W)
    stored = load_file(path.parent / checkpoints.CHECKPOINT)
    expected = stored | {f"network.{name}": tensor for name, tensor in network_at_w.items()}
    assert learned[200].keys() == expected.keys() != stored.keys()  # the network is stored once
    assert all(torch.equal(learned[200][key], tensor) for key, tensor in expected.items())
    (path.parent / checkpoints.CHECKPOINT).write_bytes(b"no tensors")
    knowledge._found.clear()
    with pytest.raises(InputError, match="not a whole safetensors file"):
        knowledge.of_folders([path.parent], [200])


def changed(history, **player):
    header = replace(history.header, player={**history.header.player, **player})
    return History(header, *(getattr(history, name) for name in history_format.COLUMNS))


def test_what_is_refused(taught, tmp_path, monkeypatch):
    paths, _ = taught
    one, other = (history_format.read(path) for path in paths)
    slower = changed(other, settings={**other.header.player["settings"], "discount": 0.5})
    for histories, moves, message in (
        ([one, slower], [10], r"another discount \(0.5\) than that of darkroom/goal-40 \(0.95\)"),
        (
            [changed(one, kind="imitator")],
            [10],
            "expected a DQN teacher's life, found player.kind 'imitator'",
        ),
        ([changed(one, algorithm="ppo")], [10], "algorithm 'ppo'"),
        ([changed(one, settings={"patience": 3})], [10], "not this version's"),
        ([one], [300], r"expected moves in \[0, 300\) of this life, found \[300\]"),
        ([one], [-1], r"expected moves in \[0, 300\)"),
        ([one], [], "found none"),
    ):
        with pytest.raises(InputError, match=message):
            next(relearn.checkpoints(histories, moves))
    with pytest.raises(InputError, match="no such history file"):
        knowledge.of_folders([tmp_path], [10])
    monkeypatch.setattr(relearn, "MOST_MOVES", {"darkroom": 100})
    with pytest.raises(InputError, match="relearning 140 moves of darkroom/goal-40 takes hours"):
        knowledge.of_folders([paths[0].parent], [140])


def test_families_are_not_mixed(taught, tmp_path):
    dark = history_format.read(taught[0][0])
    minatar = history_format.read(teachers.short_life("minatar/breakout", tmp_path) / standing.HISTORY)
    alike = changed(minatar, settings=dark.header.player["settings"])
    with pytest.raises(InputError, match="expected teachers of one family"):
        next(relearn.checkpoints([dark, alike], [10]))


@pytest.mark.long
def test_embedded_darkroom_lives_are_near_what_they_were():
    """They were taught by another version and 81 side by side, so last bits differ and grow."""
    benchmark = benchmarks.load("darkroom-v1")
    lives = [life for life in benchmarks.teacher_lives(benchmark) if life.network_path][:16]
    learned = knowledge.of_folders([life.folder for life in lives], [benchmark.watched_moves])
    game = games.load(lives[0].game)
    agreeing = []
    for life, by_move in zip(lives, learned, strict=True):
        stored = network.load_parameters(life.network_path, game)
        ours = {key: by_move[benchmark.watched_moves][f"network.{key}"].unsqueeze(0) for key in stored}
        cells = torch.arange(81).unsqueeze(0)
        chosen = [network.q_values(game, parameters, cells)[0].argmax(1) for parameters in (stored, ours)]
        agreeing.append(float((chosen[0] == chosen[1]).float().mean()))
    assert np.mean(agreeing) > 0.99
