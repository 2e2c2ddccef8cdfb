"""Scoring broken on purpose, one way at a time: for each break there is a check that it fails.

A check says what is right from hand-worked numbers, from pandas reading a teacher's file, or from the
protocol's own words. It passes on the code as it is, and must not pass once the code is broken.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from understudy.leaderboard import references, stored, verify
from understudy.submissions import plan as plans
from understudy.submissions import requests, scoring
from understudy.submissions.entrants import resolve
from understudy.submissions.scorer import Scorer
from understudy.suite import (
    benchmarks,
    exploration,
    frozenness,
    harness,
    isolation,
    records,
    tasks,
)
from understudy.suite.histories import format as history_format
from understudy.suite.histories.frames import frames
from understudy.suite.judging import contrasts, gains, lives, rulers
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.lives import Life
from understudy.suite.judging.rules import Rules

BENCHMARK = benchmarks.load("darkroom-v1")
IMPROVEMENT = tasks.load("improvement")
BUDGET = BENCHMARK.budget("quick")
MOVES, BLOCK, EPISODE = 1_000, 50, 5
SPREAD = np.array([-0.4, 0.2, 0.6, -0.4])  # of four units; sums to 0


def rules() -> Rules:
    """Lives of 20 blocks of ten episodes."""
    return Rules(100, MOVES, BLOCK, 1, BENCHMARK.thresholds, BENCHMARK.minima)


def life(unit, values, lane=0):
    """A life of 20 blocks; every episode of block i scores `values[i]`, or all of them the one value."""
    points = np.repeat(np.broadcast_to(np.asarray(values, float), 20), BLOCK)
    ended = np.arange(1, MOVES + 1) % EPISODE == 0
    return Life(unit, 0, lane, np.where(ended, points, 0).astype(np.float32), ended)


def units(values):
    return tuple(life(f"goal-{i:02d}/seed-0", value) for i, value in enumerate(values))


def evidence(own_lives, starts, claim="method", gain=10.0):
    ruler_starts = units(5.0 + 0.1 * SPREAD)
    ruler = units(5.0 + gain + SPREAD[::-1])
    return Evidence(claim, own_lives, starts, ruler, ruler_starts, watched_moves=100, skill_answer="yes")


# Checks: each says what is right


def check_the_end_counts(tmp_path):
    """A player that was good in the middle of its life and no more at its end gained nothing."""
    peak = np.full(20, 5.0)
    peak[9] = 15.0
    found = IMPROVEMENT.verdict(evidence(units([peak + s for s in SPREAD]), units(5.0 + SPREAD)), rules())
    assert found.answer == "no"
    assert found.numbers["own"].estimate == pytest.approx(0.0)


def check_unfinished_episodes(tmp_path):
    """Ten points over four ends and an episode that goes on: a denominator of five, four ends being few."""
    reward = np.array([2, 0, 2, 0, 2, 0, 2, 0, 1, 1], np.float32)
    ended = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 0], bool)
    assert lives.skill([Life("u", 0, 0, reward, ended)], 0, 10, minimum_ends=1).value == 10 / 4


def check_units(tmp_path):
    """Four teachers that differ much are four units, however many lanes each one's imitator plays."""
    spread = np.array([-9.0, -3.0, 3.0, 9.0])
    ends = 12.0 + spread
    many = tuple(life(f"goal-{i:02d}/seed-0", end, lane) for i, end in enumerate(ends) for lane in range(8))
    found = IMPROVEMENT.verdict(evidence(many, units(5.0 + SPREAD)), rules())
    assert (found.n, found.answer) == (4, "undecided")


def check_the_rulers_first_move(tmp_path):
    """A continuation begins with the move after W, as pandas reads it from the teacher's file."""
    (one, *_) = references.References(tmp_path, BENCHMARK, BUDGET).continuations(["goal-00"])
    folder = next(x.folder for x in benchmarks.teacher_lives(BENCHMARK) if x.name == "goal-00/seed-0")
    column = pd.read_parquet(folder / "history.parquet")["reward"].to_numpy()
    assert np.array_equal(one.reward, column[BENCHMARK.watched_moves :])


