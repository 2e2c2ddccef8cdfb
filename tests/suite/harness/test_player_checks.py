"""Player checks: an answer of another form ends the row, names the move, and leaves no run behind."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from support import darkroom_jobs, windows
from support.faulty_players import AT, FAULTS, Counter, Wrapped, at, number, of_seen
from torch import nn

from understudy.suite import benchmarks
from understudy.suite.errors import InputError
from understudy.suite.harness import isolation, recheck, rollout, states
from understudy.suite.harness.records import RECORD
from understudy.suite.histories.frame_store import open_store
from understudy.suite.io import files

LANES = len(darkroom_jobs.GOALS)


def refused(player, folder, job, **options):
    """Return the message with which a player's job ends; nothing of it may be left."""
    with pytest.raises(InputError) as caught:
        darkroom_jobs.play(player, folder, job, **options)
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("fault", FAULTS)
def test_an_answer_of_another_form_ends_the_row_and_names_the_move(fault, tmp_path):
    change, expected = FAULTS[fault]
    faulty = Counter(at(AT, change))
    message = refused(faulty, tmp_path, darkroom_jobs.job())
    assert re.search(expected, message), message
    assert message.startswith("spy/seed-0, ")
    assert f", move {AT}: expected " in message
    assert refused(faulty, tmp_path, darkroom_jobs.job()) == message
    histories = darkroom_jobs.play(Counter(), tmp_path, darkroom_jobs.job())  # an honest one, in its place
    assert [history.num_moves for history in histories] == [100] * LANES


def test_a_late_fault_is_noticed_and_one_that_never_comes_is_not(tmp_path):
    late = Counter(at(5_000, number(torch.nan)))
    assert ", move 5,000: " in refused(late, tmp_path, darkroom_jobs.job(moves=5_001))
    assert len(darkroom_jobs.play(late, tmp_path, darkroom_jobs.job(moves=5_000))) == LANES


def test_logits_of_any_finite_size_and_states_of_any_value_are_played(tmp_path):
    def extreme(logits, state, move):
        logits[:, 0], logits[:, 1] = -3e38, 3e38
        return logits, {"seen": state["seen"] * torch.nan, "age": state["age"]}  # in another order, too

    histories = darkroom_jobs.play(Counter(extreme), tmp_path, darkroom_jobs.job())
    assert all((history.action[~history.explored] == 1).all() for history in histories)


def test_a_fault_after_a_resumption_leaves_nothing_behind(tmp_path):
    def interrupt(done, total):
        if done == 20:
            raise KeyboardInterrupt

    faulty = Counter(at(AT, number(torch.nan)))
    with pytest.raises(KeyboardInterrupt):
        darkroom_jobs.play(faulty, tmp_path, darkroom_jobs.job(), interrupt)
    assert (tmp_path / rollout.PROGRESS).exists()
    assert f", move {AT}: " in refused(faulty, tmp_path, darkroom_jobs.job())


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ({"age": torch.zeros(LANES, dtype=torch.int64, device="meta")}, r"'age'; found int64 \[3\] on meta"),
        ({"age": torch.zeros(LANES).as_subclass(Wrapped)}, "of the class Wrapped"),
        ({"age": nn.Parameter(torch.zeros(LANES))}, "of the class Parameter with a gradient"),
        ({"age": torch.zeros(())}, r"found float32 \[\] on cpu"),
        ({"age": torch.zeros(1, LANES)}, r"found float32 \[1, 3\] on cpu"),
        ({"age": [0] * LANES}, "found a list"),
        ({7: torch.zeros(LANES)}, r"under the name 7"),
        ([torch.zeros(LANES)], "a dict of tensors; found a list"),
    ],
)
def test_a_state_that_begins_in_another_form_is_refused(state, found, tmp_path):
    faulty = Counter()
    faulty.initial_state = lambda batch_size: state
    message = refused(faulty, tmp_path, darkroom_jobs.job())
    assert re.search(f"all 3 lanes, before the first move: expected a state with .*{found}", message), message


@pytest.fixture(scope="module")
def teacher():
    """A run of 1,300 watched moves."""
    benchmark = benchmarks.load("darkroom-v1")
    return benchmarks.read(benchmarks.teacher_runs(benchmark)[0])


