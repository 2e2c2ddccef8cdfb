"""Likeness, half of Q1: does the imitator choose as the teacher does, beyond what a constant player would?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.suite import stats, verdicts
from understudy.suite.judging import contrasts
from understudy.suite.judging.contrasts import METHOD, Sample, Term
from understudy.suite.judging.evidence import Evidence, Likeness
from understudy.suite.judging.rules import Rules
from understudy.suite.stats import Interval
from understudy.suite.verdicts import Verdict

MEASURES = ("agreement", "majority", "ceiling", "loss_nats", "floor_nats")


@dataclass(frozen=True, eq=False)
class Pieces:
    """The means of equal pieces of the teacher's next moves, explored moves left out."""

    agreement: NDArray[np.float64]  # [pieces] share of moves in which the imitator chose as the teacher
    majority: NDArray[np.float64]  # [pieces] the same for the one best constant player
    ceiling: NDArray[np.float64]  # [pieces] the same for the best player known
    loss_nats: NDArray[np.float64]  # [pieces] of the imitator, on the chosen action
    floor_nats: NDArray[np.float64] | None  # [pieces] of the best player known


def verdict(evidence: Evidence, rules: Rules) -> Verdict:
    """Return the verdict called `likeness`: agreement against a share of the way from majority to ceiling.

    Units are the pieces; in a method claim the teacher lives, pieces and checkpoints averaged.
    """
    found = Verdict("likeness", evidence.claim, None, verdicts.NO_LIKENESS)
    pieces = rules.minima.likeness_pieces
    measured = [one for one in evidence.likeness if np.count_nonzero(~one.explored) >= pieces]
    if not measured or len(measured) < len(evidence.likeness):
        return found
    samples = _samples(measured, evidence.claim, pieces)
    n = len(samples["agreement"].units)
    if evidence.claim == METHOD and n < rules.minima.method_units:
        few = verdicts.FEW_UNITS.format(minimum=rules.minima.method_units)
        return Verdict("likeness", evidence.claim, None, few, n=n)
    return _judged(samples, evidence.claim, rules, n)


def cut(likeness: Likeness, num_pieces: int) -> Pieces:
    """Return the means of `num_pieces` pieces, as equal as the moves allow; there must be that many moves."""
    kept = ~likeness.explored
    chosen = likeness.chosen[kept]
    actions, counts = np.unique(chosen, return_counts=True)
    constant = actions[np.argmax(counts)]
    floor = None if likeness.floor_nats is None else _means(likeness.floor_nats[kept], num_pieces)
    return Pieces(
        agreement=_means(likeness.predicted[kept] == chosen, num_pieces),
        majority=_means(chosen == constant, num_pieces),
        ceiling=_means(likeness.ceiling[kept], num_pieces),
        loss_nats=_means(likeness.loss_nats[kept], num_pieces),
        floor_nats=floor,
    )


def _means(values: NDArray[np.generic], num_pieces: int) -> NDArray[np.float64]:
    """Means of consecutive pieces, the first ones a value longer where the pieces can't be equal."""
    length, longer = divmod(values.size, num_pieces)
    lengths = np.full(num_pieces, length) + (np.arange(num_pieces) < longer)
    means: NDArray[np.float64] = (
        np.add.reduceat(values.astype(np.float64), np.cumsum(lengths) - lengths) / lengths
    )
    return means


def _samples(measured: Sequence[Likeness], claim: str, num_pieces: int) -> dict[str, Sample]:
    """Return one sample a measure, all over the same units; a measure that some life lacks is left out."""
    cuts = [(one, cut(one, num_pieces)) for one in measured]
    samples = {}
    for measure in MEASURES:
        by_unit: dict[str, list[float]] = {}
        for one, pieces in cuts:
            values = getattr(pieces, measure)
            if values is None:
                break
            for index, value in enumerate(values):
                piece = f"{one.unit}, checkpoint {one.checkpoint}, piece {index:03d}"
                by_unit.setdefault(one.unit if claim == METHOD else piece, []).append(float(value))
        else:
            units = tuple(sorted(by_unit))
            samples[measure] = Sample(units, tuple(float(np.mean(by_unit[unit])) for unit in units))
    return samples


def _judged(samples: dict[str, Sample], claim: str, rules: Rules, n: int) -> Verdict:
    thresholds = rules.thresholds
    confidence, share = thresholds.confidence, thresholds.likeness_share

    def beyond(ratio: float) -> list[Term]:
        """Agreement - majority, minus a share of ceiling - majority."""
        rest = ratio - 1.0
        agreement, majority, ceiling = (samples[name] for name in ("agreement", "majority", "ceiling"))
        return [(1.0, agreement), (rest, majority), (-ratio, ceiling)]

    room = contrasts.contrast([(1.0, samples["ceiling"]), (-1.0, samples["majority"])], confidence)
    contrast = contrasts.contrast(beyond(share), confidence)
    numbers: dict[str, Interval | None] = {
        name: contrasts.contrast([(1.0, sample)], confidence) for name, sample in samples.items()
    }
    numbers |= {"room": room, f"agreement - majority - {share:g} room": contrast, "likeness": None}
    if not room.above(0):
        return Verdict("likeness", claim, None, verdicts.NO_CEILING, numbers=numbers, n=n)
    bounds = stats.fieller_set(lambda ratio: contrasts.contrast(beyond(ratio), confidence), room)
    if bounds is not None:
        reached = contrasts.contrast(beyond(0.0), confidence).estimate / room.estimate
        numbers["likeness"] = Interval(reached, *bounds, confidence)
    if contrast.above(0):
        return Verdict("likeness", claim, verdicts.YES, numbers=numbers, n=n)
    if contrast.below(0):
        return Verdict("likeness", claim, verdicts.NO, numbers=numbers, n=n)
    needed = stats.needed_units(contrasts.parts(beyond(share)), confidence, thresholds.power)
    return Verdict("likeness", claim, verdicts.UNDECIDED, numbers=numbers, n=n, needed_lives=needed)
