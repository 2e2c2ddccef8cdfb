"""Curves: skill in equal blocks of an imitator's lives beside its ruler's, as a verdict sees them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from understudy.suite.judging import contrasts, gain_verdicts, rulers
from understudy.suite.judging import gains as gains_of
from understudy.suite.judging.contrasts import METHOD, Sample
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.gains import Gains
from understudy.suite.judging.lives import NUM_BLOCKS, Life
from understudy.suite.judging.rulers import Ruler
from understudy.suite.judging.rules import Rules
from understudy.suite.stats import Interval


@dataclass(frozen=True)
class Curve:
    """Skill over one side's lives: means over its units, in points an episode."""

    units: int
    start: Interval
    end: Interval  # over the end window
    blocks: tuple[Interval, ...]  # one a block; none for a ruler known by published figures only
    few_ends: tuple[bool, ...]  # one a block: whether some life had fewer ends in it than the minimum

    def __post_init__(self) -> None:
        if len(self.blocks) != len(self.few_ends):
            raise ValueError(f"expected as many marks as blocks; found {self}")


@dataclass(frozen=True)
class Curves:
    """An imitator's curve, its ruler's, and the level that a yes has to pass."""

    claim: str
    edges: tuple[int, ...]  # [NUM_BLOCKS + 1] of the blocks, in moves
    end_moves: int  # the last so many moves are the end window
    imitator: Curve
    ruler: Curve | None  # None: nothing measures the gain
    share: float  # of the ruler's gain from which a yes begins
    level: float | None  # the ruler's start + that share of its gain


def measure(evidence: Evidence, rules: Rules, ruler: Ruler) -> Curves | None:
    """Return the curves of the lives that answer improvement or transfer, or None where nothing is judged.

    Blocks are averaged as the end is: lanes, then checkpoints, within a unit. Arguments and errors are
    those of `horizon.measure`.
    """
    if gain_verdicts.unjudged(evidence, rules):
        return None
    gains = gains_of.measure(evidence, rules, ruler)
    share, level = rules.thresholds.yes_share, None
    if gains.ruler.m:
        level = gains_of.mean(gains.ruler.terms(share, 1.0 - share))
    edges = tuple(rules.moves * block // NUM_BLOCKS for block in range(NUM_BLOCKS + 1))
    return Curves(
        claim=evidence.claim,
        edges=edges,
        end_moves=rules.end_moves,
        imitator=_imitator(evidence, rules, gains, edges),
        ruler=_ruler(evidence, rules, gains, edges) if gains.ruler.m else None,
        share=share,
        level=level,
    )


def _imitator(evidence: Evidence, rules: Rules, gains: Gains, edges: Sequence[int]) -> Curve:
    chosen = [life for life in evidence.lives if evidence.claim != METHOD or life.unit in gains.end.units]
    confidence = rules.thresholds.confidence
    start, end = (contrasts.contrast([(1.0, sample)], confidence) for sample in (gains.start, gains.end))
    blocks, few_ends = _blocks(chosen, evidence.claim, "imitator", rules, edges)
    return Curve(len(gains.end.units), start, end, blocks, few_ends)


def _ruler(evidence: Evidence, rules: Rules, gains: Gains, edges: Sequence[int]) -> Curve:
    ruler, confidence = gains.ruler, rules.thresholds.confidence
    start, end = (contrasts.contrast(ruler.terms(*pair), confidence) for pair in ((0.0, 1.0), (1.0, 0.0)))
    if ruler.published:
        return Curve(ruler.m, start, end, (), ())
    chosen = [life for life in evidence.ruler_lives if life.unit in ruler.end.units]
    blocks, few_ends = _blocks(rulers.long_enough(chosen, rules), METHOD, "ruler", rules, edges)
    return Curve(ruler.m, start, end, blocks, few_ends)


def _blocks(
    lives: Sequence[Life], claim: str, role: str, rules: Rules, edges: Sequence[int]
) -> tuple[tuple[Interval, ...], tuple[bool, ...]]:
    """Return each block's mean over units with its interval, and whether some life had few ends in it."""
    samples: list[Sample] = [
        contrasts.end_sample(lives, claim, role, end, end - begin, rules.minima.ends)
        for begin, end in itertools.pairwise(edges)
    ]
    intervals = tuple(contrasts.contrast([(1.0, one)], rules.thresholds.confidence) for one in samples)
    return intervals, tuple(one.few_ends > 0 for one in samples)
