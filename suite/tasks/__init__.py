"""Tasks: the benchmark's questions as pure functions of lives, one file each, with one object `TASK`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from understudy.suite import registry
from understudy.suite.judging.evidence import Evidence
from understudy.suite.judging.rules import Rules
from understudy.suite.verdicts import Verdict


class Task(Protocol):
    """One question put to a row."""

    @property
    def name(self) -> str:
        """The task's name: its file's."""

    @property
    def question(self) -> str:
        """The question in one sentence."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of lives that it needs the imitator to play: start, continue, transfer."""

    def verdict(self, evidence: Evidence, rules: Rules) -> Verdict:
        """Answer the question: a pure function of its arguments, whatever the order of lives."""


def names() -> tuple[str, ...]:
    """Return the registered tasks' names."""
    return registry.names(Path(__file__).parent)


def load(name: str) -> Task:
    """Return a task by name; InputError with a suggestion if there is none."""
    registry.choose(name, names(), "task")
    task: Task = registry.load(__name__, name, "TASK")
    return task
