"""Interventions: feedback and parameters that are changed; isolation to the end of a run; rechecks."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter

import numpy as np
import pytest
import scipy.stats
import torch
from support import darkroom_jobs, rows, steps, windows
from torch import nn

from understudy.leaderboard import cells, scores, verification
from understudy.submissions import parameters, train_submission
from understudy.suite import benchmarks, games
from understudy.suite.errors import InputError
from understudy.suite.harness import interventions, isolation, recheck, rollout, rounds, work
from understudy.suite.harness.feedback import Feedback
from understudy.suite.histories import history_format
from understudy.suite.io import files
from understudy.suite.io.file_names import HISTORY
from understudy.suite.reserved_names import ENTRIES

LANES, MOVES = 3, 100


class Summer(nn.Module):
    """Chooses by the rewards that its row has received; from move `leaks_from` on, by those of all rows."""

    reach_moves = None

    def __init__(self, leaks_from=10**9):
        super().__init__()
        self.leaks_from = leaks_from
        self.received = []

    def initial_state(self, batch_size):
        return {"points": torch.zeros(batch_size), "age": torch.zeros(batch_size, dtype=torch.int64)}

    def unroll(self, timesteps, state):
        return steps.unrolled(self, timesteps, state)

    def step(self, timestep, state):
        self.received.append(timestep)
        points = state["points"].masked_fill(timestep.first_of_run, 0) + timestep.previous_reward
        age = state["age"].masked_fill(timestep.first_of_run, 0) + 1
        counted = torch.where(age > self.leaks_from, points.sum().expand_as(points), points)
        goal = (counted * 7 + timestep.observation + timestep.previous_action).long() % 5
        return nn.functional.one_hot(goal, 5).float(), {"points": points, "age": age}


def job(reward="own", kind="continue", decoding="greedy"):
    return darkroom_jobs.job(
        (40, 41, 49),
        "summer",
        kind=kind,
        decoding=decoding,
        moves=MOVES,
        exploration=0.5,
        segment_moves=30,
        intervention={
            "own": None,
            "permuted": interventions.INTERVENTIONS["permuted"],
        }.get(reward, interventions.Intervention(reward, reward=reward)),
    )


def play(a_job, folder, player):
    start_state = rollout.empty_start_state(player, LANES)
    paths = rollout.play(a_job, player, lambda: start_state, folder)
    return start_state, [history_format.read(path / HISTORY) for path in paths]


@pytest.mark.parametrize("reward", ["own", "yoked", "zeroed", "flipped"])
def test_the_rewards_that_a_player_receives(reward, tmp_path):
    player = Summer()
    _, histories = play(job(reward), tmp_path, player)
    earned = np.stack([history.reward[:-1] for history in histories])  # [B, T - 1]
    assert earned.any()
    received = np.stack([timestep.previous_reward.numpy() for timestep in player.received[1:]], axis=1)
    expected = {"own": earned, "yoked": earned[[1, 2, 0]], "zeroed": 0 * earned, "flipped": -earned}[reward]
    assert (received == expected).all()


def test_the_score_that_a_game_shows_is_blanked_where_its_reward_is_changed():
    game = dataclasses.replace(games.load("atari/breakout"), score_rows=(2, 5))
    seen = np.ones((2, 4, 84, 84), np.uint8)
    shown = Feedback("yoked", [game, games.load("minatar/breakout")]).observation(seen)
    assert not shown[0, :, 2:5].any()
    assert shown[0, :, :2].all()
    assert shown[0, :, 5:].all()
    assert shown[1].all()
    assert Feedback("own", [game, game]).observation(seen) is seen
    with pytest.raises(InputError, match=r"atari/pong: the rows of pixels .* are not known"):
        Feedback("yoked", [games.load("atari/pong")])


def test_interventions_have_the_seeds_of_the_scored_runs_and_a_role_of_their_own():
    assert interventions.role_of("continue", interventions.YOKED) == "continue@yoked"
    assert interventions.role_of("continue", None) == "continue"
    assert [intervention.name for intervention in interventions.chosen(["zeroed", "redrawn-2"])] == [
        "zeroed",
        "redrawn-2",
    ]
    with pytest.raises(InputError, match="did you mean 'yoked'"):
        interventions.chosen(["yokd"])


def test_which_runs_an_intervention_changes():
    assert not interventions.YOKED.touches("start", on_new_games=False)
    assert interventions.YOKED.touches("transfer", on_new_games=True)
    assert interventions.REDRAWN[0].touches("start", on_new_games=True)
    assert not interventions.INTERVENTIONS["unprimed"].touches("transfer", on_new_games=True)
    assert interventions.INTERVENTIONS["unprimed"].touches("start", on_new_games=False)


def test_isolation_is_checked_in_windows_from_states_that_the_log_gives(tmp_path):
    for leaks_from, isolated in ((10**9, True), (80, False)):
        player = Summer(leaks_from)
        start_state, histories = play(job(), tmp_path / str(leaks_from), player)
        early, late = windows.of(job(), (20, 50)), windows.of(job(), (20, 50), (84, 100))
        assert isolation.first_difference(job(), player, start_state, histories, early) is None
        found = isolation.first_difference(job(), player, start_state, histories, late)
        assert (found is None) == isolated
        assert found is None or found.move >= 84


@pytest.mark.parametrize("kind", ["start", "continue"])
@pytest.mark.parametrize("decoding", ["greedy", "sample"])
@pytest.mark.parametrize("reward", ["own", "yoked", "flipped", "permuted"])
def test_a_player_chooses_its_moves_again_and_another_player_does_not(kind, decoding, reward, tmp_path):
    player = Summer()
    a_job = job(reward, kind, decoding)
    start_state, histories = play(a_job, tmp_path, player)
    again = recheck.recheck(a_job, player, start_state, histories)
    assert (again.differing, again.holds) == (0, True)
    assert again.moves == sum(int((~history.explored).sum()) for history in histories)
    chosen = windows.of(a_job, (7, 30), (55, 80))
    part = recheck.recheck(a_job, player, start_state, histories, chosen)
    assert (part.differing, part.holds) == (0, True)
    inside = np.r_[7:30, 55:80]
    assert part.moves == sum(int((~history.explored[inside]).sum()) for history in histories)

    class Other(Summer):
        def step(self, timestep, state):
            logits, state = super().step(timestep, state)
            return logits.roll(1, dims=1), state

    for given in (None, chosen):
        other = recheck.recheck(a_job, Other(), start_state, histories, given)
        assert not other.holds
        assert other.differing > 0.2 * other.moves


def test_permuted_actions_are_received_in_the_players_own_numbers(tmp_path):
    """What was executed is the permutation of what was chosen; no action stays what it was."""
    player = Summer()
    a_job = job("permuted")
    _, histories = play(a_job, tmp_path, player)
    chosen = np.stack([timestep.previous_action.numpy() for timestep in player.received[1:]], axis=1)
    executed = np.stack([history.action[:-1] for history in histories])  # [B, T - 1]
    maps = [
        {(int(own), int(done)) for own, done in zip(chosen[i], executed[i], strict=True)} for i in range(3)
    ]
    assert [len(each) for each in maps] == [5, 5, 5]  # one executed action for each of the five
    assert all(own != done for each in maps for own, done in each)
    assert len({frozenset(each) for each in maps}) > 1  # each lane has its own


@pytest.mark.parametrize(
    ("logits", "chosen", "beyond"),
    [
        ([0.0, 1.0, 2.0], 2, False),
        ([0.0, 2.0 - 1e-6, 2.0], 1, False),  # within rounding
        ([0.0, 2.0 - 1e-4, 2.0], 1, True),
        ([0.0, 2.0, 2.0], 2, True),  # an exact tie goes to the lower action
        ([-1e6, 2.0 - 1e-4, 2.0], 1, True),  # far below the others, and no scale for them
        ([2.0, 2.0 - 1e-6, 2.0 - 2e-6], 1, True),  # as far apart as these logits ever are
    ],
)
def test_which_moves_may_differ(logits, chosen, beyond):
    tally = recheck.Tally(1)
    values = np.array([logits])
    legal, explored = np.ones((1, 3), bool), np.zeros(1, bool)
    assert tally.add(values, values, legal, np.array([chosen]), explored).tolist() == [beyond]
    assert tally.result().holds is not beyond


def test_an_illegal_move_never_passes():
    tally = recheck.Tally(1)
    logits, legal = np.array([[1.0, 2.0, 3.0]]), np.array([[True, True, False]])
    values = np.where(legal, logits, -np.inf)
    tally.add(logits, values, legal, np.array([2]), np.zeros(1, bool))
    assert not tally.result().holds
    assert np.isfinite(tally.result().largest_gap)


@pytest.mark.parametrize(
    ("moves", "differing", "ties", "holds"),
    [(900, 1, 0, True), (900, 2, 0, False), (900, 0, 1, True), (900, 0, 2, False), (2_000, 0, 3, True)],
)
def test_a_run_has_hardly_any_choice_within_rounding(moves, differing, ties, holds):
    """The bounds are of each run: the moves of a job's other runs do not dilute one run's."""
    tally = recheck.Tally(2)
    legal, nobody = np.ones((2, 3), bool), np.zeros(2, bool)
    plain, near = np.array([[0.0, 1.0, 2.0]] * 2), np.array([[0.0, 2.0 - 1e-6, 2.0], [0.0, 1.0, 2.0]])
    for move in range(moves):
        logits = near if move < differing + ties else plain
        tally.add(logits, logits, legal, np.array([1 if move < differing else 2, 2]), nobody)
    assert tally.result().holds is holds


def test_shuffled_actions_keep_their_counts_and_lose_their_order(tmp_path):
    _, (history, *_) = play(job(), tmp_path, Summer())
    shuffled = parameters.shuffled_actions(history, 60, draw=0)
    pairs = list(zip(history.action[:60], history.explored[:60], strict=True))
    assert sorted(pairs) == sorted(zip(shuffled.action[:60], shuffled.explored[:60], strict=True))
    assert (shuffled.action[:60] != history.action[:60]).any()
    assert (shuffled.action[60:] == history.action[60:]).all()
    other = parameters.shuffled_actions(history, 60, draw=1)
    assert (other.action != shuffled.action).any()


def test_redrawn_and_shuffled_parameters_are_played_beside_the_submissions_own(tmp_path):
    benchmark = benchmarks.load("darkroom-v1")
    runs = train_submission.chosen_runs(benchmark, "multi", benchmarks.teacher_runs(benchmark))[:4]
    request = train_submission.TrainingRequest(
        "bc", benchmark, "multi", "small", settings={"updates": 4, "window_moves": 64}
    )
    train_submission.train(request, runs, tmp_path / "small")
    requested = rows.requested(str(tmp_path / "small"), tmp_path / "out", lanes=2)
    played = (interventions.REDRAWN[0], interventions.SHUFFLED[0], interventions.INTERVENTIONS["unprimed"])
    rows.score(requested, ["transfer"], applied=played)
    row = tmp_path / "out" / "darkroom-v1" / "quick" / "small"
    roles = {path.name for path in row.iterdir() if path.is_dir()}
    assert roles == {"start-new", "transfer", "parameters"} | {
        f"{role}@{name}" for role in ("start-new", "transfer") for name in ("redrawn-0", "shuffled-0")
    }  # it is not primed, so `unprimed` means nothing
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
    rows.score(requested, ["transfer"], applied=played)
    assert trained.stat().st_mtime_ns == before
    (scored,) = [one for one in scores.score_all(tmp_path / "out") if one.folder.name == "small"]
    assert list(scored.gains_under["transfer"]) == ["redrawn-0", "shuffled-0"]
    notes = cells.frame([scored]).iloc[0]["notes"]
    for name, gain in scored.gains_under["transfer"].items():
        assert f"gain in transfer with {name}: {gain.estimate:+.2f} points" in notes


def test_without_training_settings_there_are_no_shuffled_parameters(tmp_path):
    folder = tmp_path / "undeclared"
    shutil.copytree(ENTRIES / "darkroom-v1" / "bc", folder)
    declaration = files.read_json(folder / "submission.json")
    files.write_json(folder / "submission.json", {**declaration, "name": "undeclared", "training": None})
    row = rows.requested(str(folder), tmp_path / "out", lanes=2)
    item = work.WorkItem(row, work.PLAY, "start-new", 0, "shuffled-0")
    with pytest.raises(InputError, match=r"submission\.json has no `training`"):
        work.run(item, lambda progress: None)


def test_a_draw_of_shuffled_actions_retrains_one_checkpoint_where_there_are_enough(tmp_path):
    """Two have each draw; of four, each draw has another. Redrawn parameters cost nothing: all."""
    draws = [interventions.INTERVENTIONS[f"shuffled-{draw}"] for draw in range(3)]
    dev, first = rounds.DEV_ROUND, rounds.Round("1", salt="0" * 32)
    two, four = {"b": "1" * 64, "a": "2" * 64}, {name: name * 64 for name in "dbca"}
    assert [interventions.checkpoints_of(each, two, dev) for each in draws] == [["a", "b"]] * 3
    assert [interventions.checkpoints_of(each, four, first) for each in draws] == [["a"], ["b"], ["c"]]
    drawn = [interventions.checkpoints_of(each, four, dev) for each in draws]
    assert all(len(each) == 1 for each in drawn)
    assert len({name for (name,) in drawn}) == 3
    assert interventions.checkpoints_of_role("transfer@shuffled-2", four, "dev") == drawn[2]
    assert interventions.checkpoints_of_role("transfer@redrawn-2", four, "dev") == sorted(four)
    assert interventions.checkpoints_of_role("transfer", four, "a later round") == sorted(four)
    with pytest.raises(InputError, match="a later round"):
        interventions.checkpoints_of_role("transfer@shuffled-2", four, "a later round")


def test_names_do_not_decide_which_checkpoints_are_trained_anew_but_a_later_salt_does():
    """Renamed folders train the same weights; over salts, each of four weights is drawn about as often."""
    retrained = interventions.INTERVENTIONS["retrained-0"]
    identities = [letter * 64 for letter in "abcd"]
    counts = Counter()
    for salt in range(400):
        later = rounds.Round("8", salt=f"{salt:032x}")
        chosen = set()
        for names in ("abcd", "dcba"):
            checkpoints = dict(zip(names, identities, strict=True))
            (name,) = interventions.checkpoints_of(retrained, checkpoints, later)
            chosen.add(checkpoints[name])
        (identity,) = chosen
        counts[identity] += 1
    assert scipy.stats.chisquare([counts[each] for each in identities]).pvalue > 0.001


def test_a_draw_of_shuffled_actions_is_played_by_one_checkpoint_of_three(tmp_path):
    benchmark = benchmarks.load("darkroom-v1")
    runs = train_submission.chosen_runs(benchmark, "multi", benchmarks.teacher_runs(benchmark))[:4]
    settings = {"updates": 2, "window_moves": 40, "episode_stride": 3, "width": 8}
    request = train_submission.TrainingRequest(
        "bc", benchmark, "multi", "few", settings=settings, num_seeds=3
    )
    train_submission.train(request, runs, tmp_path / "few")
    requested = rows.requested(str(tmp_path / "few"), tmp_path / "out", lanes=2)
    rows.score(requested, ["transfer"], applied=interventions.SHUFFLED)
    row = tmp_path / "out" / "darkroom-v1" / "quick" / "few"
    trained = [path.name.removeprefix("shuffled-") for path in (row / "parameters").glob("*.safetensors")]
    draws, checkpoints = zip(*(name.split("-", 1) for name in trained), strict=True)
    assert sorted(draws) == ["0", "1", "2"]
    assert sorted(checkpoints) == [f"all-training-{k}.safetensors" for k in range(3)]
    (scored,) = [one for one in scores.score_all(tmp_path / "out") if one.folder.name == "few"]
    assert list(scored.gains_under["transfer"]) == ["shuffled-0", "shuffled-1", "shuffled-2"]
    assert not [one for one in verification.verify(tmp_path / "out") if one.failures]
