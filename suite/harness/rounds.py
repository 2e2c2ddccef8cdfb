"""Rounds: the salts from which the seeds of ranked runs derive.

A round's salt is drawn after the identities of its submissions were committed, so nobody can choose weights
for the luck of their seeds. Runs of round `dev` may be played by anyone at any time; their rows are
self-reported. Controls have nothing to choose and are always played under the first round.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pydantic.dataclasses
from pydantic import BaseModel, Field

from understudy.suite import validation
from understudy.suite.errors import InputError
from understudy.suite.io import bounded, checkout, files
from understudy.suite.validation import Sha256

ROUNDS: Final = checkout.ROOT / "leaderboard" / "rounds.json"
DEV: Final = "dev"  # name of the round that was never drawn, and its salt
FORMAT: Final = 1
SALT_BYTES: Final = 16


@pydantic.dataclasses.dataclass(frozen=True, config=validation.STRICT_FIELDS)
class Committed:
    """A submission that was committed to a round: all that decides what its row plays."""

    identity: Sha256
    benchmark: str  # name
    name: str  # of the row
    decoding: str
    track: str
    priming_moves: Annotated[int, Field(ge=0)]
    declaration: Sha256  # `submission_format.declaration_hash`

    @property
    def weights(self) -> tuple[str, str]:
        """Benchmark and identity: whose seeds differ from round to round, whatever is declared of them."""
        return self.benchmark, self.identity


@dataclass(frozen=True)
class Round:
    """A round of rows; without a salt it is open, and submissions can be committed to it."""

    name: str  # "1", "2", ... or "dev"
    committed: tuple[Committed, ...] = ()
    salt: str | None = None
    drawn: str | None = None  # ISO date

    def require(self, played: Committed | None) -> str:
        """Return the salt; InputError unless the round was drawn and a submission was committed before.

        Args:
            played: the submission, which has to be as it was committed; None: a control.
        """
        if self.name == DEV:
            return DEV
        if self.salt is None:
            raise InputError(f"--round {self.name}: it has no salt yet; draw it: understudy rounds draw")
        if played is None or played in self.committed:
            return self.salt
        same = [each for each in self.committed if each.identity == played.identity]
        why = f"committed with another {_differing(same[0], played)}" if same else "which was not committed"
        other = "commit it to the next round: understudy rounds commit"
        if any(each.weights == played.weights for each in same):  # no later round takes them
            other = "score it as it was committed"
        raise InputError(
            f"{played.name}: expected a submission as it was committed to round {self.name} before its salt "
            f"was drawn; found {played.identity[:12]}, {why}; give --round dev, or {other}"
        )


DEV_ROUND: Final = Round(DEV)


class _Round(BaseModel):
    model_config = validation.STRICT
    round: int = Field(ge=1)
    committed: tuple[Committed, ...]
    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None
    drawn: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None


class _File(BaseModel):
    model_config = validation.STRICT
    format: Literal[1]
    rounds: tuple[_Round, ...]


def read(path: Path = ROUNDS) -> list[Round]:
    """Return the rounds in a file, in order; none if there is no such file.

    Raises InputError unless the file is well formed, its rounds are numbered from 1, and all but the last are
    drawn.
    """
    return list(_read(path, path.stat().st_mtime_ns, path.stat().st_size)) if path.exists() else []


@functools.lru_cache(maxsize=8)
def _read(path: Path, modified_ns: int, size_bytes: int) -> tuple[Round, ...]:
    found = validation.document(_File, bounded.read(path), path, "restore it")
    for number, each in enumerate(found.rounds, 1):
        is_last = number == len(found.rounds)
        if each.round != number or (each.salt is None) != (each.drawn is None):
            raise InputError(
                f"{path}: rounds.{number - 1}: expected round {number}, with salt and date or neither"
            )
        if each.salt is None and not is_last:
            raise InputError(f"{path}: round {number} has no salt, and only the last may be open; restore it")
    return tuple(Round(str(each.round), each.committed, each.salt, each.drawn) for each in found.rounds)


def load(name: str, path: Path = ROUNDS) -> Round:
    """Return a round by name: a number, or `dev`; InputError if there is none."""
    if name == DEV:
        return DEV_ROUND
    known = {each.name: each for each in read(path)}
    if name not in known:
        raise InputError(
            f"--round: expected {DEV} or one of {', '.join(known) or 'none yet'}; found {name!r}"
        )
    return known[name]


def of_controls(path: Path = ROUNDS) -> Round:
    """Return the round under which controls are played: the first, or `dev` while none is drawn."""
    first = next(iter(read(path)), None)
    return first if first is not None and first.salt is not None else DEV_ROUND


def commit(entries: Sequence[Committed], path: Path = ROUNDS) -> Round:
    """Add submissions to the open round, which is begun if there is none; return it.

    A submission that is in it already is not added again. Raises InputError for one of a drawn round, for
    another one of a name that is in it, and for an installed package's file.
    """
    checkout.require_for(path)
    found = read(path)
    if not found or found[-1].salt is not None:
        found.append(Round(str(len(found) + 1)))
    for number, each in enumerate(entries):
        earlier = [*found[-1].committed, *entries[:number]]
        if why := why_no_later(each, found) or why_not_beside(each, earlier):
            raise InputError(f"{each.name}: {why}")
    new = [each for each in dict.fromkeys(entries) if each not in found[-1].committed]
    found[-1] = replace(found[-1], committed=(*found[-1].committed, *new))
    _write(found, path)
    return found[-1]


def why_no_later(submission: Committed, known: Sequence[Round]) -> str | None:
    """Return why a submission cannot be committed to the open round; None if it can.

    Every round gives the same weights other seeds, so whoever may commit them to each could wait for seeds
    that are kind. A row's name and decoding change no seed, and make no other submission of them here.
    """
    earlier = [each for each in known if each.salt is not None]
    names = [each.name for each in earlier if submission.weights in (one.weights for one in each.committed)]
    if not names:
        return None
    return (
        f"{submission.identity[:12]} was committed to round {names[0]}, which is drawn, and no later round "
        f"gives it other seeds; score it under that one: understudy score --round {names[0]}"
    )


def why_not_beside(submission: Committed, others: Sequence[Committed]) -> str | None:
    """Return why a submission cannot be in one round with some others; None if it can.

    A name with several submissions would leave open until its row comes whose the row is.
    """
    named = (submission.benchmark, submission.name)
    other = next(
        (each for each in others if (each.benchmark, each.name) == named and each != submission), None
    )
    if other is None:
        return None
    return (
        f"expected one submission of this name on {submission.benchmark} in a round; found "
        f"{other.identity[:12]} and {submission.identity[:12]}; give one of them another name in "
        "submission.json, and commit again"
    )


def draw(path: Path = ROUNDS) -> Round:
    """Draw the salt of the open round and write it with today's date; return the round.

    Raises InputError if no round is open, or for an installed package's file.
    """
    checkout.require_for(path)
    found = read(path)
    if not found or found[-1].salt is not None:
        raise InputError(f"{path}: no round is open; commit submissions first: understudy rounds commit")
    found[-1] = replace(found[-1], salt=secrets.token_hex(SALT_BYTES), drawn=date.today().isoformat())
    _write(found, path)
    return found[-1]


def _write(rounds: Sequence[Round], path: Path) -> None:
    files.write_json(path, {"format": FORMAT, "rounds": [_json(each) for each in rounds]})


def _json(each: Round) -> dict[str, Any]:
    committed = [asdict(one) for one in each.committed]
    return {"round": int(each.name), "committed": committed, "salt": each.salt, "drawn": each.drawn}


def _differing(committed: Committed, played: Committed) -> str:
    """Return the first thing in which a submission differs from a committed one of its identity."""
    names = {"benchmark": "benchmark", "name": "name", "decoding": "decoding", "track": "track"}
    names |= {"priming_moves": "number of priming moves", "declaration": "declared data or training seed"}
    return next(text for key, text in names.items() if getattr(committed, key) != getattr(played, key))
