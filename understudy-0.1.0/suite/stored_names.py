"""Words that stored files and seeds keep, and former names of players.

Histories of format 1 are published. Their words stay on disk and in seeds; code that reads or writes them
maps the words here and nowhere else.
"""

from __future__ import annotations

from typing import Final

from understudy.suite.errors import InputError

HISTORY_RUN: Final = "life"  # key of `Header.run` in a history, part of its content hash
WEIGHTS_RUN_SEED: Final = "life_seed"  # key in the metadata of a teacher's weights
IMPORTED_KIND: Final = "foreign"  # kind of an imported run and of its player in a history's header
TRAINING_PROGRESS: Final = "teach.json"  # progress file of teacher runs that were begun before the renaming
TRAINING_FIT_STREAM: Final = "probe"  # from which the windows of a reported fit are drawn

_FORMER: Final = {  # former name of a player -> its name now
    "markov": "bc",
    "step-counter": "bc-time",
    "dqn-carrying-on": "dqn-continued",
    "dqn-fresh": "dqn-scratch",
    "dqn-transplanted": "dqn-warm-start",
    "policy-at-w": "frozen-teacher",
    "teacher-replayer": "open-loop-replay",
}


def current(name: str) -> str:
    """Return what a player of a former or present name is called now."""
    return _FORMER.get(name, name)


def refuse_former(name: str) -> None:
    """Raise InputError for a player's former name, with the name that it has now."""
    if name in _FORMER:
        raise InputError(f"{name!r} is called {_FORMER[name]!r} now; give that name")
