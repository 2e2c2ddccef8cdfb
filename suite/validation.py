"""The one validator of what others write: settings, benchmark files, submissions. It is pydantic, strictly.

A mistake becomes one line: where it is, what was expected, what was found, and the nearest known name.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, cast

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from understudy.suite import escaping, json_text, registry
from understudy.suite.errors import InputError

Checked = TypeVar("Checked")
Model = TypeVar("Model", bound=BaseModel)
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
STRICT = ConfigDict(strict=True, frozen=True, extra="forbid")
STRICT_FIELDS = ConfigDict(strict=True, extra="forbid")  # of a dataclass, which is frozen by its decorator
EXPECTED = {  # pydantic's types of errors
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a text",
    "tuple_type": "a list",
    "dict_type": "a table",
}


def bounded(
    least: float,
    most: float,
    default: Any = dataclasses.MISSING,
    meaning: str = "",
    *,
    is_later: bool = False,
) -> Any:
    """Return a dataclass field for a number in [least, most]; `meaning` is shown in lists of settings.

    A field that `is_later` came after values were stored without it: `stored` leaves it out at its default.
    """
    metadata = {"least": least, "most": most, "meaning": meaning, "is_later": is_later}
    return dataclasses.field(default=default, metadata=metadata)


def stored(values: Any) -> dict[str, Any]:
    """Return a dataclass's values by name, from which `checked` makes it again.

    Later fields are left out where they have their defaults, so that equal settings stay equal when stored.
    """
    later = {f.name: f.default for f in dataclasses.fields(values) if f.metadata.get("is_later")}
    found = dataclasses.asdict(values)
    return {name: value for name, value in found.items() if name not in later or value != later[name]}


def checked(kind: type[Checked], values: Mapping[str, Any], where: str, what: str, **given: Any) -> Checked:
    """Return a dataclass built from values that others wrote.

    Args:
        kind: a dataclass; fields made by `bounded` have bounds.
        values: by the names of its fields; lists stand for tuples.
        where: what the values are of, e.g. a file and a section; begins each message.
        what: a value's name in messages, e.g. `setting`.
        given: fields that are not among the values.

    Raises InputError for a value that is unknown, missing, of another type, not finite or out of bounds, and
    for values that the dataclass itself refuses by ValueError.
    """
    model = _model(cast(Any, kind), tuple(given))
    for name in values:
        registry.choose(name, model.model_fields, f"{what} of {where}")
    missing = [n for n, field in model.model_fields.items() if field.is_required() and n not in values]
    if missing:
        raise InputError(f"{where}: expected the {what} {missing[0]!r}, found none")
    try:
        found = model.model_validate({name: _tupled(value) for name, value in values.items()})
        fields = {name: getattr(found, name) for name in model.model_fields}
        whole = {name: value for name, value in values.items() if isinstance(value, int)}  # 0, not 0.0
        return kind(**{**fields, **whole}, **given)
    except pydantic.ValidationError as error:
        raise InputError(f"{where}: {problem_text(error.errors(include_url=False)[0])}") from error
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


def document(kind: type[Model], data: bytes, where: object, advice: str) -> Model:
    """Return the JSON document in a file's bytes as a strict pydantic model; the rest as `plain_document`."""
    return _checked(kind, data, where, advice)[0]


def plain_document(kind: type[BaseModel], data: bytes, where: object, advice: str) -> dict[str, Any]:
    """Return the JSON document in a file's bytes as plain values, checked by a strict pydantic model.

    Args:
        kind: the model; unknown keys, other types and another `format` are refused as it declares them.
        data: the file's content.
        where: begins each message.
        advice: ends each message: what to do.

    Raises InputError for bytes that are not JSON, a key that stands twice, a number that is not finite, and
    the first value that the model refuses.
    """
    return cast(dict[str, Any], _checked(kind, data, where, advice)[1])


def _checked(kind: type[Model], data: bytes, where: object, advice: str) -> tuple[Model, Any]:
    try:
        values = json_text.values(data)
        return _validated(kind, data), values
    except pydantic.ValidationError as error:
        problems = error.errors(include_url=False)
        of_format = [problem for problem in problems if problem["loc"] == ("format",)]
        raise InputError(f"{where}: {_document_text((of_format or problems)[0])}; {advice}") from error
    except ValueError as error:
        raise InputError(f"{where}: not readable JSON ({error}); {advice}") from error


@functools.lru_cache(maxsize=4_096)  # a row's records are read for its runs, its weights and its checks
def _validated(kind: type[Model], data: bytes) -> Model:
    return kind.model_validate_json(data)


def _document_text(problem: Any) -> str:
    """Return one of pydantic's problems with a document in words."""
    place = place_of(problem)
    if problem["type"] == "missing":
        return f"expected the key {place!r}, found none"
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown key {place!r}"
    if not place and problem["type"] != "model_type":  # keys that contradict each other
        return str(problem["msg"])
    if not place:
        return f"expected an object, found {repr(problem['input'])[:80]}"
    return problem_text(problem)


def place_of(problem: Any) -> str:
    """Return where one of pydantic's problems is, as keys and numbers with dots between them."""
    return escaping.shortened(".".join(str(part) for part in problem["loc"]))


def problem_text(problem: Any) -> str:
    """Return one of pydantic's problems in words: the place, what was expected, what was found."""
    place = place_of(problem)
    found = repr(problem["input"])
    found = found if len(found) <= 80 else f"{found[:77]}..."
    context = problem.get("ctx", {})
    expected = EXPECTED.get(problem["type"])
    if expected is None and "ge" in context:
        expected = f"at least {context['ge']:,}"
    if expected is None and "le" in context:
        expected = f"at most {context['le']:,}"
    return f"{place}: {f'expected {expected}' if expected else problem['msg']}; found {found}"


@functools.cache
def _model(kind: Any, given: tuple[str, ...]) -> type[BaseModel]:
    """Return the pydantic model of a dataclass, without the given fields."""
    types = typing.get_type_hints(kind)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if field.name in given:
            continue
        of_type: Any = types[field.name]
        if "least" in field.metadata:
            of_type = Annotated[of_type, Field(ge=field.metadata["least"], le=field.metadata["most"])]
        if types[field.name] is float:
            of_type = Annotated[of_type, Field(allow_inf_nan=False)]
        default = ... if field.default is dataclasses.MISSING else field.default
        fields[field.name] = (of_type, default)
    return pydantic.create_model(kind.__name__, __config__=STRICT, **fields)


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