class Listener(nn.Module):
    """Remembers what it was primed with, and chooses the action that it heard last."""

    def __init__(self):
        super().__init__()
        self.heard = []

    def initial_state(self, batch_size):
        return {"age": torch.zeros(batch_size, dtype=torch.int64)}

    def step(self, timestep, state):
        return nn.functional.one_hot(timestep.previous_action, 5).float(), {"age": state["age"] + 1}

    def unroll(self, timesteps, state):
        self.heard.append(timesteps.previous_action[0].clone())
        B, T = timesteps.first.shape
        return torch.zeros(B, T, 5), {"age": state["age"] + T}


def check_priming(tmp_path):
    """What primes a player are the teacher's last K watched moves, and none that came after."""
    request = requests.Request("transformer", "darkroom-v1", "quick", tmp_path)
    scorer = Scorer(request, lambda progress: None)
    listener, kept = Listener(), 100
    life = scorer.lives["goal-00/seed-0"]
    outset = scorer._primed(listener, life, kept, "last")
    action = pd.read_parquet(life.folder / "history.parquet")["action"].to_numpy()
    w = BENCHMARK.watched_moves
    heard = torch.cat(listener.heard).numpy()
    assert (heard[1:] == action[w - kept : w - 1]).all()
    assert outset.previous_action.tolist() == [action[w - 1]]


def check_the_share(tmp_path):
    """f is the ratio of two means: 3 / 10 here, where the mean of the four ratios is 0.39."""
    owns, gained = np.array([3.0, 3.0, 3.0, 3.0]), np.array([4.0, 8.0, 12.0, 16.0])
    starts = units(np.full(4, 5.0))
    case = Evidence(
        "method",
        units(5.0 + owns),
        starts,
        units(5.0 + gained),
        starts,
        watched_moves=100,
        skill_answer="yes",
    )
    found = IMPROVEMENT.verdict(case, rules())
    assert found.numbers["gain"].estimate == pytest.approx(10.0)
    assert found.numbers["f"].estimate == pytest.approx(0.3)


def short_row(tmp_path):
    """Play the start lives of the random player for real, and return the row's folder."""
    scoring.score([requests.Request("random", "darkroom-v1", "quick", tmp_path, lanes=2)], tasks=["skill"])
    return stored.RowFolder(tmp_path / "darkroom-v1" / "quick" / "random", "darkroom-v1", "quick", "random")


def check_exploration(tmp_path):
    """Every replaced move, and the action in its place, follows from the life's seed."""
    row = short_row(tmp_path)
    (finding,) = verify.verify(tmp_path, processes=1)[-1:]
    assert finding.failures == ()
    explored = [history_format.read(p / records.HISTORY).explored for p in stored.life_folders(row)]
    assert abs(np.concatenate(explored).mean() - BENCHMARK.exploration) < 0.02


class Whisperer(Listener):
    """Chooses by what all rows of its batch were told."""

    def step(self, timestep, state):
        heard = int((timestep.previous_action + 7 * timestep.observation).sum()) % 5
        return nn.functional.one_hot(torch.full_like(timestep.previous_action, heard), 5).float(), {
            "age": state["age"] + 1
        }


def _job(player, lanes=3, moves=60):
    entrant = resolve("random", "darkroom-v1")
    lives_here = benchmarks.teacher_lives(BENCHMARK)
    (planned,) = plans.plan(entrant, BENCHMARK, "quick", "continue", lives_here, lanes)
    return replace(planned.job, moves=moves, decoding="greedy", segment_moves=30)


def check_isolation(tmp_path):
    """A player that hears its neighbours is told from one that doesn't."""
    for player, alone in ((Listener(), True), (Whisperer(), False)):
        job, folder = _job(player), tmp_path / type(player).__name__
        outset = harness.empty_outset(player, 3)
        paths = harness.play(job, player, lambda outset=outset: outset, folder)
        histories = [history_format.read(path / records.HISTORY) for path in paths]
        assert (isolation.first_difference(job, player, outset, histories, 0) is None) == alone


class Secretive(Listener):
    """Learns in a buffer, and calls itself frozen."""

    def __init__(self):
        super().__init__()
        self.register_buffer("learned", torch.zeros(1))

    def step(self, timestep, state):
        self.learned += timestep.previous_reward.sum() + 1
        return super().step(timestep, state)


