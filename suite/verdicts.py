"""What a task answers: yes, no or why not, with every number the answer rests on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from understudy.suite.stats import Interval

YES, ABOVE, PARTIAL, NO, UNDECIDED = "yes", "above", "partial", "no", "undecided"
YES_UNVERIFIED = "yes (unverified)"  # the numbers say yes; what a yes needs besides wasn't all measured
ANSWERS = (YES, YES_UNVERIFIED, ABOVE, PARTIAL, NO, UNDECIDED)

NO_ROOM, NO_RULER, FEW_UNITS = "no room", "no ruler", "fewer than {minimum} units"
TEACHER_INCOMPLETE = "teacher life incomplete: {found:,} of {expected:,}"
LIFE_INCOMPLETE = "life incomplete: {found:,} of {expected:,}"
NOT_PLAYED = "not played"
NO_LIKENESS, NO_CEILING = "likeness not measured", "ceiling not above the best constant player"
REWARD_FREE = "gain does not depend on reward"
SCORE_READ = "gain does not survive a blanked score"
NOT_ISOLATED = "isolation does not hold"
BUILT_IN, PROVISIONAL = "built-in", "provisional"
SURVIVAL = "survival"  # gains from another's rewards too, by living on, and not where points are punished
FEW_ENDS = "few ends"  # a mark of a window that held too few; a reason where the ruler's windows do


@dataclass(frozen=True)
class Verdict:
    """One cell of the table. `answer` is None where no verdict is given; `reason` then says why."""

    task: str
    claim: str  # checkpoint or method
    answer: str | None
    reason: str | None = None  # of an undecided or absent verdict; what a yes still lacks
    marks: tuple[str, ...] = ()  # provisional, built-in, few ends ...
    bracketed: bool = False  # Q2 of a player that fails Q1's skill: its no says little
    numbers: Mapping[str, Interval | None] = field(default_factory=dict)  # None: unknown or unbounded
    n: int | None = None  # the imitator's units
    m: int | None = None  # the ruler's units
    needed_lives: int | None = None  # units of each sample that would settle an undecided case
    parts: tuple[Verdict, ...] = ()  # the verdicts that this one is made of

    def __post_init__(self) -> None:
        if self.answer is not None and self.answer not in ANSWERS:
            raise ValueError(f"expected an answer among {ANSWERS}; found {self.answer!r}")
        if self.answer is None and not self.reason:
            raise ValueError("a verdict that is not given needs a reason")
        for name, interval in self.numbers.items():
            bounds = () if interval is None else (interval.estimate, interval.low, interval.high)
            if not all(bound is None or math.isfinite(bound) for bound in bounds):
                raise ValueError(f"{self.task}: {name} is not finite: {interval}; unknown is None")

    @property
    def decided(self) -> bool:
        """Whether the question is answered."""
        return self.answer not in (None, UNDECIDED)

    @property
    def label(self) -> str:
        """The cell's text: the answer, in brackets where it says little, with what qualifies it."""
        answer = self.answer or "-"
        text = f"({answer})" if self.bracketed and self.decided else answer
        notes = [self.reason] if self.reason and not self.decided else []
        if self.answer == UNDECIDED and self.needed_lives is not None:
            notes.append(f"{self.needed_lives} lives would settle it")
        notes += [mark for mark in self.marks if mark in (BUILT_IN, SURVIVAL, PROVISIONAL)]
        return f"{text}: {', '.join(notes)}" if notes else text

    def part(self, task: str) -> Verdict:
        """Return one of the verdicts that this one is made of; KeyError if there is none so called."""
        for verdict in self.parts:
            if verdict.task == task:
                return verdict
        raise KeyError(task)

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values; null for what is unknown."""
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
            "needed_lives": self.needed_lives,
            "parts": [part.as_json() for part in self.parts],
        }