def primed(player, history):
    store = open_store(history, 100, 700)
    return rollout.primed_start_state(player, history, store, 100, 700, "spy/seed-0", "goal-40/seed-0")


@pytest.mark.parametrize(
    ("change", "move", "found"),
    [
        (number(torch.nan, lane=0), 300, "nan for action 3"),
        (number(-torch.inf, lane=0), 0, "-inf for action 3"),
        (of_seen(torch.Tensor.double), 599, r"float64 \[1, 4\] on cpu"),
    ],
)
def test_priming_is_checked_too_and_its_moves_are_named_as_such(change, move, found, teacher):
    assert primed(Counter(), teacher).state["age"].tolist() == [600]
    with pytest.raises(
        InputError, match=f"^spy/seed-0, primed by goal-40/seed-0, priming move {move}: .*{found}"
    ):
        primed(Counter(at(move, change)), teacher)


def test_repeating_a_run_is_checked_too(tmp_path):
    job, honest = darkroom_jobs.job(), Counter()
    histories = darkroom_jobs.play(honest, tmp_path, job)
    start_state = rollout.empty_start_state(honest, LANES)
    assert recheck.recheck(job, honest, start_state, histories).holds
    assert isolation.first_difference(job, honest, start_state, histories, windows.of(job)) is None
    faulty = Counter(at(AT, number(torch.nan)))
    named = rf"^spy/seed-0, row 2 \(darkroom/goal-14\), repeated move {AT}: .*found nan"
    with pytest.raises(InputError, match=named):
        recheck.recheck(job, faulty, start_state, histories)
    with pytest.raises(InputError, match=f"row 2 .*repeated move {AT}: "):
        isolation.first_difference(job, faulty, start_state, histories, windows.of(job))


def sizes(folder):
    return [files.read_json(folder / f"lane-{lane}" / RECORD)["state_bytes"] for lane in range(LANES)]


def test_the_largest_state_of_a_run_is_recorded_with_the_memory_behind_it(tmp_path):
    """A view of the form of the state can keep a large storage alive: at one move, 3 x 1,000 numbers."""
    own = 8 + 4 * 4  # bytes of a lane: an int64 and four float32
    hiding = Counter(at(AT, of_seen(lambda seen: torch.zeros(LANES, 1000)[:, :4])))
    darkroom_jobs.play(Counter(), tmp_path / "plain", darkroom_jobs.job())
    assert sizes(tmp_path / "plain") == [{"start": own, "largest": own}] * LANES
    darkroom_jobs.play(hiding, tmp_path / "hiding", darkroom_jobs.job())
    assert sizes(tmp_path / "hiding") == [{"start": own, "largest": 8 + 4 * 1000}] * LANES

    def interrupt(done, total):
        if done == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        darkroom_jobs.play(hiding, tmp_path / "stopped", darkroom_jobs.job(), interrupt)
    darkroom_jobs.play(hiding, tmp_path / "stopped", darkroom_jobs.job())
    assert sizes(tmp_path / "stopped") == sizes(tmp_path / "hiding")


def test_the_size_of_a_state_counts_each_storage_once_and_no_tensor_for_less_than_it_is():
    def large():
        return torch.zeros(1000, dtype=torch.float64)

    shared = large()
    for state, expected in (
        ({}, 0),
        ({"a": torch.zeros(3, 4)}, 48),
        ({"a": torch.zeros(3, 4), "b": torch.zeros(3, dtype=torch.bool)}, 51),
        ({"a": large()[:3]}, 8000),
        ({"a": large()[:3], "b": large()[:3]}, 16000),
        ({"a": shared[:3], "b": shared[3:6], "c": shared[:3].view(torch.int64)}, 8000),
        ({"a": torch.zeros(1).expand(5000)}, 20000),  # saved and copied, it takes so much
        ({"a": shared.expand(2, 1000)}, 16000),
        ({"a": torch.from_numpy(np.zeros((3, 100), np.uint8))[:, :1]}, 300),
    ):
        assert states.size_bytes(state) == expected
