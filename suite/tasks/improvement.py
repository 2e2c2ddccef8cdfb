"""Q2: does the imitator keep improving past what it saw its teacher do, as the teacher would?"""

from __future__ import annotations

from dataclasses import dataclass, replace

from understudy.suite import verdicts
from understudy.suite.judging import gain_verdicts, rulers
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.rules import Rules
from understudy.suite.verdicts import Verdict


@dataclass(frozen=True)
class Improvement:
    """The imitator's gain on the watched game, ruled by the teachers' own continuations."""

    name: str = "improvement"
    question: str = "Does it keep improving past what it saw the teacher do, as the teacher would?"
    kinds: tuple[str, ...] = ("start", "continue")

    def verdict(self, evidence: Evidence, rules: Rules) -> Verdict:
        """Answer from `lives`, `starts`, `ruler_lives`, `ruler_starts`; in brackets unless Q1's skill holds.

        Raises InputError where lives don't belong together.
        """
        found = gain_verdicts.judge(self.name, evidence, rules, rulers.continuations)
        plays_like_teacher = evidence.skill_answer in (verdicts.YES, verdicts.ABOVE)
        return replace(found, bracketed=not plays_like_teacher)


TASK = Improvement()
