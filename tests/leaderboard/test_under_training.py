"""Under-training: whose held-out loss is compared with whose, and what is said of it."""

from __future__ import annotations

import json

import pytest

from understudy.leaderboard import under_training
from understudy.suite.harness import rounds
from understudy.suite.harness.rounds import Committed, Round

NAMES = ("gru", "bc", "bc-time", "old")
HEAD = "checkpoint,update,moves,loss,learning_rate,validation_loss\n"


def entry(entries, name, losses, architecture="gru", **settings):
    """Write an entry's declaration and log; its last validation losses are given, one a checkpoint."""
    folder = entries / "darkroom-v1" / name
    folder.mkdir(parents=True)
    training = {"seed": 0, "held_out": 2, "batch_size": 4, "window_moves": 8, "updates": 5, **settings}
    declared = {
        "architecture": architecture,
        "checkpoints": [{"training_seed": seed} for seed in range(len(losses))],
        "training": training,
        "watched": {"mode": "multi", "histories": [{"name": "goal-00/seed-4"}]},
    }
    (folder / "submission.json").write_text(json.dumps(declared))
    lines = [
        f"{number},{update},1,0.1,0.1,{9 if update == 1 else last}\n"
        for number, last in enumerate(losses)
        for update in (1, 2)
    ]
    (folder / "training.csv").write_text(HEAD + "".join(lines))


@pytest.fixture
def entries(tmp_path, monkeypatch):
    """A folder of entries; the rounds' list has those of NAMES, each with an identity of its own."""
    committed = tuple(
        Committed(identity_of(name), "darkroom-v1", name, "greedy", "frozen", 0, "0" * 64) for name in NAMES
    )
    monkeypatch.setattr(rounds, "read", lambda: [Round("1", committed, "0" * 32, "2026-01-01")])
    return tmp_path


def identity_of(name):
    return f"{NAMES.index(name):064x}"


def remark(entries, name):
    return under_training.remark("darkroom-v1", identity_of(name), entries)


@pytest.mark.parametrize(
    ("losses", "is_labelled"),
    [
        ((1.3,), True),
        ((1.25,), True),  # no better than
        ((1.2,), False),
    ],
)
def test_a_loss_that_is_not_below_that_of_bc_time_is_labelled(losses, is_labelled, entries):
    entry(entries, "bc-time", (1.25,), "bc-time")
    entry(entries, "gru", losses)
    found = remark(entries, "gru")
    expected = (
        f"under-trained: a loss of {losses[0]:.3f} nats an action on held-out watched runs, bc-time has 1.250"
    )
    assert found == (expected if is_labelled else None)


def test_checkpoints_count_by_their_mean(entries):
    entry(entries, "bc-time", (1.0, 2.0), "bc-time")
    entry(entries, "gru", (1.1, 2.1))
    assert "1.600 nats" in remark(entries, "gru")
    assert "bc-time has 1.500" in remark(entries, "gru")


@pytest.mark.parametrize(
    "settings",
    [{"held_out": 3}, {"episode_stride": 2}, {"window_moves": 9}, {"held_out_games": 1}, {"last_moves": 99}],
)
def test_other_held_out_windows_are_not_compared(settings, entries):
    entry(entries, "bc-time", (1.0,), "bc-time")
    entry(entries, "gru", (2.0,), **settings)
    assert remark(entries, "gru") is None


def test_the_settings_of_the_model_and_the_number_of_updates_are_no_part_of_the_windows(entries):
    entry(entries, "bc-time", (1.0,), "bc-time")
    entry(entries, "gru", (2.0,), updates=7, learning_rate=0.5)
    assert remark(entries, "gru") is not None


def test_a_setting_that_an_older_declaration_lacks_has_its_default(entries):
    entry(entries, "bc-time", (1.0,), "bc-time")
    entry(entries, "gru", (2.0,), last_moves=0, episode_stride=1)
    assert remark(entries, "gru") is not None


def test_what_has_no_memory_or_no_held_out_loss_is_not_labelled(entries):
    entry(entries, "bc-time", (1.0,), "bc-time")
    entry(entries, "bc", (1.5,), "bc")
    entry(entries, "old", ("",))
    assert [remark(entries, name) for name in ("bc", "bc-time", "old", "gru")] == [None] * 4


def test_without_a_trained_yardstick_nothing_is_said(entries):
    entry(entries, "gru", (2.0,))
    assert remark(entries, "gru") is None
