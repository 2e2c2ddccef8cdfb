"""Architectures by name: those of this package, of installed packages, and `package.module:OBJECT`.

An installed package offers its own as entry points of the group `understudy.architectures`. Nothing is ever
fetched: a submission of other code is played only where its package is installed, in the declared version.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
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
    that is of no installed package, so that nobody else could have it.
    """
    if ":" not in reference:
        offered = {point.name: point for point in _entry_points()}
        if reference in baselines.names() or reference not in offered:
            if not reserved_names.is_control(reference):
                registry.choose(reference, names(), "architecture (of this and of installed packages)")
            return Found(baselines.load(reference), None)
        reference = offered[reference].value
    architecture = imported(reference)
    package = next(_packages_of(reference), None)
    version = None if package is None else _version(package)
    if package is None or version is None:
        raise InputError(
            f"{reference}: expected an object of an installed package, which submission.json can name with "
            f"its version; found none that has it; install yours: pip install -e FOLDER"
        )
    return Found(architecture, CustomCode(object=reference, package=package, version=version))


def load(name: str, code: CustomCode | None) -> Architecture:
    """Return the architecture that a submission declares.

    Raises InputError for an unknown name, or code whose package is not installed in the declared version,
    does not have the object, or offers it under another name.
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
    if _normal(code.package) not in map(_normal, _packages_of(code.object)):
        raise InputError(f"{what}; expected {code.object} in that package, found it is not of it")
    architecture = imported(code.object)
    if architecture.name != name:
        raise InputError(f"{what}; its object {code.object} is named {architecture.name!r}")
    return architecture


def imported(reference: str) -> Architecture:
    """Return the architecture object `package.module:OBJECT`; the working folder is looked in last.

    Raises InputError if it cannot be imported, is no architecture, or has a name of this package.
    """
    if not re.fullmatch(custom_code.OBJECT, reference):
        raise InputError(f"expected an architecture as package.module:OBJECT; found {reference!r}")
    module_name, _, name = reference.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever a stranger's module raises
        raise InputError(f"{reference}: importing {module_name} failed: {_text(error)}") from error
    if not hasattr(module, name):
        raise InputError(f"{reference}: {module_name} has no object {name!r}")
    found: Any = getattr(module, name)
    if isinstance(found, type):
        raise InputError(
            f"{reference}: expected an architecture object, found the class {name}; name an object of it, or "
            f'make one: understudy.ModuleArchitecture("my-name", {name})'
        )
    lacking = [member for member in MEMBERS if not hasattr(found, member)]
    if lacking:
        raise InputError(
            f"{reference}: expected an architecture with {', '.join(MEMBERS)}; found a "
            f"{type(found).__name__} without {lacking[0]}"
        )
    _check_name(reference, found.name)
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


def _packages_of(reference: str) -> Iterator[str]:
    """Yield the installed packages that an object is of: those that offer it, then those with its module."""
    for point in _entry_points():
        if point.value == reference and point.dist is not None:
            yield point.dist.name
    top = reference.partition(":")[0].partition(".")[0]
    yield from dict.fromkeys(metadata.packages_distributions().get(top, ()))


def _version(package: str) -> str | None:
    """Return an installed package's version; None if it is not there, or only remains of it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _normal(package: str) -> str:
    """Return a package's name as pip compares names: PEP 503."""
    return re.sub(r"[-_.]+", "-", package).lower()


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
