"""Verdicts: a task's answer, or the reason why there is none, with every number behind it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from understudy.suite.scoring.intervals import Interval

YES, ABOVE, PARTIAL, NO, UNDECIDED = "yes", "above", "partial", "no", "undecided"
YES_UNVERIFIED = "yes (unverified)"  # the contrasts give a yes, but not all of its conditions were measured
YES_NOT_RETRAINED = "yes (not retrained)"  # the same, where no training is declared that could be repeated
EVERY_YES = (YES, YES_UNVERIFIED, YES_NOT_RETRAINED)
ANSWERS = (*EVERY_YES, ABOVE, PARTIAL, NO, UNDECIDED)

NO_ROOM, NO_REFERENCE, FEW_UNITS = "no room", "no reference", "fewer than {minimum} units"
TEACHER_INCOMPLETE = "teacher run incomplete: {found:,} of {expected:,}"
REFERENCE_INCOMPLETE = "reference incomplete: {found} of {expected}"  # pinned teacher runs on this machine
RUN_INCOMPLETE = "run incomplete: {found:,} of {expected:,}"
NOT_PLAYED = "not played"
NO_AGREEMENT, NO_CEILING = "agreement not measured", "ceiling not above the best constant player"
REWARD_FREE = "gain does not depend on reward"
SCORE_READ = "gain does not survive a blanked score"
NOT_ISOLATED = "isolation does not hold"
NOT_RETRAINED = "gain is not kept by retraining"
CONDITIONS_FAILED = (REWARD_FREE, SCORE_READ, NOT_ISOLATED, NOT_RETRAINED)  # why a yes of contrasts is none
NO_TRAINING = "no training settings are declared"
BUILT_IN, PROVISIONAL = "built-in", "provisional"
OTHER_DATA = "other teacher data"  # the references are not the benchmark's pinned runs
SURVIVAL = "survival"  # the gain survives yoked rewards and vanishes under negated rewards
FEW_ENDS = "few ends"  # a mark; a reason where the reference's end window holds too few


@dataclass(frozen=True)
class Verdict:
    """One cell of the table. `answer` is None where there is no verdict; `reason` then says why."""

    task: str
    claim: str  # checkpoint or method
    answer: str | None
    reason: str | None = None  # why undecided or absent, or which conditions of a yes were not measured
    marks: tuple[str, ...] = ()  # provisional, built-in, few ends ...
    bracketed: bool = False  # Q2 of a player without Q1's skill, whose no says little
    numbers: Mapping[str, Interval | None] = field(default_factory=dict)  # None: unknown or unbounded
    n: int | None = None  # the imitator's units
    m: int | None = None  # the reference's units
    needed_runs: int | None = None  # units of each sample that would decide an undecided case
    parts: tuple[Verdict, ...] = ()  # the verdicts that this one combines

    def __post_init__(self) -> None:
        if self.answer is not None and self.answer not in ANSWERS:
            raise ValueError(f"expected an answer among {ANSWERS}; found {self.answer!r}")
        if self.answer is None and not self.reason:
            raise ValueError("a verdict without an answer needs a reason")
        for name, interval in self.numbers.items():
            bounds = () if interval is None else (interval.estimate, interval.low, interval.high)
            if not all(bound is None or math.isfinite(bound) for bound in bounds):
                raise ValueError(f"{self.task}: {name} is not finite: {interval}; unknown is None")

    @property
    def decided(self) -> bool:
        """Whether there is an answer other than undecided."""
        return self.answer not in (None, UNDECIDED)

    @property
    def label(self) -> str:
        """Text of the cell, e.g. `yes: survival` or `undecided (needs about 1,487 runs)`."""
        answer = self.answer or "-"
        text = f"({answer})" if self.bracketed and self.decided else answer
        if self.answer == UNDECIDED and self.needed_runs is not None:
            text += f" (needs about {self.needed_runs:,} runs)"
        notes = [self.reason] if self.reason and not self.decided else []
        notes += [mark for mark in self.marks if mark in (BUILT_IN, SURVIVAL, PROVISIONAL)]
        return f"{text}: {', '.join(notes)}" if notes else text

    def part(self, task: str) -> Verdict:
        """Return the part with this task name; KeyError if there is none."""
        for verdict in self.parts:
            if verdict.task == task:
                return verdict
        raise KeyError(task)

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values, with null for unknown."""
        return {
            "task": self.task,
            "claim": self.claim,
            "answer": self.answer,
            "reason": self.reason,
            "marks": list(self.marks),
            "bracketed": self.bracketed,
            "numbers": {
                name: None if interval is None else dataclasses.asdict(interval)
                for name, interval in self.numbers.items()
            },
            "n": self.n,
            "m": self.m,
            "needed_runs": self.needed_runs,
            "parts": [part.as_json() for part in self.parts],
        }
