"""Scoring: pure functions from stored runs to verdicts. The tasks are built from these modules."""
