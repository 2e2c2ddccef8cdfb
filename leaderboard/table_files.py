"""The table of results as a file that programs read: CSV, JSON and Parquet, written and read back.

All three hold the same columns, `table_columns`, a line a cell. What is unknown is an empty field in CSV and
null elsewhere, never 0 or NaN.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from understudy.leaderboard import table_columns
from understudy.leaderboard.table_columns import NUMBER, TEXT, TRUTH, WHOLE, Column
from understudy.suite import escaping, json_text
from understudy.suite.errors import InputError
from understudy.suite.io import bounded

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow

CSV, JSON, PARQUET = "table.csv", "table.json", "table.parquet"
ADVICE: Final = "write it again: understudy board"
TRUTHS: Final = {"True": True, "False": False}  # in CSV


def to_csv(frame: pd.DataFrame) -> str:
    """Return one line per cell with every number in full; an unknown one is an empty field.

    Text that a spreadsheet would read as a formula begins with an apostrophe; `read_csv` takes it off.
    """
    safe = frame.copy()
    for name in frame.columns[frame.dtypes.map(lambda dtype: dtype.kind == "O")]:  # columns of text
        safe[name] = frame[name].map(_csv_cell, na_action="ignore")
    text: str = safe.to_csv(index=False, lineterminator="\n")
    return text


def to_json(frame: pd.DataFrame) -> str:
    """Return the table as JSON: its version, its columns, and an object a cell, each on a line of its own."""
    head = {"table": table_columns.NAME, "version": table_columns.VERSION}
    columns = [
        {"name": each.name, "type": each.type, "unit": each.unit, "meaning": each.meaning}
        for each in table_columns.COLUMNS
    ]
    cells = [json.dumps(line, allow_nan=False) for line in plain(frame)]
    parts = [f'"{key}": {json.dumps(value)}' for key, value in head.items()]
    parts += [f'"columns": {_lines([json.dumps(each) for each in columns])}', f'"cells": {_lines(cells)}']
    return "{" + ",\n".join(parts) + "}\n"


def to_parquet(frame: pd.DataFrame) -> bytes:
    """Return the table as a Parquet file; its bytes depend on the version of pyarrow."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    table = pa.Table.from_pylist(plain(frame), schema=schema)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def read(path: Path) -> pd.DataFrame:
    """Return the frame in a file that was written here, by its suffix: .csv, .json or .parquet.

    Raises InputError for another suffix, and for a file that is missing, damaged, or of another version.
    """
    try:
        return from_bytes(bounded.read(path), path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {ADVICE}") from error


def from_bytes(data: bytes, path: Path) -> pd.DataFrame:
    """Return the frame in the content of such a file; `path` names it. Raises as `read`."""
    if path.suffix not in READERS:
        raise InputError(f"{path}: expected a file {', '.join(READERS)}; found another suffix")
    try:
        return READERS[path.suffix](data, path)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise InputError(f"{path}: not a table of results ({error}); {ADVICE}") from error


def _read_csv(data: bytes, path: Path) -> pd.DataFrame:
    """Return the frame of a CSV file; it has no version, so that its columns must be those known here."""
    heading, *lines = csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True)
    _require_columns(heading, path)
    known = {column.name: column for column in table_columns.COLUMNS}
    found = []
    for line in lines:
        named = dict(zip(heading, line, strict=True))
        found.append({name: _from_csv(known[name], text) for name, text in named.items() if name in known})
    return table_columns.typed(found)


def _read_json(data: bytes, path: Path) -> pd.DataFrame:
    document = json_text.values(data)  # refuses NaN, and a key that stands twice
    if not isinstance(document, Mapping) or document.get("table") != table_columns.NAME:
        raise ValueError(f"expected {table_columns.NAME!r} as its table")
    _require_version(document["version"], path)
    _require_columns([each["name"] for each in document["columns"]], path)
    for line in document["cells"]:
        for column in table_columns.COLUMNS:
            _require_type(line[column.name], column)
    return table_columns.typed(document["cells"])


