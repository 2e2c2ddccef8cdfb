"""Mutation tests of scoring: each break, a mistake that somebody might make, must fail a check.

A check compares with values worked out by hand, a teacher's file as read by pandas, or the protocol. It
passes on the code as it is, and must fail on the broken code.
"""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from support import windows
from torch import nn

from understudy.leaderboard import reference_runs, stored_rows, verification
from understudy.submissions import resolution, scoring
from understudy.suite import benchmarks, exploration, tasks
from understudy.suite.harness import frozenness, isolation, jobs, records, rollout
from understudy.suite.harness.requests import Request
from understudy.suite.harness.row_player import RowPlayer
from understudy.suite.histories import history_format
from understudy.suite.histories.frame_store import open_store
from understudy.suite.io import file_names
from understudy.suite.scoring import contrasts, gains, references, scored_runs
from understudy.suite.scoring.evidence import Evidence
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.rules import Rules
from understudy.suite.scoring.scored_runs import ScoredRun

BENCHMARK = benchmarks.load("darkroom-v1")
IMPROVEMENT = tasks.load("improvement")
BUDGET = BENCHMARK.budget("quick")
MOVES, BLOCK, EPISODE = 1_000, 50, 5
SPREAD = np.array([-0.4, 0.2, 0.6, -0.4])  # deviations of four units from their mean


def rules() -> Rules:
    """Return rules for runs of 20 blocks of ten episodes."""
    return Rules(100, MOVES, BLOCK, 1, BENCHMARK.thresholds, BENCHMARK.minima)


def run(unit, values, lane=0):
    """Return a run of 20 blocks in which each episode of block i scores `values[i]`, or a single value."""
    points = np.repeat(np.broadcast_to(np.asarray(values, float), 20), BLOCK)
    ended = np.arange(1, MOVES + 1) % EPISODE == 0
    return ScoredRun(unit, 0, lane, np.where(ended, points, 0).astype(np.float32), ended)


def units(values):
    return tuple(run(f"goal-{i:02d}/seed-0", value) for i, value in enumerate(values))


def evidence(runs, starts, claim="method", teacher_gain=10.0):
    reference_starts = units(5.0 + 0.1 * SPREAD)
    reference = units(5.0 + teacher_gain + SPREAD[::-1])
    return Evidence(claim, runs, starts, reference, reference_starts, watched_moves=100, skill_answer="yes")


# Checks of the intact code


def check_the_end_counts(tmp_path):
    """A player that is good only in the middle of its run has no gain."""
    peak = np.full(20, 5.0)
    peak[9] = 15.0
    found = IMPROVEMENT.verdict(evidence(units([peak + s for s in SPREAD]), units(5.0 + SPREAD)), rules())
    assert found.answer == "no"
    assert found.numbers[gains.GAIN].estimate == pytest.approx(0.0)


def check_unfinished_episodes(tmp_path):
    """Ten points over four ended episodes and an unfinished one are 10 / 4 points an episode."""
    reward = np.array([2, 0, 2, 0, 2, 0, 2, 0, 1, 1], np.float32)
    ended = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 0], bool)
    assert scored_runs.skill([ScoredRun("u", 0, 0, reward, ended)], 0, 10, minimum_ends=1).value == 10 / 4


def check_units(tmp_path):
    """Four teachers that differ much are four units, however many lanes their imitators play."""
    spread = np.array([-9.0, -3.0, 3.0, 9.0])
    ends = 12.0 + spread
    many = tuple(run(f"goal-{i:02d}/seed-0", end, lane) for i, end in enumerate(ends) for lane in range(8))
    found = IMPROVEMENT.verdict(evidence(many, units(5.0 + SPREAD)), rules())
    assert (found.n, found.answer) == (4, "undecided")


def read_by_pandas(folder):
    return pd.read_parquet(io.BytesIO((folder / "history.parquet").read_bytes()))


def check_the_references_first_move(tmp_path):
    """A continuation begins with the move after W, as pandas reads it from the teacher's file."""
    (one, *_) = reference_runs.StoredReferences(tmp_path, BENCHMARK, BUDGET).continuations(["goal-00"])
    folder = next(x.folder for x in benchmarks.teacher_runs(BENCHMARK) if x.name == "goal-00/seed-0")
    column = read_by_pandas(folder)["reward"].to_numpy()
    after_w = column[BENCHMARK.watched_moves :]
    assert np.array_equal(one.reward, after_w[: BUDGET.moves])


