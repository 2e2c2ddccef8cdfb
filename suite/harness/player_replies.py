"""Replies of a player process in JSON, each of a strict form: whatever else is sent is a `MessageFault`.

A stranger's code may write them. Numbers are whole and from 0 to 2^63 - 1, as sizes of tensors are.
"""

from __future__ import annotations

import math
from typing import Annotated, Final, TypeVar

import pydantic
from pydantic import AfterValidator, BaseModel, Field

from understudy.suite import escaping, json_text, validation
from understudy.suite.harness.player_messages import MOST_CHARACTERS, Fault, MessageFault
from understudy.suite.validation import Sha256

MOST: Final = (1 << 63) - 1
MOST_DIMENSIONS: Final = 64  # of a tensor
Model = TypeVar("Model", bound=BaseModel)
Count = Annotated[int, Field(ge=0, le=MOST)]


def _of_bounded_size(shape: tuple[int, ...]) -> tuple[int, ...]:
    if math.prod(shape) > MOST:
        raise ValueError(f"expected at most {MOST:,} elements")
    return shape


Shape = Annotated[tuple[Count, ...], Field(max_length=MOST_DIMENSIONS), AfterValidator(_of_bounded_size)]


class Loaded(BaseModel):
    """Reply to LOAD."""

    model_config = validation.STRICT
    reach_moves: Annotated[int, Field(ge=1, le=MOST)] | None  # None: there is no bound


class StateForm(BaseModel):
    """Reply to INITIAL_STATE."""

    model_config = validation.STRICT
    forms: dict[str, tuple[str, Shape]]  # name -> dtype and shape of a tensor
    size_bytes: Count


class Digest(BaseModel):
    """Reply to DIGEST."""

    model_config = validation.STRICT
    sha256: Sha256 | None  # None: not asked for
    size_bytes: Count


class ParametersHash(BaseModel):
    """Reply to PARAMETERS."""

    model_config = validation.STRICT
    sha256: Sha256


class _Failure(BaseModel):
    model_config = validation.STRICT
    expected: str
    found: str
    advice: str
    move: Count | None
    lane: Count | None


def parsed(kind: type[Model], body: memoryview, what: str = "a reply") -> Model:
    """Return the JSON of a reply as its model; MessageFault, which names `what`, for another form."""
    data = bytes(body)
    try:
        json_text.values(data)  # refuses more than pydantic does: a key that stands twice
        return kind.model_validate_json(data)
    except pydantic.ValidationError as error:
        problem = validation.problem_text(error.errors(include_url=False)[0])
    except ValueError as error:
        problem = escaping.shortened(escaping.one_line(str(error)))
    raise MessageFault(f"{what} of another form ({problem})")


def fault(body: memoryview) -> Fault:
    """Return what another process says of a failure, in printable characters; raises as `parsed`."""
    found = parsed(_Failure, body, "a failure")
    expected, what, advice = (
        escaping.one_line(text)[:MOST_CHARACTERS] for text in (found.expected, found.found, found.advice)
    )
    return Fault(expected, what, advice, found.move, found.lane)
