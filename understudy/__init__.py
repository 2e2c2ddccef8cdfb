"""Understudy: can an imitator of a learner keep learning? A benchmark suite and leaderboard."""

__version__ = "0.1.0"
