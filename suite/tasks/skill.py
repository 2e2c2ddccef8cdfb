"""Q1: right now, does the imitator move like the teacher and play at the teacher's skill?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from understudy.suite.scoring import agreement_verdict, contrasts, intervals, references, verdicts
from understudy.suite.scoring.comparisons import Comparable
from understudy.suite.scoring.contrasts import CHECKPOINT, METHOD, Sample, Term
from understudy.suite.scoring.evidence import Evidence
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.rules import Rules, Thresholds
from understudy.suite.scoring.scored_runs import ScoredRun, start_skill
from understudy.suite.scoring.verdicts import Verdict
from understudy.suite.tasks import Column, ReferenceRuns, RowRuns

COLUMN = Column("imitator", "points an episode", "imitator", "teacher", signed=False)


@dataclass(frozen=True)
class Skill:
    """Skill and agreement at the start, before any learning within the run."""

    name: str = "skill"
    question: str = "Right now, does it move like the teacher and play at the teacher's skill?"
    label: str = "Q1 skill"
    column: Column = COLUMN
    roles: tuple[str, ...] = ("start",)
    reference_players: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {"frozen-teacher": ("start",), "random": ("start",)}
    )
    needs_predictions: bool = True
    gain: None = None

    def evidence(self, row: RowRuns, reference_runs: ReferenceRuns) -> Evidence:
        """Return the row's start runs beside those of the teachers that it watched and the random player."""
        starts, claim = row.of_role("start"), row.claim("start")
        units = {run.unit for run in starts}
        teachers = reference_runs.starts("frozen-teacher", "start")
        own = tuple(run for run in teachers if run.unit in units)
        if claim == CHECKPOINT and len(own) < 2:  # one lane has no spread; other teachers of its kind have
            own = teachers
        return Evidence(
            claim=claim,
            starts=starts,
            reference_starts=own,
            random_starts=reference_runs.starts("random", "start"),
            predictions=row.predictions(),
            watched_moves=reference_runs.watched_moves(units),
            pinned=reference_runs.pinned(to_w=True),
        )

    def verdict(self, evidence: Evidence, rules: Rules) -> Verdict:
        """Answer from `starts`, `reference_starts`, `random_starts` and `agreement`.

        The verdict's parts are called `skill` and `agreement`; it is yes (or above) if both are.
        """
        incomplete = references.watched_incomplete(evidence, rules) or references.incomplete(evidence.pinned)
        if incomplete:
            return Verdict(self.name, evidence.claim, None, incomplete, numbers=_points(evidence, rules))
        if not evidence.starts:
            return Verdict(self.name, evidence.claim, None, verdicts.NOT_PLAYED)
        return _both(skill_verdict(evidence, rules), agreement_verdict.verdict(evidence, rules))

    def comparable(self, evidence: Evidence, rules: Rules) -> Comparable | None:
        """Return the start of each unit; in a method claim, of the units that the teacher has too, if any."""
        claim, ends = evidence.claim, rules.minima.ends
        if not evidence.starts:
            return None
        imitator = contrasts.start_sample(evidence.starts, claim, "imitator", ends)
        if claim == METHOD:
            teacher = contrasts.start_sample(evidence.reference_starts, claim, "teacher", ends)
            imitator = imitator.only(contrasts.common_units(imitator, teacher) or imitator.units)
        return Comparable(claim, (imitator,))


TASK = Skill()


def _points(evidence: Evidence, rules: Rules) -> dict[str, Interval | None]:
    """Return what the imitator scored, which needs no reference to be shown."""
    if not evidence.starts:
        return {}
    imitator = contrasts.start_sample(evidence.starts, evidence.claim, "imitator", rules.minima.ends)
    return {"imitator": contrasts.contrast([(1.0, imitator)], rules.thresholds.confidence)}


def skill_verdict(evidence: Evidence, rules: Rules) -> Verdict:
    """Return the verdict called `skill`: the start against the teacher's, in shares of teacher - random.

    In a checkpoint claim the teachers are the watched ones and each lane is a unit; in a method claim
    the units are teacher runs.
    """
    claim, ends = evidence.claim, rules.minima.ends
    imitator = contrasts.start_sample(evidence.starts, claim, "imitator", ends)
    teacher = contrasts.start_sample(evidence.reference_starts, claim, "teacher", ends)
    if claim == METHOD:
        shared = contrasts.common_units(imitator, teacher)
        imitator, teacher = imitator.only(shared), teacher.only(shared)
    random = references.random_sample(evidence, rules, imitator)
    found = Verdict("skill", claim, None, verdicts.NO_REFERENCE, n=len(imitator.units), m=len(teacher.units))
    if claim == METHOD and len(imitator.units) < rules.minima.method_units:
        return replace(found, reason=verdicts.FEW_UNITS.format(minimum=rules.minima.method_units))
    if not teacher.units or not random.units:
        return found
    few_ends = imitator.few_ends or teacher.few_ends or random.few_ends
    found = replace(found, marks=(verdicts.FEW_ENDS,) if few_ends else ())
    return _against_teacher(
        found, imitator, teacher, random, window_is_long(evidence, rules), rules.thresholds
    )


