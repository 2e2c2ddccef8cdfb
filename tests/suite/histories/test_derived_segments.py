"""The segments that follow from a run's moves: worked by hand, and against a slow walk along the run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.suite.histories import derived_segments
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.histories.history_format import Header, History, Segment


def ends(n: int, *moves: int) -> np.ndarray:
    """Return bool [n], true at the moves that end an episode."""
    found = np.zeros(n, bool)
    found[list(moves)] = True
    return found


@pytest.mark.parametrize(
    ("ended", "rule", "expected"),
    [
        (ends(0), SegmentRule(10), []),
        (ends(1), SegmentRule(1), [(0, 1)]),
        (ends(25), SegmentRule(10), [(0, 25)]),  # one episode, longer than two boundaries
        (ends(25, 9), SegmentRule(10), [(0, 10), (10, 15)]),  # an episode begins at the boundary
        (ends(25, 8), SegmentRule(10), [(0, 25)]),  # one begins just before it, none after
        (ends(25, 8, 10), SegmentRule(10), [(0, 11), (11, 14)]),  # and one just after
        (ends(25, 10, 18), SegmentRule(10), [(0, 11), (11, 14)]),  # at 19, before the next boundary at 20
        (ends(40, 32), SegmentRule(10), [(0, 33), (33, 7)]),  # one start serves three boundaries
        (ends(20, 9, 19), SegmentRule(10), [(0, 10), (10, 10)]),  # the segment at 20 would hold no move
        (ends(4, 0, 1, 2, 3), SegmentRule(1), [(0, 1), (1, 1), (2, 1), (3, 1)]),
        (ends(30, 4, 9, 14), SegmentRule(10, (12, 3)), [(0, 5), (5, 5), (10, 5), (15, 15)]),
        (ends(30, 4, 9, 14), SegmentRule(10, (-7, 0, 30, 99)), [(0, 10), (10, 20)]),  # boundaries elsewhere
        (ends(30, 11), SegmentRule(10, (12,)), [(0, 12), (12, 18)]),  # both boundaries at one start
    ],
)
def test_segments_are_those_found_by_hand(ended, rule, expected):
    assert derived_segments.expected(ended, rule) == expected


@given(
    st.lists(st.booleans(), max_size=60),
    st.integers(1, 70),
    st.lists(st.integers(-10, 80), max_size=3),
)
def test_segments_are_those_of_a_walk_along_the_run(ended, every_moves, also_at):
    starts, boundary = [], 0
    for move in range(len(ended)):
        if (move == 0 or ended[move - 1]) and move >= boundary:
            starts.append(move)
            boundary = move + 1
            while boundary % every_moves and boundary not in also_at:
                boundary += 1
    stops = [*starts, len(ended)][1:]
    found = derived_segments.expected(np.array(ended, bool), SegmentRule(every_moves, tuple(also_at)))
    assert found == [(start, stop - start) for start, stop in zip(starts, stops, strict=True)]


def history_of(ended: np.ndarray, *segments: Segment, **entries: Any) -> History:
    n = len(ended)
    header = Header("darkroom/goal-40", {}, entries.get("player", {}), entries.get("run", {}), segments, {})
    no = np.zeros(n, bool)
    return History(header, np.zeros(n, np.uint8), np.zeros(n, np.float32), ended, no, no)


@pytest.mark.parametrize(
    ("cuts", "line"),
    [
        ([(0, 10), (10, 10)], "segment 1: expected moves 10 to 14, found moves 10 to 19; "),
        ([(0, 20)], "segment 0: expected moves 0 to 9, found moves 0 to 19; "),
        ([(0, 5), (5, 5), (10, 5), (15, 5)], "segment 0: expected moves 0 to 9, found moves 0 to 4; "),
        ([(0, 10), (10, 5), (15, 3), (18, 2)], "segment 2: expected moves 15 to 19, found moves 15 to 17; "),
    ],
)
def test_a_segment_cut_elsewhere_is_named_with_what_was_expected(cuts, line):
    """The rule gives [0, 10), [10, 15), [15, 20)."""
    ended, rule = ends(20, 4, 9, 14), SegmentRule(10, (15,))
    found = derived_segments.difference(history_of(ended, *(Segment(*cut, 1, 2) for cut in cuts)), rule)
    assert found == (
        f"{line}segments begin at the first episode start at or after each multiple of 10 moves, and moves "
        "15, and nowhere else: take the run as it was recorded"
    )
    right = [(0, 10), (10, 5), (15, 5)]
    assert (
        derived_segments.difference(history_of(ended, *(Segment(*cut, 1, 2) for cut in right)), rule) is None
    )


TEACHER = {"kind": "teacher", "stages": [{"segment_moves": 7}, {"segment_moves": 10_000}]}


@pytest.mark.parametrize(
    ("player", "run", "rule", "words"),
    [
        (
            TEACHER,
            {"watched_moves": 12_500},
            SegmentRule(10_000, (7_500, 12_500)),
            "a new one after each multiple of 10,000 moves, and moves 7,500 and 12,500",
        ),
        (TEACHER, {}, None, "by no rule that the header states"),
        ({"kind": "teacher"}, {"watched_moves": 1}, None, "by no rule that the header states"),
        ({"kind": "random"}, {"job": {"segment_moves": 30}}, SegmentRule(30), "multiple of 30 moves"),
        ({"kind": "random"}, {"job": {"segment_moves": 0}}, None, "by no rule that the header states"),
        ({"kind": "random"}, {"job": "none"}, None, "by no rule that the header states"),
    ],
)
def test_the_rule_that_a_header_states(player, run, rule, words):
    history = history_of(ends(5), Segment(0, 5, 1, 2), player=player, run=run)
    assert derived_segments.stated_rule(history.header) == rule
    assert derived_segments.described(history.header).endswith(words)


def test_an_imported_run_says_that_it_follows_no_rule():
    history = history_of(ends(5), Segment(0, 3, None, 2), Segment(3, 2, None, 2))
    assert derived_segments.described(history.header) == "imported: they follow no rule"


def test_a_rule_without_boundaries_is_refused():
    with pytest.raises(ValueError, match="every_moves: expected at least 1, found 0"):
        SegmentRule(0)