def _read_parquet(data: bytes, path: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    metadata = table.schema.metadata or {}
    if metadata.get(b"table", b"").decode() != table_columns.NAME:
        raise ValueError(f"expected {table_columns.NAME!r} in its metadata")
    _require_version(metadata[b"version"].decode(), path)
    _require_columns(table.column_names, path)
    lines = table.select(list(table_columns.NAMES)).to_pylist()
    for line in lines:
        for column in table_columns.COLUMNS:
            _require_type(line[column.name], column)
    return table_columns.typed(lines)


READERS: Final[dict[str, Callable[[bytes, Path], pd.DataFrame]]] = {
    ".parquet": _read_parquet,
    ".json": _read_json,
    ".csv": _read_csv,
}


def _require_version(found: object, path: Path) -> None:
    """Raise InputError for a version whose first number is another one than that of this version."""
    number, _, _ = table_columns.VERSION.partition(".")
    if not isinstance(found, str) or not re.fullmatch(rf"{number}\.\d+", found):
        raise InputError(
            f"{path}: version {found!r} of the table, this understudy reads {number}.x; update understudy"
        )


def _require_columns(found: list[str], path: Path) -> None:
    """Raise InputError if a known column is missing; further ones are of a later version."""
    missing = [name for name in table_columns.NAMES if name not in found]
    if missing:
        raise InputError(f"{path}: expected the column {missing[0]!r}, found none; {ADVICE}")


def _require_type(value: object, column: Column) -> None:
    """Raise ValueError for a value of another type than its column's."""
    types: dict[str, tuple[type, ...]] = {TEXT: (str,), WHOLE: (int,), NUMBER: (int, float), TRUTH: (bool,)}
    if value is None and not column.always:
        return
    is_truth = isinstance(value, bool)
    if not isinstance(value, types[column.type]) or is_truth != (column.type == TRUTH):
        raise ValueError(f"{column.name}: expected a {column.type}; found {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{column.name}: expected a finite number; found {value!r}")


def plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the frame's lines as plain values, None where unknown; ValueError if a number is not finite."""
    lines = frame.astype(object).where(frame.notna(), None).to_dict("records")
    kinds: dict[str, type] = {TEXT: str, WHOLE: int, NUMBER: float, TRUTH: bool}
    found = [
        {
            column.name: None if (value := line[column.name]) is None else kinds[column.type](value)
            for column in table_columns.COLUMNS
        }
        for line in lines
    ]
    for line in found:
        for column in table_columns.COLUMNS:
            if line[column.name] is not None:
                _require_type(line[column.name], column)
    return found


def _schema() -> pyarrow.Schema:
    import pyarrow as pa

    types = {TEXT: pa.string(), WHOLE: pa.int64(), NUMBER: pa.float64(), TRUTH: pa.bool_()}
    fields = [
        pa.field(each.name, types[each.type], metadata={"unit": each.unit or "", "meaning": each.meaning})
        for each in table_columns.COLUMNS
    ]
    return pa.schema(fields, metadata={"table": table_columns.NAME, "version": table_columns.VERSION})


def _from_csv(column: Column, text: str) -> Any:
    """Return the value of a field of a CSV file; ValueError if it is of another type than its column's."""
    if text == "" and not (column.type == TEXT and column.always):
        found: Any = None
    elif column.type == TEXT:
        found = escaping.from_csv_text(text)
    elif column.type == TRUTH:
        found = TRUTHS.get(text, text)
    else:
        found = int(text) if column.type == WHOLE else float(text)
    _require_type(found, column)
    return found


def _csv_cell(value: Any) -> Any:
    return escaping.csv_text(value) if isinstance(value, str) else value


def _lines(values: list[str]) -> str:
    return "[\n" + ",\n".join(values) + "\n]"
