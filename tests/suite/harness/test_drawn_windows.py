"""Drawn windows: where they lie, what they cost, and how probably an altered slice is missed."""

from __future__ import annotations

import re

import numpy as np
import pytest
from support import ROOT

from understudy.suite.harness import drawn_windows

PLACES = 40_000  # simulated draws a case


@pytest.mark.parametrize(("moves", "before"), [(13_000, 397), (250_000, 1_021), (250_000, None), (40, 1)])
def test_windows_lie_one_in_each_part_and_nobody_knows_them_before(moves, before):
    salts = [drawn_windows.new_salt() for _ in range(2)]
    first, second = (drawn_windows.drawn(salt, "transfer/all", moves, 16, before) for salt in salts)
    assert first == drawn_windows.drawn(salts[0], "transfer/all", moves, 16, before)
    assert moves == 40 or first.spans != second.spans
    assert first.spans != drawn_windows.drawn(salts[0], "start/all", moves, 16, before).spans or moves == 40
    edges = np.linspace(0, moves, len(first.spans) + 1).astype(int)
    for (begin, end), low, high in zip(first.spans, edges[:-1], edges[1:], strict=True):
        assert low <= begin < end <= high
        assert end - begin == min(32, high - low)
    assert len(first.lanes) == (4 if before is None else 16)
    assert len(set(first.lanes)) == len(first.lanes)


@pytest.mark.parametrize(
    ("moves", "before"), [(13_000, 397), (250_000, 1_021), (2_500_000, 1), (13_000, None)]
)
def test_windows_take_less_than_a_tenth_of_the_moves_that_were_played(moves, before):
    """By the costs that the module states; a move by `unroll` counts as it was measured."""
    windows = drawn_windows.drawn("0" * 32, "transfer/all", moves, 16, before)
    steps = sum(end - begin for begin, end in windows.spans) * len(windows.lanes) / 16
    unrolled = moves * len(windows.lanes) / 16 if before is None else len(windows.spans) * before
    assert steps + 0.3 * unrolled <= 0.1 * moves


@pytest.mark.parametrize(
    ("moves", "count", "first", "length"),
    [(13_000, 6, 12_350, 650), (13_000, 6, 4_000, 1), (250_000, 59, 237_500, 12_500), (2_000, 5, 390, 30)],
)
def test_the_probability_of_missing_one_slice_is_that_of_a_simulation(moves, count, first, length):
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(PLACES // 10):
        spans = drawn_windows.spans_of(moves, count, rng)
        missed += not any(begin < first + length and first < end for begin, end in spans)
    share = missed / (PLACES // 10)
    expected = drawn_windows.missed(first, length, moves, count)
    assert share == pytest.approx(expected, abs=4 * np.sqrt(0.25 / (PLACES // 10)))


@pytest.mark.parametrize(
    ("moves", "first", "length"), [(13_000, 4_000, 650), (250_000, 100_000, 2_500), (13_000, 0, 13_000)]
)
def test_of_a_player_with_unbounded_reach_one_altered_lane_is_missed_as_the_protocol_says(
    moves, first, length
):
    """1 - (1 - p) / 4, where p is that of a lane whose windows are checked; an altered lane of 16 is any."""
    altered_lane, salts = 11, 4_000
    missed = 0
    for number in range(salts):
        windows = drawn_windows.drawn(f"{number:032x}", "transfer/all", moves, 16, None)
        touched = any(begin < first + length and first < end for begin, end in windows.spans)
        missed += not (touched and altered_lane in windows.lanes)
    p = drawn_windows.missed(first, length, moves, drawn_windows.count_of(moves, None))
    assert missed / salts == pytest.approx(1 - (1 - p) / 4, abs=4 * np.sqrt(0.25 / salts))
    assert "1 - (1 - p) / 4" in (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")


def test_a_slice_that_spans_two_parts_is_never_missed():
    for moves, count in ((13_000, 6), (250_000, 59)):
        longest = 2 * -(-moves // count)
        assert drawn_windows.mean_missed(longest, moves, count) == 0
        assert drawn_windows.mean_missed(1, moves, count) > 0.9


def test_the_protocol_states_these_probabilities():
    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| ([\d,]+) moves, ([\d,]+) before each \| (\d+) \| (.*) \|$", text, re.MULTILINE)
    assert len(lines) == 3
    for moves, before, count, cells in lines:
        moves, before = (int(each.replace(",", "")) for each in (moves, before))
        assert drawn_windows.count_of(moves, before) == int(count)
        shown = [cell.strip() for cell in cells.split("|")]
        lengths = (moves // 1000, moves // 100, moves // 20, moves // 5)
        assert shown == [f"{drawn_windows.mean_missed(each, moves, int(count)):.2f}" for each in lengths]