class RepeatsAction(nn.Module):
    """Records the actions that prime it, and repeats the previous action."""

    def __init__(self):
        super().__init__()
        self.primed_with = []

    def initial_state(self, batch_size):
        return {"age": torch.zeros(batch_size, dtype=torch.int64)}

    def step(self, timestep, state):
        return nn.functional.one_hot(timestep.previous_action, 5).float(), {"age": state["age"] + 1}

    def unroll(self, timesteps, state):
        self.primed_with.append(timesteps.previous_action[0].clone())
        B, T = timesteps.first.shape
        return torch.zeros(B, T, 5), {"age": state["age"] + T}


def check_priming(tmp_path):
    """A player is primed with the teacher's last watched moves, and with none after them."""
    (row,) = scoring.rows_of([Request("transformer", "darkroom-v1", "quick", tmp_path)])
    player, kept = RepeatsAction(), 100
    run = row.runs_by_name["goal-00/seed-0"]
    (planned,) = row.jobs("continue")
    planned = replace(planned, job=replace(planned.job, priming_moves=kept))
    start_state = RowPlayer(row, lambda progress: None)._primed(player, run, planned)
    action = read_by_pandas(run.folder)["action"].to_numpy()
    w = BENCHMARK.watched_moves
    primed_with = torch.cat(player.primed_with).numpy()
    assert (primed_with[1:] == action[w - kept : w - 1]).all()
    assert start_state.previous_action.tolist() == [action[w - 1]]


def check_the_normalised_gain(tmp_path):
    """The normalised gain is the ratio of two means, 3 / 10; the mean of the four ratios is 0.39."""
    gain, teacher_gain = np.full(4, 3.0), np.array([4.0, 8.0, 12.0, 16.0])
    starts = units(np.full(4, 5.0))
    case = Evidence(
        "method",
        units(5.0 + gain),
        starts,
        units(5.0 + teacher_gain),
        starts,
        watched_moves=100,
        skill_answer="yes",
    )
    found = IMPROVEMENT.verdict(case, rules())
    assert found.numbers[gains.TEACHER_GAIN].estimate == pytest.approx(10.0)
    assert found.numbers[gains.NORMALISED_GAIN].estimate == pytest.approx(0.3)


def short_row(tmp_path):
    """Play the start runs of the random player, and return the row's folder."""
    scoring.score(scoring.rows_of([Request("random", "darkroom-v1", "quick", tmp_path, lanes=2)]), ["skill"])
    return stored_rows.RowFolder(
        tmp_path / "darkroom-v1" / "quick" / "random", "darkroom-v1", "quick", "random"
    )


def check_exploration(tmp_path):
    """The replaced moves, and the actions in their place, follow from the run's seed."""
    row = short_row(tmp_path)
    (finding,) = verification.verify(tmp_path, processes=1)[-1:]
    assert finding.failures == ()
    explored = [history_format.read(p / file_names.HISTORY).explored for p in stored_rows.run_folders(row)]
    assert abs(np.concatenate(explored).mean() - BENCHMARK.exploration) < 0.02


class Leaky(RepeatsAction):
    """Chooses by the sum over all rows of its batch."""

    def step(self, timestep, state):
        leaked = int((timestep.previous_action + 7 * timestep.observation).sum()) % 5
        return nn.functional.one_hot(torch.full_like(timestep.previous_action, leaked), 5).float(), {
            "age": state["age"] + 1
        }


def _job(player, lanes=3, moves=60):
    entry = resolution.resolve("random", BENCHMARK, benchmarks.teacher_runs(BENCHMARK))
    (planned,) = jobs.plan(entry, BENCHMARK, "quick", "continue", lanes)
    return replace(planned.job, moves=moves, decoding="greedy", segment_moves=30)


def check_isolation(tmp_path):
    """Information that leaks across the batch is detected, and only then."""
    for player, isolated in ((RepeatsAction(), True), (Leaky(), False)):
        job, folder = _job(player), tmp_path / type(player).__name__
        start_state = rollout.empty_start_state(player, 3)
        paths = rollout.play(job, player, lambda start_state=start_state: start_state, folder)
        histories = [history_format.read(path / file_names.HISTORY) for path in paths]
        found = isolation.first_difference(job, player, start_state, histories, windows.of(job))
        assert (found is None) == isolated


class SecretLearner(RepeatsAction):
    """Learns in a buffer although it is declared frozen."""

    def __init__(self):
        super().__init__()
        self.register_buffer("learned", torch.zeros(1))

    def step(self, timestep, state):
        self.learned += timestep.previous_reward.sum() + 1
        return super().step(timestep, state)


