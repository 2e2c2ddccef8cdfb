"""Ranking: which rows are ranked, in which order, and the ranks and groups of stored rows."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats
from support import rows

from understudy.leaderboard import ranking, scores
from understudy.leaderboard.ranking import Rank
from understudy.suite.scoring import verdicts
from understudy.suite.scoring.comparisons import Comparable
from understudy.suite.scoring.contrasts import METHOD, Sample
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.verdicts import Verdict

UNITS = tuple(f"goal-{i:02}" for i in range(8))
NUMBER = {"skill": "imitator", "transfer": "normalised gain"}


def scored(name, values, task="skill", row=None, reason=None, marks=(), answer="no", **fields):
    """Return a made-up row whose number in a task has these values, one a unit."""
    sample = Sample(UNITS[: len(values)], tuple(map(float, values)))
    shown = {NUMBER[task]: Interval(float(np.mean(values)), None, None, 0.95)}
    verdict = Verdict(task, METHOD, answer, reason, marks=marks, numbers=shown)
    comparable = {task: Comparable(METHOD, (sample,))}
    return rows.scored(Path("results"), name, [verdict], row=row, comparable=comparable, **fields)


LUCK = np.random.default_rng(0).normal(0.0, 3.0, 8)
NOISE = np.random.default_rng(1).normal(0.0, 0.5, (5, 8))


def test_rows_that_are_told_apart_have_ranks_of_their_own():
    found = ranking.ranks([scored("low", LUCK), scored("high", LUCK + 9.0 + NOISE[0])], "skill")
    assert list(found.items()) == [("high", Rank(1, 1, "a")), ("low", Rank(2, 2, "b"))]
    assert [str(rank) for rank in found.values()] == ["1", "2"]


def test_rows_that_are_not_told_apart_share_their_ranks_and_a_letter():
    made = [scored(f"row-{i}", LUCK + NOISE[i]) for i in range(3)]
    found = ranking.ranks([*made, scored("last", LUCK - 9.0)], "skill")
    assert {str(found[f"row-{i}"]) for i in range(3)} == {"1-3"}
    assert found["last"] == Rank(4, 4, "b")
    assert {found[f"row-{i}"].group for i in range(3)} == {"a"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"row": {"control": True}}, "a control"),
        ({"row": {"round": "dev"}}, "self-reported"),
        ({"row": {"other_teacher_data": True}}, "compared with other teacher data than the benchmark's"),
        ({"rechecked": False}, "recheck failed, as reported: its weights choose other moves"),
        ({"marks": (verdicts.PROVISIONAL,)}, "the reference is provisional"),
        ({"reason": verdicts.REWARD_FREE, "answer": "undecided"}, verdicts.REWARD_FREE),
        ({"reason": verdicts.NOT_ISOLATED, "answer": "undecided"}, verdicts.NOT_ISOLATED),
    ],
)
def test_what_may_not_be_ranked_is_absent_and_changes_no_rank(changes, reason):
    sound = [scored("high", LUCK + 9.0 + NOISE[0]), scored("low", LUCK)]
    other = scored("other", LUCK + 5.0 + NOISE[1], **changes)
    assert ranking.not_ranked_because(other, "skill") == reason
    assert ranking.ranks([*sound, other], "skill") == ranking.ranks(sound, "skill")
    assert ranking.not_ranked_because(sound[0], "skill") is None


def test_a_row_without_the_tasks_number_is_absent():
    unmeasured = rows.scored(
        Path("results"), "none", [Verdict("skill", METHOD, None, verdicts.NOT_PLAYED)], comparable={}
    )
    assert ranking.ranks([unmeasured, scored("one", LUCK)], "skill") == {"one": Rank(1, 1, "a")}
    assert ranking.not_ranked_because(unmeasured, "skill") == verdicts.NOT_PLAYED
    assert ranking.not_ranked_because(unmeasured, "transfer") == "not asked at this budget"
    assert ranking.ranks([unmeasured], "skill") == {}
    assert ranking.ranks([], "skill") == {}


def test_learning_rows_are_ranked_by_themselves():
    made = [scored("frozen", LUCK), scored("learning", LUCK + 9.0, track="learning")]
    assert set(ranking.ranks(made, "skill").values()) == {Rank(1, 1, "a")}


def test_rows_of_two_budgets_and_two_rows_of_one_name_are_refused():
    with pytest.raises(ValueError, match="one benchmark and budget"):
        ranking.ranks([scored("one", LUCK), scored("two", LUCK, budget="tenth")], "skill")
    with pytest.raises(ValueError, match="distinct names"):
        ranking.ranks([scored("one", LUCK), scored("one", LUCK)], "skill")


def test_ranks_do_not_depend_on_the_order_of_rows():
    made = [scored(f"row-{i}", LUCK + 0.6 * i + NOISE[i]) for i in range(5)]
    expected = ranking.ranks(made, "skill")
    for order in itertools.permutations(made):
        assert ranking.ranks(order, "skill") == expected


def test_a_rank_is_checked():
    for wrong in ((0, 1, "a"), (2, 1, "a"), (1, 1, "")):
        with pytest.raises(ValueError, match="expected 1 <= low <= high"):
            Rank(*wrong)


def test_the_ranks_of_stored_rows_are_those_of_scipys_intervals(stored):
    names = ("bc", "bc-time", "transformer")
    for task in ("skill", "improvement", "transfer"):
        gained = {name: stored[name].comparable[task] for name in names}
        found = ranking.ranks([stored[name] for name in names], task)
        assert set(found) == set(names)
        better = dict.fromkeys(names, 0)
        for one, other in itertools.permutations(names, 2):
            samples = [np.array(gained[name].samples[0].values) for name in (one, other)]
            interval = scipy_stats.ttest_rel(*samples).confidence_interval(1 - 0.05 / 3)
            better[other] += interval.low > 0
        assert {name: found[name].low for name in names} == {name: 1 + better[name] for name in names}


def test_the_units_of_stored_rows_have_the_numbers_of_their_verdicts(stored):
    keys = {"skill": "imitator", "improvement": "gain", "transfer": "gain"}
    for one in stored.values():
        for task, comparable in one.comparable.items():
            shown = one.verdict(task).numbers[keys[task]]
            assert comparable.number == pytest.approx(shown.estimate)
            assert comparable.claim == one.verdict(task).claim
    assert set(stored["random"].comparable) == {"skill", "improvement", "transfer"}
    assert set(stored["dqn-scratch"].comparable) == {"transfer"}


@pytest.fixture(scope="module")
def stored():
    """The package's darkroom rows at `quick`, by name."""
    results = Path(scores.__file__).parent / "results"
    scorer = scores.RowScorer(results)
    chosen = ("bc", "bc-time", "transformer", "random", "dqn-scratch")
    folders = [
        scores.stored_rows.RowFolder(results / "darkroom-v1/quick" / n, "darkroom-v1", "quick", n)
        for n in chosen
    ]
    return {folder.name: scorer.score(folder) for folder in folders}
