"""The agreement verdict, half of Q1: does the imitator predict the teacher better than a constant action?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from understudy.suite.scoring import contrasts, intervals, verdicts
from understudy.suite.scoring.contrasts import METHOD, Sample, Term
from understudy.suite.scoring.evidence import Evidence, Predictions
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.rules import Rules
from understudy.suite.scoring.verdicts import Verdict

TASK = "agreement"  # `Verdict.task` of this part of Q1
NORMALISED_AGREEMENT = "normalised agreement"  # key of `Verdict.numbers`: 0 the majority, 1 the ceiling
MEASURES = ("agreement", "majority", "ceiling", "loss_nats", "floor_nats")  # keys too, and fields of `Pieces`


@dataclass(frozen=True, eq=False)
class Pieces:
    """Means over equal pieces of the teacher's moves after W, without the explored moves."""

    agreement: NDArray[np.float64]  # [pieces] share of moves in which the imitator predicted the teacher's
    majority: NDArray[np.float64]  # [pieces] likewise, of the best constant action
    ceiling: NDArray[np.float64]  # [pieces] likewise, of the best known player
    loss_nats: NDArray[np.float64]  # [pieces] of the imitator, on the chosen action
    floor_nats: NDArray[np.float64] | None  # [pieces] of the best known player


def verdict(evidence: Evidence, rules: Rules) -> Verdict:
    """Return the verdict named `agreement`, which compares normalised agreement with `agreement_share`.

    Units are the pieces; in a method claim the teacher runs, averaged over pieces and checkpoints.
    """
    found = Verdict(TASK, evidence.claim, None, verdicts.NO_AGREEMENT)
    pieces = rules.minima.agreement_pieces
    measured = [one for one in evidence.predictions if np.count_nonzero(~one.explored) >= pieces]
    if not measured or len(measured) < len(evidence.predictions):
        return found
    samples = _samples(measured, evidence.claim, pieces)
    n = len(samples["agreement"].units)
    if evidence.claim == METHOD and n < rules.minima.method_units:
        few = verdicts.FEW_UNITS.format(minimum=rules.minima.method_units)
        return Verdict(TASK, evidence.claim, None, few, n=n)
    return _verdict_on(samples, evidence.claim, rules, n)


def cut(predictions: Predictions, num_pieces: int) -> Pieces:
    """Return the means over `num_pieces` pieces of nearly equal length; there must be that many moves."""
    kept = ~predictions.explored
    chosen = predictions.chosen[kept]
    actions, counts = np.unique(chosen, return_counts=True)
    constant = actions[np.argmax(counts)]
    floor = None if predictions.floor_nats is None else _means(predictions.floor_nats[kept], num_pieces)
    return Pieces(
        agreement=_means(predictions.predicted[kept] == chosen, num_pieces),
        majority=_means(chosen == constant, num_pieces),
        ceiling=_means(predictions.ceiling[kept], num_pieces),
        loss_nats=_means(predictions.loss_nats[kept], num_pieces),
        floor_nats=floor,
    )


def _means(values: NDArray[np.generic], num_pieces: int) -> NDArray[np.float64]:
    """Return the means of consecutive pieces; the first are one value longer if they cannot be equal."""
    length, longer = divmod(values.size, num_pieces)
    lengths = np.full(num_pieces, length) + (np.arange(num_pieces) < longer)
    means: NDArray[np.float64] = (
        np.add.reduceat(values.astype(np.float64), np.cumsum(lengths) - lengths) / lengths
    )
    return means


def _samples(measured: Sequence[Predictions], claim: str, num_pieces: int) -> dict[str, Sample]:
    """Return one sample a measure, all over the same units; without those that some predictions lack."""
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


def _verdict_on(samples: dict[str, Sample], claim: str, rules: Rules, n: int) -> Verdict:
    thresholds = rules.thresholds
    confidence, share = thresholds.confidence, thresholds.agreement_share

    def beyond(ratio: float) -> list[Term]:
        """Return agreement - majority - ratio (ceiling - majority)."""
        rest = ratio - 1.0
        agreement, majority, ceiling = (samples[name] for name in ("agreement", "majority", "ceiling"))
        return [(1.0, agreement), (rest, majority), (-ratio, ceiling)]

    room = contrasts.contrast([(1.0, samples["ceiling"]), (-1.0, samples["majority"])], confidence)
    contrast = contrasts.contrast(beyond(share), confidence)
    numbers: dict[str, Interval | None] = {
        name: contrasts.contrast([(1.0, sample)], confidence) for name, sample in samples.items()
    }
    numbers |= {
        "ceiling - majority": room,
        f"agreement - majority - {share:g} (ceiling - majority)": contrast,
        NORMALISED_AGREEMENT: None,
    }
    if not room.above(0):
        return Verdict(TASK, claim, None, verdicts.NO_CEILING, numbers=numbers, n=n)
    bounds = intervals.fieller_set(lambda ratio: contrasts.contrast(beyond(ratio), confidence), room)
    if bounds is not None:
        reached = contrasts.contrast(beyond(0.0), confidence).estimate / room.estimate
        numbers[NORMALISED_AGREEMENT] = Interval(reached, *bounds, confidence)
    if contrast.above(0):
        return Verdict(TASK, claim, verdicts.YES, numbers=numbers, n=n)
    if contrast.below(0):
        return Verdict(TASK, claim, verdicts.NO, numbers=numbers, n=n)
    needed = intervals.needed_units(contrasts.parts(beyond(share)), confidence, thresholds.power)
    return Verdict(TASK, claim, verdicts.UNDECIDED, numbers=numbers, n=n, needed_runs=needed)
