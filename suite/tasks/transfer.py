"""Q3: in a game it never saw, does the imitator begin badly and become expert, as the teacher would?"""

from __future__ import annotations

from dataclasses import dataclass

from understudy.suite.judging import gain_verdicts, rulers
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.rules import Rules
from understudy.suite.verdicts import Verdict


@dataclass(frozen=True)
class Transfer:
    """The imitator's gain on the new game, ruled by teacher lives from scratch and the random player."""

    name: str = "transfer"
    question: str = "In a game it never saw, does it begin badly and become expert, as the teacher would?"
    kinds: tuple[str, ...] = ("start", "transfer")

    def verdict(self, evidence: Evidence, rules: Rules) -> Verdict:
        """Answer from `lives`, `starts` (both with an empty memory), `ruler_lives` and `random_starts`.

        Raises InputError where lives don't belong together.
        """
        return gain_verdicts.judge(self.name, evidence, rules, rulers.lives_from_scratch)


TASK = Transfer()
