"""Understudy: can an imitator of a learner keep learning? The front door."""

__version__ = "0.1.0"
