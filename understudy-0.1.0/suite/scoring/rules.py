"""Scoring rules of a benchmark: thresholds, minimum counts and windows, as read from its file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """Limits between verdicts. Shares are of the teacher's gain, in Q1 of teacher - random."""

    yes_share: (
        float  # yes: gain and end above the teacher's start both exceed this share of the teacher's gain
    )
    no_share: float  # no: one of the two is below this share of the teacher's gain
    skill_low: float  # Q1: the imitator has the teacher's skill from this share ...
    skill_high: float  # ... to this one
    agreement_share: float  # Q1: yes above this share of the way from the best constant action to the ceiling
    confidence: float  # of the two-sided intervals, e.g. 0.95
    no_confidence: float  # of the two intervals either of which suffices for a no
    power: float  # at which the number of runs that would decide a case is computed

    def __post_init__(self) -> None:
        ordered = 0 < self.no_share < self.yes_share < 1 and 0 < self.skill_low < 1 < self.skill_high
        shares = (self.agreement_share, self.confidence, self.no_confidence, self.power)
        if not ordered or not all(0 < share < 1 for share in shares):
            raise ValueError(
                "expected 0 < no_share < yes_share < 1, 0 < skill_low < 1 < skill_high and the other "
                f"thresholds inside (0, 1); found {self}"
            )


@dataclass(frozen=True)
class Minima:
    """Counts below which a value is marked or a verdict withheld."""

    ends: int  # episode ends in a window; with fewer, skill = points / ends, and the value is marked
    reference_runs: int
    method_units: int
    window_caps: int  # an end window is long enough if it spans this many episode caps ...
    window_ends: int  # ... or holds this many episode ends in every reference run
    agreement_pieces: int  # equal pieces into which the teacher's moves after W are cut

    def __post_init__(self) -> None:
        if min(vars(self).values()) < 1 or self.reference_runs < 2 or self.method_units < 2:
            raise ValueError(
                f"expected positive counts, and at least 2 reference runs and units; found {self}"
            )


@dataclass(frozen=True)
class PublishedReference:
    """A reference known only by published means and standard deviations; its verdicts are provisional."""

    game: str
    runs: int
    start_mean: float  # points an episode, as are all below
    start_sd: float
    end_mean: float
    end_sd: float
    gain_sd: float  # of end - start within a run
    fewest_ends: int  # episode ends in the end window of every run, at least

    def __post_init__(self) -> None:
        low, high = abs(self.end_sd - self.start_sd), self.end_sd + self.start_sd
        if self.runs < 2 or not low <= self.gain_sd <= high:
            raise ValueError(
                "expected at least 2 runs and gain_sd between |end_sd - start_sd| and end_sd + start_sd; "
                f"found {self}"
            )


@dataclass(frozen=True)
class Rules:
    """What a task needs to know about a benchmark at one budget."""

    watched_moves: int  # W
    moves: int  # N, the budget of a run
    end_moves: int  # length of the end window, the last moves of a run
    episode_cap_moves: int
    thresholds: Thresholds
    minima: Minima
    published: PublishedReference | None = None  # of this task; used where there are too few reference runs

    @property
    def window_is_long(self) -> bool:
        """Whether the end window spans enough episode caps, however the players play."""
        return self.end_moves >= self.minima.window_caps * self.episode_cap_moves
