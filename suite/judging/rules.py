"""The numbers a verdict rests on, read from a benchmark's file: thresholds, minimum counts and windows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """Where each verdict begins. Shares are of the ruler's gain, or of teacher minus random in Q1."""

    yes_share: float  # yes: own and level are above this share of the ruler's gain
    no_share: float  # no: own or level is below this share of it
    skill_low: float  # plays at the teacher's skill from this share ...
    skill_high: float  # ... to this one
    likeness_share: float  # moves like the teacher from this share of the way to the ceiling
    confidence: float  # of the two-sided intervals, e.g. 0.95
    no_confidence: float  # of the two intervals that may each say no
    power: float  # at which the number of lives that would settle a case is counted

    def __post_init__(self) -> None:
        ordered = 0 < self.no_share < self.yes_share < 1 and 0 < self.skill_low < 1 < self.skill_high
        shares = (self.likeness_share, self.confidence, self.no_confidence, self.power)
        if not ordered or not all(0 < share < 1 for share in shares):
            raise ValueError(
                "expected 0 < no_share < yes_share < 1, 0 < skill_low < 1 < skill_high and the other "
                f"thresholds inside (0, 1); found {self}"
            )


@dataclass(frozen=True)
class Minima:
    """Counts below which a number is marked or a verdict withheld."""

    ends: int  # episode ends in a window; with fewer, skill = points / ends and is marked
    ruler_lives: int
    method_units: int
    window_caps: int  # an end window spans so many episode caps ...
    window_ends: int  # ... or holds so many ends in every ruler life
    likeness_pieces: int  # equal pieces into which the teacher's next moves are cut

    def __post_init__(self) -> None:
        if min(vars(self).values()) < 1 or self.ruler_lives < 2 or self.method_units < 2:
            raise ValueError(f"expected positive counts, and at least 2 ruler lives and units; found {self}")


@dataclass(frozen=True)
class PublishedRuler:
    """A ruler known by published means and standard deviations only; it makes a verdict provisional."""

    game: str
    lives: int
    start_mean: float  # points an episode, as all below
    start_sd: float
    end_mean: float
    end_sd: float
    gain_sd: float  # of end minus start within a life
    fewest_ends: int  # at least so many episodes ended in the end window of each run

    def __post_init__(self) -> None:
        low, high = abs(self.end_sd - self.start_sd), self.end_sd + self.start_sd
        if self.lives < 2 or not low <= self.gain_sd <= high:
            raise ValueError(
                "expected at least 2 lives and gain_sd between |end_sd - start_sd| and end_sd + start_sd; "
                f"found {self}"
            )


@dataclass(frozen=True)
class Rules:
    """What a task needs to know of a benchmark at one budget."""

    watched_moves: int  # W
    moves: int  # N of the budget
    end_moves: int  # the last so many moves of a life are its end
    episode_cap_moves: int
    thresholds: Thresholds
    minima: Minima
    published: PublishedRuler | None = None  # of the task at hand, used when too few ruler lives exist

    @property
    def window_is_long(self) -> bool:
        """Whether the end window spans enough episode caps whatever the players do."""
        return self.end_moves >= self.minima.window_caps * self.episode_cap_moves