def check_frozenness(tmp_path):
    """A row whose weights moved while it played stands with the learners, whatever it declared."""
    for player, track in ((Listener(), "frozen"), (Secretive(), "learning")):
        row = tmp_path / type(player).__name__ / "darkroom-v1" / "quick" / "player"
        harness.play(
            _job(player), player, lambda p=player: harness.empty_outset(p, 3), row / "continue" / "control"
        )
        folder = stored.RowFolder(row, "darkroom-v1", "quick", "player")
        assert ("learning" if stored.weights_moved(folder) else "frozen") == track


# Breaks: each does what somebody might do by mistake


def best_block(monkeypatch):
    def best(played, moves, end_moves, minimum_ends):
        return max(lives.blocks(played, moves, minimum_ends), key=lambda block: block.value)

    monkeypatch.setattr(contrasts, "end_skill", best)


def count_unfinished(monkeypatch):
    original = lives.skill

    def counting(played, begin, end, minimum_ends):
        found = original(played, begin, end, minimum_ends)
        unfinished = sum(not life.ended[end - 1] for life in played)
        ends = found.ends + unfinished
        return lives.Skill(found.points, ends, found.points / max(ends, minimum_ends), ends < minimum_ends)

    monkeypatch.setattr(lives, "skill", counting)


def lanes_as_teachers(monkeypatch):
    monkeypatch.setattr(contrasts, "_unit_name", lambda life, claim, role: f"{life.unit} lane {life.lane}")
    original = gains.measure

    def alike(case, given, ruler):  # starts and ruler repeated for every lane, so that all units are paired
        repeated = [replace(one, lane=lane) for one in (*case.starts, *case.ruler_lives) for lane in range(8)]
        starts, ruling = repeated[: 8 * len(case.starts)], repeated[8 * len(case.starts) :]
        at_w = [replace(one, lane=lane) for one in case.ruler_starts for lane in range(8)]
        case = replace(case, starts=tuple(starts), ruler_lives=tuple(ruling), ruler_starts=tuple(at_w))
        return original(case, given, rulers.continuations(case, given))

    monkeypatch.setattr(gains, "measure", alike)


def shift_the_ruler(monkeypatch):
    original = references.References._lives
    block = BUDGET.moves // 20
    monkeypatch.setattr(
        references.References, "_lives", lambda self, chosen, start: original(self, chosen, start + block)
    )


def prime_with_the_continuation(monkeypatch):
    original = harness.primed_outset

    def later(imitator, history, store, start, stop):
        length = stop - start
        return original(imitator, history, frames(history, stop, stop + length), stop, stop + length)

    monkeypatch.setattr(harness, "primed_outset", later)


def average_ratios(monkeypatch):
    def averaged(found, gain, confidence):
        own = np.subtract(found.end.values, found.start.values)
        gained = np.subtract(found.ruler.end.values, found.ruler.start.values)
        return contrasts.stats.Interval(float(np.mean(own / gained)), None, None, confidence)

    monkeypatch.setattr(gains, "share_of_gain", averaged)


def leave_exploration_to_the_player(monkeypatch):
    def obey(self, move, chosen, epsilon):
        return chosen.astype(np.int64), np.zeros(len(chosen), bool)

    monkeypatch.setattr(exploration.Explorer, "execute", obey)


def let_lanes_leak(monkeypatch):
    """Feed every row its own log, so that no leak can show."""
    monkeypatch.setattr(isolation, "fed_lanes", lambda num_lanes, lane: list(range(num_lanes)))


def trust_the_declaration(monkeypatch):
    monkeypatch.setattr(frozenness, "parameters_sha256", lambda module: "0" * 64)


PAIRS = {
    "best block instead of the end": (best_block, check_the_end_counts),
    "unfinished episodes counted": (count_unfinished, check_unfinished_episodes),
    "lanes taken for teachers": (lanes_as_teachers, check_units),
    "ruler shifted by one block": (shift_the_ruler, check_the_rulers_first_move),
    "priming with the continuation": (prime_with_the_continuation, check_priming),
    "a ratio averaged": (average_ratios, check_the_share),
    "exploration left to the player": (leave_exploration_to_the_player, check_exploration),
    "memory leaking between lanes": (let_lanes_leak, check_isolation),
    "a learner passed off as frozen": (trust_the_declaration, check_frozenness),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_break_is_noticed(name, tmp_path, monkeypatch):
    breaks, check = PAIRS[name]
    check(tmp_path / "whole")
    breaks(monkeypatch)
    with pytest.raises(AssertionError):
        check(tmp_path / "broken")
