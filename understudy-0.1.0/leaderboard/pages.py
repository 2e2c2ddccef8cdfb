"""Pages with generated tables: the text between two markers is replaced by a table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from understudy.suite import registry
from understudy.suite.errors import InputError
from understudy.suite.io import files

_PLACE = re.compile(r"<!-- table: (?P<name>[^\n]+?) -->\n(?P<table>.*?)<!-- /table -->", re.DOTALL)


def filled(text: str, tables: Mapping[str, str], where: str) -> str:
    """Return a page's text with each table between its markers.

    The markers are `<!-- table: NAME -->` and `<!-- /table -->`, each on a line of its own. Raises InputError
    for a marker whose name is not among the tables, and for a table without exactly one pair of markers.
    """
    places = [match["name"] for match in _PLACE.finditer(text)]
    for name in places:
        registry.choose(name, tables, f"table in {where}")
    for name in tables:
        if places.count(name) != 1:
            raise InputError(
                f"{where}: expected one place <!-- table: {name} --> ... <!-- /table -->, "
                f"found {places.count(name)}"
            )

    def place(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- table: {name} -->\n\n{tables[name].strip()}\n\n<!-- /table -->"

    return _PLACE.sub(place, text)


def fill(path: Path, tables: Mapping[str, str]) -> None:
    """Write a page with its tables filled in; raises as `filled`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: no such page ({error.strerror})") from error
    files.write_atomically(path, filled(text, tables, str(path)).encode())
