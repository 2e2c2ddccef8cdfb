"""Curves: skill of an imitator and its reference in equal blocks of their runs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from understudy.suite.scoring import contrasts, gain_verdicts, gains, references
from understudy.suite.scoring.contrasts import METHOD, Sample
from understudy.suite.scoring.evidence import Evidence
from understudy.suite.scoring.gains import Gains
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.references import Reference
from understudy.suite.scoring.rules import Rules
from understudy.suite.scoring.scored_runs import NUM_BLOCKS, ScoredRun


@dataclass(frozen=True)
class SkillCurve:
    """Skill of imitator or reference over its runs: means over units, in points an episode."""

    units: int
    start: Interval
    end: Interval  # over the end window
    blocks: tuple[Interval, ...]  # one a block; empty for a published reference
    few_ends: tuple[bool, ...]  # one a block: whether some run has fewer episode ends than the minimum in it

    def __post_init__(self) -> None:
        if len(self.blocks) != len(self.few_ends):
            raise ValueError(f"expected as many marks as blocks; found {self}")


@dataclass(frozen=True)
class Curves:
    """Skill curves of an imitator and its reference, and the skill from which a yes begins."""

    claim: str
    edges: tuple[int, ...]  # [NUM_BLOCKS + 1] of the blocks, in moves
    end_moves: int  # length of the end window
    imitator: SkillCurve
    reference: SkillCurve | None  # None: no run measures the teacher's gain
    share: float  # of the teacher's gain, above which a yes begins
    yes_threshold: float | None  # the teacher's start + share x teacher's gain


@dataclass(frozen=True)
class WatchedCurve:
    """The teachers' skill over the moves that imitators watch: means over units, in points an episode."""

    edges: tuple[int, ...]  # [NUM_BLOCKS + 1] of the blocks, in moves; the last is W
    units: int
    blocks: tuple[Interval, ...]  # one a block
    few_ends: tuple[bool, ...]  # one a block: whether some run has fewer episode ends than the minimum in it


def measure(evidence: Evidence, rules: Rules, reference: Reference) -> Curves | None:
    """Return the curves of a row's improvement or transfer runs, or None where nothing can be scored.

    Blocks are averaged like the end window: over lanes, then over checkpoints, within a unit. Arguments and
    errors are those of `horizon.measure`.
    """
    if gain_verdicts.not_scored(evidence, rules):
        return None
    measured = gains.measure(evidence, rules, reference)
    share, yes_threshold = rules.thresholds.yes_share, None
    if measured.reference.m:
        yes_threshold = gains.mean(measured.reference.terms(share, 1.0 - share))
    edges = tuple(rules.moves * block // NUM_BLOCKS for block in range(NUM_BLOCKS + 1))
    return Curves(
        claim=evidence.claim,
        edges=edges,
        end_moves=rules.end_moves,
        imitator=_imitator(evidence, rules, measured, edges),
        reference=_reference(evidence, rules, measured, edges) if measured.reference.m else None,
        share=share,
        yes_threshold=yes_threshold,
    )


def watched(runs: Sequence[ScoredRun], rules: Rules, moves: int) -> WatchedCurve | None:
    """Return the teachers' skill over their watched moves, in equal blocks; None if no run is that long.

    Args:
        runs: of the teachers on the watched games, from their first move on.
        rules: of the benchmark at one budget.
        moves: W, the number of watched moves.
    """
    chosen = [run for run in runs if run.num_moves >= moves]
    if not chosen:
        return None
    edges = tuple(moves * block // NUM_BLOCKS for block in range(NUM_BLOCKS + 1))
    ends = rules.minima.ends
    blocks, few_ends = _blocks(
        lambda begin, end: contrasts.end_sample(chosen, METHOD, "teacher", end, end - begin, ends),
        rules,
        edges,
    )
    return WatchedCurve(edges, len({run.unit for run in chosen}), blocks, few_ends)


def _imitator(evidence: Evidence, rules: Rules, measured: Gains, edges: Sequence[int]) -> SkillCurve:
    chosen = [run for run in evidence.runs if evidence.claim != METHOD or run.unit in measured.end.units]
    confidence = rules.thresholds.confidence
    start, end = (
        contrasts.contrast([(1.0, sample)], confidence) for sample in (measured.start, measured.end)
    )
    claim, ends = evidence.claim, rules.minima.ends
    blocks, few_ends = _blocks(
        lambda begin, end: contrasts.end_sample(chosen, claim, "imitator", end, end - begin, ends),
        rules,
        edges,
    )
    return SkillCurve(len(measured.end.units), start, end, blocks, few_ends)


def _reference(evidence: Evidence, rules: Rules, measured: Gains, edges: Sequence[int]) -> SkillCurve:
    reference, confidence = measured.reference, rules.thresholds.confidence
    start, end = (contrasts.contrast(reference.terms(*pair), confidence) for pair in ((0.0, 1.0), (1.0, 0.0)))
    if reference.published:
        return SkillCurve(reference.m, start, end, (), ())
    chosen = [run for run in evidence.reference_runs if run.unit in reference.end.units]
    runs, ends = tuple(references.long_enough(chosen, rules)), rules.minima.ends
    blocks, few_ends = _blocks(
        lambda begin, end: contrasts.of_reference(contrasts.end_sample, runs, end, end - begin, ends),
        rules,
        edges,
    )
    return SkillCurve(reference.m, start, end, blocks, few_ends)


def _blocks(
    sample: Callable[[int, int], Sample], rules: Rules, edges: Sequence[int]
) -> tuple[tuple[Interval, ...], tuple[bool, ...]]:
    """Return each block's mean over units with its interval, and whether some run has few ends in it.

    `sample` returns the skill in the moves [begin, end), averaged over lanes.
    """
    samples = [sample(begin, end) for begin, end in itertools.pairwise(edges)]
    intervals = tuple(contrasts.contrast([(1.0, one)], rules.thresholds.confidence) for one in samples)
    return intervals, tuple(one.few_ends > 0 for one in samples)
