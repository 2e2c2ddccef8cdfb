"""Probes: what a player is told instead, isolation to the end of a life, and moves derived again."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from understudy.leaderboard import rows, scores
from understudy.submissions import parameters, requests, scoring, training
from understudy.submissions.entrants import ENTRIES
from understudy.suite import benchmarks, draws, files, games, harness, isolation, probes, states
from understudy.suite.errors import InputError
from understudy.suite.harness import Job
from understudy.suite.histories import format as history_format
from understudy.suite.places import Lane
from understudy.suite.probes import Told
from understudy.suite.records import HISTORY

LANES, MOVES = 3, 100


class Teller(nn.Module):
    """Chooses by the points it was told of so far, in its own row unless `leaks_from` that move on."""

    def __init__(self, leaks_from=10**9):
        super().__init__()
        self.leaks_from = leaks_from
        self.told = []

    def initial_state(self, batch_size):
        return {"points": torch.zeros(batch_size), "age": torch.zeros(batch_size, dtype=torch.int64)}

    def step(self, timestep, state):
        self.told.append(timestep)
        points = state["points"].masked_fill(timestep.first_of_life, 0) + timestep.previous_reward
        age = state["age"].masked_fill(timestep.first_of_life, 0) + 1
        heard = torch.where(age > self.leaks_from, points.sum().expand_as(points), points)
        goal = (heard * 7 + timestep.observation + timestep.previous_action).long() % 5
        return nn.functional.one_hot(goal, 5).float(), {"points": points, "age": age}


def job(reward="own", kind="continue", decoding="greedy"):
    lanes = tuple(
        Lane(f"darkroom/goal-{goal:02d}", f"goal-{goal:02d}/seed-0", "t", 0, draws.derive(goal), False)
        for goal in (40, 41, 49)
    )
    return Job(
        "darkroom-v1",
        "0" * 64,
        "quick",
        kind,
        {"name": "teller", "training_seed": None, "track": "frozen"},
        "test",
        decoding,
        0,
        MOVES,
        0.5,
        30,
        lanes,
        1,
        "cpu",
        {"understudy": "test"},
        None if reward == "own" else probes.Probe(reward, reward=reward),
    )


def play(a_job, folder, player):
    outset = harness.empty_outset(player, LANES)
    paths = harness.play(a_job, player, lambda: outset, folder)
    return outset, [history_format.read(path / HISTORY) for path in paths]


@pytest.mark.parametrize("reward", ["own", "yoked", "zeroed", "flipped"])
def test_what_a_player_is_told_of_its_reward(reward, tmp_path):
    player = Teller()
    _, histories = play(job(reward), tmp_path, player)
    earned = np.stack([history.reward[:-1] for history in histories])  # [B, T - 1]
    assert earned.any()
    heard = np.stack([timestep.previous_reward.numpy() for timestep in player.told[1:]], axis=1)
    expected = {"own": earned, "yoked": earned[[1, 2, 0]], "zeroed": 0 * earned, "flipped": -earned}[reward]
    assert (heard == expected).all()


def test_the_score_that_a_game_shows_is_blanked_where_its_reward_is_not_told():
    game = dataclasses.replace(games.load("atari/breakout"), score_rows=(2, 5))
    seen = np.ones((2, 4, 84, 84), np.uint8)
    shown = Told("yoked", [game, games.load("minatar/breakout")]).observation(seen)
    assert not shown[0, :, 2:5].any()
    assert shown[0, :, :2].all()
    assert shown[0, :, 5:].all()
    assert shown[1].all()
    assert Told("own", [game, game]).observation(seen) is seen
    with pytest.raises(InputError, match=r"atari/pong: the rows of pixels .* are not known"):
        Told("yoked", [games.load("atari/pong")])


def test_probes_have_the_seeds_of_the_scored_lives_and_a_role_of_their_own():
    assert probes.role_of("continue", probes.YOKED) == "continue@yoked"
    assert probes.role_of("continue", None) == "continue"
    assert [probe.name for probe in probes.chosen(["zeroed", "redrawn-2"])] == ["zeroed", "redrawn-2"]
    with pytest.raises(InputError, match="did you mean 'yoked'"):
        probes.chosen(["yokd"])


def test_which_lives_a_probe_changes():
    assert not probes.YOKED.touches("start", on_new_games=False)
    assert probes.YOKED.touches("transfer", on_new_games=True)
    assert probes.REDRAWN[0].touches("start", on_new_games=True)
    assert not probes.PROBES["unprimed"].touches("transfer", on_new_games=True)
    assert probes.PROBES["unprimed"].touches("start", on_new_games=False)


def test_isolation_is_checked_at_the_end_of_a_life_from_a_stored_state(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "KEPT_BEFORE_END", 40)
    for leaks_from, expected in ((10**9, None), (80, 80)):
        player = Teller(leaks_from)
        folder = tmp_path / str(leaks_from)
        outset, histories = play(job(), folder, player)
        assert isolation.first_difference(job(), player, outset, histories, 0, moves=50) is None
        kept = states.load(folder / harness.KEPT_STATE)
        assert kept["age"].tolist() == [60]
        differs = isolation.last_difference(job(), player, outset, histories, kept, 60)
        assert (differs is None) == (expected is None)
        assert differs is None or differs >= expected


@pytest.mark.parametrize("kind", ["start", "continue"])
@pytest.mark.parametrize("decoding", ["greedy", "sample"])
def test_a_players_moves_are_derived_again_and_anothers_are_not(kind, decoding, tmp_path):
    player = Teller()
    a_job = job(kind=kind, decoding=decoding)
    outset, histories = play(a_job, tmp_path, player)
    again = isolation.rederive(a_job, player, outset, histories)
    assert (again.differing, again.holds) == (0, True)
    assert again.moves == sum(int((~history.explored).sum()) for history in histories)

    class Other(Teller):
        def step(self, timestep, state):
            logits, state = super().step(timestep, state)
            return logits.roll(1, dims=1), state

    other = isolation.rederive(a_job, Other(), outset, histories)
    assert not other.holds
    assert other.differing > 0.2 * other.moves


@pytest.mark.parametrize(
    ("moves", "differing", "gap", "holds"),
    [(1000, 1, 1e-4, True), (1000, 2, 1e-4, False), (1000, 1, 0.1, False), (0, 0, 0.0, True)],
)
def test_when_moves_count_as_derived_again(moves, differing, gap, holds):
    assert isolation.Rederived(moves, differing, gap).holds is holds


def test_shuffled_actions_keep_their_number_and_lose_their_place(tmp_path):
    _, (history, *_) = play(job(), tmp_path, Teller())
    shuffled = parameters.shuffled_actions(history, 60, draw=0)
    pairs = list(zip(history.action[:60], history.explored[:60], strict=True))
    assert sorted(pairs) == sorted(zip(shuffled.action[:60], shuffled.explored[:60], strict=True))
    assert (shuffled.action[:60] != history.action[:60]).any()
    assert (shuffled.action[60:] == history.action[60:]).all()
    other = parameters.shuffled_actions(history, 60, draw=1)
    assert (other.action != shuffled.action).any()


def test_probes_of_a_submission_are_played_with_parameters_of_their_own(tmp_path):
    benchmark = benchmarks.load("darkroom-v1")
    lives = training.chosen_lives(benchmark, "multi", benchmarks.teacher_lives(benchmark))[:4]
    recipe = training.Recipe("markov", benchmark, "multi", "small", settings={"steps": 4, "window_moves": 64})
    training.train(recipe, lives, tmp_path / "small")
    request = requests.Request(str(tmp_path / "small"), "darkroom-v1", "quick", tmp_path / "out", lanes=2)
    played = (probes.REDRAWN[0], probes.SHUFFLED[0], probes.PROBES["unprimed"])
    scoring.score([request], ["transfer"], probed=played)
    row = tmp_path / "out" / "darkroom-v1" / "quick" / "small"
    roles = {path.name for path in row.iterdir() if path.is_dir()}
    assert roles == {"start-new", "transfer", "parameters"} | {
        f"{role}@{name}" for role in ("start-new", "transfer") for name in ("redrawn-0", "shuffled-0")
    }  # it is not primed, so there is nothing to leave out
    trained = row / "parameters" / "shuffled-0-all.safetensors"
    weights = {
        name: files.read_json(row / role / "all" / "lane-0" / "record.json")["parameters_sha256"]["after"]
        for name, role in (
            ("own", "transfer"),
            ("redrawn", "transfer@redrawn-0"),
            ("shuffled", "transfer@shuffled-0"),
        )
    }
    assert len(set(weights.values())) == 3
    before = trained.stat().st_mtime_ns
    scoring.score([request], ["transfer"], probed=played)
    assert trained.stat().st_mtime_ns == before
    (scored,) = [one for one in scores.judge_all(tmp_path / "out") if one.folder.name == "small"]
    assert list(scored.probed["transfer"]) == ["redrawn-0", "shuffled-0"]
    (table,) = rows.tables_of([scored])
    assert any(note.startswith("small, gain in transfer: as scored ") for note in table.notes)


def test_a_submission_that_does_not_say_how_it_was_trained_cannot_be_trained_on_shuffled_actions(tmp_path):
    folder = tmp_path / "silent"
    shutil.copytree(ENTRIES / "darkroom-v1" / "markov", folder)
    declaration = files.read_json(folder / "submission.json")
    files.write_json(folder / "submission.json", {**declaration, "training": None})
    request = requests.Request(str(folder), "darkroom-v1", "quick", tmp_path / "out", lanes=2)
    errand = scoring.Errand(request, "start-new", 0, "shuffled-0")
    with pytest.raises(InputError, match=r"submission\.json has no `training`"):
        scoring.run_errand(errand, lambda progress: None)
