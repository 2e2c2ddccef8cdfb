"""The segments that a run's moves and a rule determine, and the comparison with those of its header.

A header that cut its segments elsewhere would choose where the emulator is reseeded, and so what the player
meets. Imported runs have no seeds, follow no rule, and can't be replayed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from understudy.suite.histories.history_format import TEACHER, Header, History

BEFORE_W_MOVES = 5_000  # a teacher's segment also begins this long before W


@dataclass(frozen=True)
class SegmentRule:
    """Where segments begin: at the first episode start at or after each boundary."""

    every_moves: int  # its multiples are boundaries; at least 1
    also_at: tuple[int, ...] = ()  # further boundaries, in moves of the run

    def __post_init__(self) -> None:
        if self.every_moves < 1:
            raise ValueError(f"every_moves: expected at least 1, found {self.every_moves}")

    def next_boundary(self, first_move: int) -> int:
        """Return the first boundary after `first_move`, at which the current segment began."""
        regular = (first_move // self.every_moves + 1) * self.every_moves
        return min([regular, *(move for move in self.also_at if move > first_move)])


class Span(NamedTuple):
    """The moves of a segment."""

    first_move: int  # counted in the run
    length: int  # moves, at least 1


def expected(ended: np.ndarray, rule: SegmentRule) -> list[Span]:
    """Return the segments of a run: they begin at the first episode start at or after each boundary.

    Move 0 is a boundary of every rule. A run without moves has no segment.

    Args:
        ended: bool [n], whether the episode ended with this move.
        rule: gives the boundaries.
    """
    n = len(ended)
    if not n:
        return []
    starts = np.concatenate([[0], np.flatnonzero(ended) + 1])  # of episodes; the last may be n
    regular = np.arange(0, n, rule.every_moves)
    further = [move for move in rule.also_at if 0 < move < n]
    boundaries = np.concatenate([regular, np.array(further, np.int64)])
    found = np.searchsorted(starts, boundaries)
    begun = np.unique(starts[found[found < len(starts)]])
    begun = begun[begun < n]
    lengths = np.diff(begun, append=n)
    return list(map(Span, begun.tolist(), lengths.tolist()))


def difference(history: History, rule: SegmentRule) -> str | None:
    """Return one line about the first segment of a header that doesn't follow from the moves, or None."""
    derived = expected(history.ended, rule)
    found = [Span(segment.first_move, segment.length) for segment in history.header.segments]
    if found == derived:
        return None
    index = next(
        (i for i, (one, other) in enumerate(zip(found, derived, strict=False)) if one != other),
        min(len(found), len(derived)),
    )
    return (
        f"segment {index}: expected {_moves(derived, index)}, found {_moves(found, index)}; segments begin "
        f"at the first episode start at or after {_boundaries(rule)}, and nowhere else: take the run as it "
        "was recorded"
    )


def teacher_rule(segment_moves: int, watched_moves: int) -> SegmentRule:
    """Return the rule of a teacher's run: its segments also begin at W and shortly before."""
    return SegmentRule(segment_moves, (watched_moves - BEFORE_W_MOVES, watched_moves))


def stated_rule(header: Header) -> SegmentRule | None:
    """Return the rule that a header states, of a teacher's run or a scored run; None if it states none.

    Whether a benchmark has this rule is another question, which only the benchmark answers.
    """
    if header.player.get("kind") == TEACHER:
        stages = header.player.get("stages")
        stage = stages[-1] if isinstance(stages, list) and stages else None
        every, watched = _number(stage, "segment_moves"), _number(header.run, "watched_moves")
        return None if every is None or watched is None else teacher_rule(every, watched)
    every = _number(header.run.get("job"), "segment_moves")
    return None if every is None else SegmentRule(every)


def described(header: Header) -> str:
    """Return in a few words by which rule a run's segments were cut."""
    if any(segment.seed is None for segment in header.segments):
        return "imported: they follow no rule"
    rule = stated_rule(header)
    return "by no rule that the header states" if rule is None else f"a new one after {_boundaries(rule)}"


def _number(entries: Any, name: str) -> int | None:
    """Return a number of at least 1 from a header's entries, or None if there is none."""
    value = entries.get(name) if isinstance(entries, Mapping) else None
    return value if isinstance(value, int) and value >= 1 else None


def _boundaries(rule: SegmentRule) -> str:
    further = [f"{move:,}" for move in rule.also_at if move > 0 and move % rule.every_moves]
    each = f"each multiple of {rule.every_moves:,} moves"
    return f"{each}, and moves {' and '.join(further)}" if further else each


def _moves(spans: list[Span], index: int) -> str:
    if index >= len(spans):
        return "none"
    first, length = spans[index]
    return f"moves {first:,} to {first + length - 1:,}"
