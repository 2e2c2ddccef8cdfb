"""Contrasts: weighted sums of unit means with their intervals, paired where the units agree."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from understudy.suite.scoring import intervals
from understudy.suite.scoring.scored_runs import ScoredRun, WindowSkill, end_skill, skill, start_skill

CHECKPOINT, METHOD = "checkpoint", "method"
CLAIMS = (CHECKPOINT, METHOD)


@dataclass(frozen=True)
class Sample:
    """One value a unit. Samples over the same units are combined unit by unit, others as independent."""

    units: tuple[str, ...]  # sorted, distinct
    values: tuple[float, ...]  # [n] in the order of `units`
    few_ends: int = 0  # number of windows behind the values with fewer episode ends than the minimum

    def __post_init__(self) -> None:
        if len(self.units) != len(self.values) or list(self.units) != sorted(set(self.units)):
            raise ValueError(f"expected sorted distinct units, one value each; found {self}")

    @property
    def mean(self) -> float:
        """Mean over the units."""
        return float(np.mean(self.values))

    def only(self, units: Sequence[str]) -> Sample:
        """Return the sample restricted to its units that are in `units`."""
        kept = [(unit, value) for unit, value in zip(self.units, self.values, strict=True) if unit in units]
        return Sample(tuple(u for u, _ in kept), tuple(v for _, v in kept), self.few_ends)


Term = tuple[float, Sample | intervals.Moments]  # weight and values


def parts(terms: Sequence[Term]) -> list[intervals.Moments]:
    """Return the weighted terms as independent samples; terms over the same units are summed unit by unit.

    Raises ValueError if two samples share some but not all units: they are neither paired nor independent.
    """
    together: dict[tuple[str, ...], np.ndarray] = {}
    independent: list[intervals.Moments] = []
    for weight, numbers in terms:
        if weight == 0.0:
            continue
        if isinstance(numbers, intervals.Moments):
            independent.append(numbers.scaled(weight))
            continue
        weighted = weight * np.asarray(numbers.values, dtype=np.float64)
        together[numbers.units] = together.get(numbers.units, 0.0) + weighted
    named = [unit for units in together for unit in units]
    if len(named) != len(set(named)):
        raise ValueError(f"samples share some of their units, not all: {sorted(together)}")
    return [intervals.moments(values) for values in together.values()] + independent


def contrast(terms: Sequence[Term], confidence: float) -> intervals.Interval:
    """Return the interval of a weighted sum of means: paired where units agree, Welch's where they differ."""
    return intervals.sum_interval(parts(terms), confidence)


def end_sample(
    runs: Iterable[ScoredRun], claim: str, role: str, moves: int, end_moves: int, ends: int
) -> Sample:
    """Return the skill at the end of runs, one value a unit, averaged over lanes, then over checkpoints."""
    return _sample(runs, claim, role, lambda lanes: [end_skill(x, moves, end_moves, ends) for x in lanes])


def start_sample(runs: Iterable[ScoredRun], claim: str, role: str, ends: int) -> Sample:
    """Return the skill of start jobs, one value a unit, pooled over lanes and averaged over checkpoints."""
    return _sample(runs, claim, role, lambda lanes: [start_skill(lanes, ends)])


def window_sample(
    runs: Iterable[ScoredRun], claim: str, role: str, begin: int, end: int, ends: int
) -> Sample:
    """Return the skill in moves [begin, end), one value a unit, lanes pooled, averaged over checkpoints."""
    return _sample(runs, claim, role, lambda lanes: [skill(lanes, begin, end, ends)])


@functools.lru_cache(maxsize=256)
def of_reference(measure: Callable[..., Sample], runs: tuple[ScoredRun, ...], *window: int) -> Sample:
    """Return `end_sample` or `window_sample` of a reference's runs, whose units are always teacher runs.

    It is kept: the rows of a budget are compared with the same runs in the same windows.
    """
    return measure(runs, METHOD, "reference", *window)


def common_units(one: Sample, other: Sample) -> tuple[str, ...]:
    """Return the units that both samples have, sorted; empty for independent samples."""
    return tuple(sorted(set(one.units) & set(other.units)))


def _sample(
    runs: Iterable[ScoredRun], claim: str, role: str, measure: Callable[[list[ScoredRun]], list[WindowSkill]]
) -> Sample:
    by_unit: dict[str, dict[int, list[ScoredRun]]] = {}
    for run in sorted(runs, key=lambda run: (run.unit, run.checkpoint, run.lane)):
        by_unit.setdefault(_unit_name(run, claim, role), {}).setdefault(run.checkpoint, []).append(run)
    few_ends, values = 0, {}
    for unit, by_checkpoint in by_unit.items():
        skills = [measure(lanes) for lanes in by_checkpoint.values()]
        few_ends += sum(one.few_ends for lanes in skills for one in lanes)
        values[unit] = _mean([_mean([one.value for one in lanes]) for lanes in skills])
    units = tuple(sorted(values))
    return Sample(units, tuple(values[unit] for unit in units), few_ends)


def _mean(values: Sequence[float]) -> float:
    return values[0] if len(values) == 1 else float(np.mean(values))


def _unit_name(run: ScoredRun, claim: str, role: str) -> str:
    """Return a run's unit: in a method claim the teacher run or goal, in a checkpoint claim the run itself.

    The role is part of the latter, so that samples of different roles are independent.
    """
    if claim == METHOD:
        return run.unit
    return f"{role}: {run.unit}, checkpoint {run.checkpoint}, lane {run.lane}"