def _against_teacher(
    found: Verdict, imitator: Sample, teacher: Sample, random: Sample, long: bool, thresholds: Thresholds
) -> Verdict:
    confidence = thresholds.confidence

    def beyond(share: float) -> list[Term]:
        """Imitator - random, minus a share of teacher - random."""
        return [(1.0, imitator), (-share, teacher), (share - 1.0, random)]

    room = contrasts.contrast([(1.0, teacher), (-1.0, random)], confidence)
    low = contrasts.contrast(beyond(thresholds.skill_low), confidence)
    high = contrasts.contrast(beyond(thresholds.skill_high), confidence)
    bounds = intervals.fieller_set(lambda share: contrasts.contrast(beyond(share), confidence), room)
    numbers: dict[str, Interval | None] = {
        "imitator": contrasts.contrast([(1.0, imitator)], confidence),
        "teacher": contrasts.contrast([(1.0, teacher)], confidence),
        "random": contrasts.contrast([(1.0, random)], confidence),
        "teacher - random": room,
        f"imitator - random - {thresholds.skill_low:g} (teacher - random)": low,
        f"imitator - random - {thresholds.skill_high:g} (teacher - random)": high,
        "share": None,
    }
    if bounds is not None:
        numbers["share"] = Interval((imitator.mean - random.mean) / room.estimate, *bounds, confidence)
    found = replace(found, numbers=numbers)
    if not room.above(0):
        return found
    if not long:
        return replace(found, reason=verdicts.FEW_ENDS)
    found = replace(found, answer=_answer(low, high), reason=None)
    if found.answer != verdicts.UNDECIDED:
        return found
    tested = [contrasts.parts(beyond(share)) for share in (thresholds.skill_low, thresholds.skill_high)]
    return replace(found, needed_runs=_needed_runs(tested[0], tested[1], thresholds))


def _answer(low: Interval, high: Interval) -> str:
    if high.above(0):
        return verdicts.ABOVE
    if low.below(0):
        return verdicts.NO
    return verdicts.YES if low.above(0) and high.below(0) else verdicts.UNDECIDED


def _needed_runs(
    low: list[intervals.Moments], high: list[intervals.Moments], thresholds: Thresholds
) -> int | None:
    """Units a sample that would settle on which side of each threshold the estimate lies."""
    needed_low = intervals.needed_units(low, thresholds.confidence, thresholds.power)
    needed_high = intervals.needed_units(high, thresholds.confidence, thresholds.power)
    if sum(part.mean for part in low) < 0:
        return needed_low
    if sum(part.mean for part in high) > 0:
        return needed_high
    return None if needed_low is None or needed_high is None else max(needed_low, needed_high)


def window_is_long(evidence: Evidence, rules: Rules) -> bool:
    """Return whether each teacher's start job, its lanes pooled, spans enough caps or holds enough ends."""
    lanes_by_unit: dict[str, list[ScoredRun]] = {}
    for lane in evidence.reference_starts:
        lanes_by_unit.setdefault(lane.unit, []).append(lane)
    enough_moves = rules.minima.window_caps * rules.episode_cap_moves
    return all(
        sum(lane.num_moves for lane in lanes) >= enough_moves
        or start_skill(lanes, rules.minima.ends).ends >= rules.minima.window_ends
        for lanes in lanes_by_unit.values()
    )


def _both(skill: Verdict, agreement_found: Verdict) -> Verdict:
    """Return Q1's verdict: no if either is no, unknown if either is, yes or above if both agree."""
    answers = (skill.answer, agreement_found.answer)
    both = Verdict(
        "skill",
        skill.claim,
        verdicts.NO,
        marks=skill.marks,
        numbers={**skill.numbers, **agreement_found.numbers},
        n=skill.n,
        m=skill.m,
        parts=(skill, agreement_found),
    )
    if verdicts.NO in answers:
        return both
    if None in answers:
        reasons = [part.reason for part in both.parts if part.answer is None and part.reason]
        return replace(both, answer=None, reason=", ".join(reasons))
    if verdicts.UNDECIDED in answers:
        open_parts = [part for part in both.parts if part.answer == verdicts.UNDECIDED]
        needed = [part.needed_runs for part in open_parts]
        reason = f"{' and '.join(part.task for part in open_parts)} undecided"
        settled = max(filter(None, needed), default=None) if None not in needed else None
        return replace(both, answer=verdicts.UNDECIDED, reason=reason, needed_runs=settled)
    return replace(both, answer=skill.answer)