def check_frozenness(tmp_path):
    """A row whose weights moved in play is on the learning track, whatever it declares."""
    for player, track in ((RepeatsAction(), "frozen"), (SecretLearner(), "learning")):
        row = tmp_path / type(player).__name__ / "darkroom-v1" / "quick" / "player"
        rollout.play(
            _job(player),
            player,
            lambda p=player: rollout.empty_start_state(p, 3),
            row / "continue" / "control",
        )
        folder = stored_rows.RowFolder(row, "darkroom-v1", "quick", "player")
        assert (
            "learning"
            if stored_rows.weights_moved(map(records.read, stored_rows.run_folders(folder)))
            else "frozen"
        ) == track


# Breaks


def best_block(monkeypatch):
    def best(played, moves, end_moves, minimum_ends):
        return max(scored_runs.blocks(played, moves, minimum_ends), key=lambda block: block.value)

    monkeypatch.setattr(contrasts, "end_skill", best)


def count_unfinished(monkeypatch):
    original = scored_runs.skill

    def counting(played, begin, end, minimum_ends):
        found = original(played, begin, end, minimum_ends)
        unfinished = sum(not run.ended[end - 1] for run in played)
        ends = found.ends + unfinished
        return scored_runs.WindowSkill(
            found.points, ends, found.points / max(ends, minimum_ends), ends < minimum_ends
        )

    monkeypatch.setattr(scored_runs, "skill", counting)


def lanes_as_teachers(monkeypatch):
    monkeypatch.setattr(contrasts, "_unit_name", lambda run, claim, role: f"{run.unit} lane {run.lane}")
    original = gains.measure

    def with_equal_units(case, given, reference):
        """Repeat starts and references for every lane, so that all units are paired."""
        names = ("starts", "reference_runs", "reference_starts")
        repeated = {
            name: tuple(replace(one, lane=lane) for one in getattr(case, name) for lane in range(8))
            for name in names
        }
        case = replace(case, **repeated)
        return original(case, given, references.continuations(case, given))

    monkeypatch.setattr(gains, "measure", with_equal_units)


def shift_the_reference(monkeypatch):
    original = reference_runs.StoredReferences._runs
    block = BUDGET.moves // 20
    monkeypatch.setattr(
        reference_runs.StoredReferences,
        "_runs",
        lambda self, chosen, start, *moves: original(self, chosen, start + block, *moves),
    )


def prime_with_the_continuation(monkeypatch):
    original = rollout.primed_start_state

    def later(imitator, history, store, start, stop, *names):
        length = stop - start
        after = open_store(history, stop, stop + length)
        return original(imitator, history, after, stop, stop + length, *names)

    monkeypatch.setattr(rollout, "primed_start_state", later)


def average_ratios(monkeypatch):
    def averaged(measured, mean_teacher_gain, confidence):
        gain = np.subtract(measured.end.values, measured.start.values)
        teacher_gain = np.subtract(measured.reference.end.values, measured.reference.start.values)
        return Interval(float(np.mean(gain / teacher_gain)), None, None, confidence)

    monkeypatch.setattr(gains, "normalised_gain", averaged)


def leave_exploration_to_the_player(monkeypatch):
    def obey(self, move, chosen, epsilon):
        return chosen.astype(np.int64), np.zeros(len(chosen), bool)

    monkeypatch.setattr(exploration.Explorer, "execute", obey)


def let_lanes_leak(monkeypatch):
    """Give every row its own log in one order, and no lane a batch alone, which hides every leak."""
    monkeypatch.setattr(isolation, "_reordered", lambda salt, num_lanes: list(range(num_lanes)))
    monkeypatch.setattr(isolation, "WINDOWS_ALONE", 0)


def trust_the_declaration(monkeypatch):
    monkeypatch.setattr(frozenness, "parameters_sha256", lambda module: "0" * 64)


PAIRS = {
    "best block instead of the end": (best_block, check_the_end_counts),
    "unfinished episodes counted": (count_unfinished, check_unfinished_episodes),
    "lanes counted as teachers": (lanes_as_teachers, check_units),
    "reference shifted by one block": (shift_the_reference, check_the_references_first_move),
    "priming with the continuation": (prime_with_the_continuation, check_priming),
    "ratios averaged": (average_ratios, check_the_normalised_gain),
    "exploration left to the player": (leave_exploration_to_the_player, check_exploration),
    "information leaking across the batch": (let_lanes_leak, check_isolation),
    "a learner passed off as frozen": (trust_the_declaration, check_frozenness),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_break_fails_its_check(name, tmp_path, monkeypatch):
    breaks, check = PAIRS[name]
    check(tmp_path / "intact")
    breaks(monkeypatch)
    with pytest.raises(AssertionError):
        check(tmp_path / "broken")
