"""Architectures by name: those of this package, of installed packages, and `package.module:OBJECT`.

An installed package offers its own as entry points of the group `understudy.architectures`. Nothing is ever
fetched: a submission of other code is played only where its package is installed, in the declared version.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any, cast

from understudy import baselines
from understudy.baselines import Architecture
from understudy.suite import custom_code, registry, reserved_names
from understudy.suite.custom_code import CustomCode
from understudy.suite.errors import InputError

GROUP = "understudy.architectures"  # of entry points
MEMBERS = ("name", "config", "build")  # of an architecture; `baselines.Architecture` describes them


@dataclass(frozen=True)
class Found:
    """An architecture, and the code that it is if it does not come with this package."""

    architecture: Architecture
    code: CustomCode | None


def names() -> tuple[str, ...]:
    """Return the names of the architectures of this package and of installed ones, sorted."""
    return tuple(sorted({*baselines.names(), *(point.name for point in _entry_points())}))


def find(reference: str) -> Found:
    """Return the architecture of a name or of `package.module:OBJECT`.

    Raises InputError for an unknown name, an object that cannot be imported or is no architecture, and one
    that no installed package offers, so that nobody else could have it.
    """
    if ":" not in reference:
        offered = {point.name: point for point in _entry_points()}
        if reference in baselines.names() or reference not in offered:
            if not reserved_names.is_control(reference):
                registry.choose(reference, names(), "architecture (of this and of installed packages)")
            return Found(baselines.load(reference), None)
        reference = offered[reference].value
    architecture = imported(reference)
    code = next(_offered(reference), None)
    if code is None:
        raise InputError(
            f"{reference}: expected an object that an installed package offers as an entry point of "
            f"{GROUP!r}, so that submission.json can name it; add it to your pyproject.toml, and install that"
        )
    return Found(architecture, code)


def load(name: str, code: CustomCode | None) -> Architecture:
    """Return the architecture that a submission declares.

    Raises InputError for an unknown name, or code whose package is not installed in the declared version, or
    does not offer the object as an entry point. Nothing is imported then: a submission is a stranger's text.
    """
    if code is None:
        return baselines.load(name)
    what = f"architecture {name!r} is custom code of the package {code.package} {code.version}"
    version = _version(code.package)
    if version is None:
        raise InputError(
            f"{what}, which is not installed here; if you trust it, get that version from its author, and "
            "install it"
        )
    if version != code.version:
        raise InputError(f"{what}; found version {version}; install the declared one")
    if _normal(code.package) not in (_normal(each.package) for each in _offered(code.object)):
        raise InputError(
            f"{what}; expected {code.object} among its entry points of {GROUP!r}, by which it says "
            "what may be run; found it is not"
        )
    architecture = imported(code.object)
    if architecture.name != name:
        raise InputError(f"{what}; its object {code.object} is named {architecture.name!r}")
    return architecture


def imported(reference: str) -> Architecture:
    """Return the architecture object `package.module:OBJECT`.

    Raises InputError if it cannot be imported, is no architecture, or has a name of this package.
    """
    if not re.fullmatch(custom_code.OBJECT, reference):
        raise InputError(f"expected an architecture as package.module:OBJECT; found {reference!r}")
    module_name, _, name = reference.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module_name), name)
        if isinstance(found, type):
            raise InputError(
                f"{reference}: expected an architecture object, found the class {name}; name an object of "
                f'it, or make one: understudy.ModuleArchitecture("my-name", {name})'
            )
        members = {member: getattr(found, member, None) for member in MEMBERS}
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # whatever a stranger's module raises
        raise InputError(f"{reference}: importing it fails: {type(error).__name__}: {error}") from error
    lacking = [member for member, value in members.items() if value is None]
    if lacking or not (callable(members["config"]) and callable(members["build"])):
        raise InputError(
            f"{reference}: expected an architecture with {', '.join(MEMBERS)}; found a "
            f"{type(found).__name__} without {lacking[0] if lacking else 'these methods'}"
        )
    _check_name(reference, members["name"])
    return cast(Architecture, found)


def _check_name(reference: str, name: object) -> None:
    if not isinstance(name, str) or not reserved_names.NAME.fullmatch(name):
        raise InputError(
            f"{reference}: expected a name of small letters, digits, '.', '_' and '-'; found {name!r}"
        )
    if name in baselines.names() or reserved_names.is_control(name):
        raise InputError(
            f"{reference}: expected a name of its own; found {name!r}, which this package has; change it"
        )


def _entry_points() -> tuple[metadata.EntryPoint, ...]:
    return tuple(metadata.entry_points(group=GROUP))


def _offered(reference: str) -> Iterator[CustomCode]:
    """Yield the installed packages that offer an object, with their versions."""
    for point in _entry_points():
        version = None if point.dist is None else _version(point.dist.name)
        if point.value == reference and point.dist is not None and version is not None:
            yield CustomCode(object=reference, package=point.dist.name, version=version)


def _version(package: str) -> str | None:
    """Return an installed package's version; None if it is not there, or only remains of it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _normal(package: str) -> str:
    """Return a package's name as pip compares names: PEP 503."""
    return re.sub(r"[-_.]+", "-", package).lower()
