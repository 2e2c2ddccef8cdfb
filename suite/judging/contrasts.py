"""Contrasts of unit means: which numbers hang together, and the interval of their weighted sum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from understudy.suite import stats
from understudy.suite.judging.lives import Life, Skill, end_skill, start_skill

CHECKPOINT, METHOD = "checkpoint", "method"
CLAIMS = (CHECKPOINT, METHOD)


@dataclass(frozen=True)
class Sample:
    """One number a unit. Two samples over the same units are combined unit by unit, others as independent."""

    units: tuple[str, ...]  # sorted, distinct
    values: tuple[float, ...]  # [n] in the units' order
    few_ends: int = 0  # windows behind the values that held fewer ends than the minimum

    def __post_init__(self) -> None:
        if len(self.units) != len(self.values) or list(self.units) != sorted(set(self.units)):
            raise ValueError(f"expected sorted distinct units, one value each; found {self}")

    @property
    def mean(self) -> float:
        """Mean over the units."""
        return float(np.mean(self.values))

    def only(self, units: Sequence[str]) -> Sample:
        """Return the sample of those of its units that are in `units`."""
        kept = [(unit, value) for unit, value in zip(self.units, self.values, strict=True) if unit in units]
        return Sample(tuple(u for u, _ in kept), tuple(v for _, v in kept), self.few_ends)


Term = tuple[float, Sample | stats.Moments]  # weight and numbers


def parts(terms: Sequence[Term]) -> list[stats.Moments]:
    """Return the weighted terms as independent samples: those over the same units are summed unit by unit.

    Raises ValueError where two samples share some units but not all: they are neither paired nor independent.
    """
    together: dict[tuple[str, ...], np.ndarray] = {}
    independent: list[stats.Moments] = []
    for weight, numbers in terms:
        if weight == 0.0:
            continue
        if isinstance(numbers, stats.Moments):
            independent.append(numbers.scaled(weight))
            continue
        weighted = weight * np.asarray(numbers.values, dtype=np.float64)
        together[numbers.units] = together.get(numbers.units, 0.0) + weighted
    named = [unit for units in together for unit in units]
    if len(named) != len(set(named)):
        raise ValueError(f"samples share some of their units, not all: {sorted(together)}")
    return [stats.moments(values) for values in together.values()] + independent


def contrast(terms: Sequence[Term], confidence: float) -> stats.Interval:
    """Return the interval of a weighted sum of means: paired where units agree, Welch where they differ."""
    return stats.sum_interval(parts(terms), confidence)


def end_sample(lives: Iterable[Life], claim: str, role: str, moves: int, end_moves: int, ends: int) -> Sample:
    """Return the skill at the end of lives, one value a unit: lanes, then checkpoints, are averaged."""
    return _sample(lives, claim, role, lambda lanes: [end_skill(x, moves, end_moves, ends) for x in lanes])


def start_sample(lives: Iterable[Life], claim: str, role: str, ends: int) -> Sample:
    """Return the skill of start jobs, one value a unit: lanes are pooled, checkpoints averaged."""
    return _sample(lives, claim, role, lambda lanes: [start_skill(lanes, ends)])


def common_units(one: Sample, other: Sample) -> tuple[str, ...]:
    """Return the units that two samples share, sorted; empty where they are independent."""
    return tuple(sorted(set(one.units) & set(other.units)))


def _sample(
    lives: Iterable[Life], claim: str, role: str, measure: Callable[[list[Life]], list[Skill]]
) -> Sample:
    by_unit: dict[str, dict[int, list[Life]]] = {}
    for life in sorted(lives, key=lambda life: (life.unit, life.checkpoint, life.lane)):
        by_unit.setdefault(_unit_name(life, claim, role), {}).setdefault(life.checkpoint, []).append(life)
    few_ends, values = 0, {}
    for unit, by_checkpoint in by_unit.items():
        skills = [measure(lanes) for lanes in by_checkpoint.values()]
        few_ends += sum(one.few_ends for lanes in skills for one in lanes)
        values[unit] = float(np.mean([np.mean([one.value for one in lanes]) for lanes in skills]))
    units = tuple(sorted(values))
    return Sample(units, tuple(values[unit] for unit in units), few_ends)


def _unit_name(life: Life, claim: str, role: str) -> str:
    """Method: the teacher life or goal. Checkpoint: the single life; roles never share a unit."""
    if claim == METHOD:
        return life.unit
    return f"{role}: {life.unit}, checkpoint {life.checkpoint}, lane {life.lane}"
