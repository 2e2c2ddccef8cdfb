"""The site's folder: pages are written atomically, and those of rows that are gone are removed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from understudy.leaderboard.site import site_pages
from understudy.leaderboard.site.row_films import Films
from understudy.leaderboard.stored_rows import RowFolder
from understudy.suite import reserved_names
from understudy.suite.errors import InputError
from understudy.suite.io import files, walks

INDEX: Final = "index.html"
DATA: Final = "data.json"


def write(data: Mapping[str, Any], out: Path, films: Films | None = None) -> int:
    """Write the site into a folder and return the number of its files.

    Args:
        data: of `site_data.document`.
        out: created if it does not exist. Other files in it are kept, but for pages of an earlier site.
        films: of rows, shown on their pages.

    Raises OSError if the folder cannot be written.
    """
    before = set(_pages_before(out))
    written = set()
    for place, content in site_pages.pages(data, films):
        path = out / place
        if not (path.is_file() and path.read_bytes() == content):
            files.write_atomically(path, content)
        written.add(place)
    for place in sorted(before - written):
        (out / place).unlink(missing_ok=True)
    return len(written)


def require_own(out: Path, results: Path, rows: Iterable[RowFolder]) -> None:
    """Raise InputError if a site cannot be written into a folder, because other things are in it.

    Args:
        out: the folder.
        results: the results folder, which holds tables of its own.
        rows: in whose folders nothing else may be.
    """
    place = out.resolve()
    if place == results.resolve() or any(place.is_relative_to(row.path.resolve()) for row in rows):
        raise InputError(f"--out {out}: expected a folder of its own; found results there; choose another")
    if walks.is_there(out / INDEX) and not walks.is_there(out / DATA):
        raise InputError(f"--out {out}: its {INDEX} is not of a site of ours; choose another folder")


def _pages_before(out: Path) -> Iterator[str]:
    """Yield the pages of rows and benchmarks of the site that is in a folder, by its own data."""
    try:
        data = json.loads((out / DATA).read_bytes())
        places = [
            (str(table["benchmark"]), str(row["place"])) for table in data["tables"] for row in table["rows"]
        ]
    except (OSError, ValueError, LookupError, TypeError):
        return
    for benchmark, place in places:
        if all(reserved_names.NAME.fullmatch(part) for part in (benchmark, *place.split("/"))):
            yield site_pages.benchmark_page(benchmark)
            yield site_pages.row_page(place)
            yield site_pages.compare_page("-".join(place.split("/")[:2]))
