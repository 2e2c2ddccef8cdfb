"""Histories: other headers, columns and Parquet structure, under hashes that hold, as a liar writes them."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fuzzing.mutators import json_documents, raw_bytes

HEADER, FILE_HASH, NO_HASH = "understudy", "understudy_file_sha256", "0" * 64
DTYPES = {"action": "u1", "reward": "<f4", "terminated": "?", "truncated": "?", "explored": "?"}
BOMB_ROWS = 2**27  # 1 GB when read, a few kB as a file
BOMB_GROUP_ROWS = 2**24
SEAL = re.compile(FILE_HASH.encode() + rb"\x18\x40([0-9a-f]{64})")


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Return another history."""
    try:
        table = pq.read_table(io.BytesIO(data))
        header = json.loads(table.schema.metadata[HEADER.encode()])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, RecursionError):
        return raw_bytes.mutate(data, rng)
    kind = int(rng.integers(12))
    if kind == 0:
        return raw_bytes.mutate(data, rng)
    if kind < 3:  # any byte, the file's hash made anew: it reaches the parser
        return sealed(_bytes_changed(data, rng))
    if kind == 3 and rng.random() < 0.1:
        return bomb(json.dumps(header))
    if kind < 8:
        return _with_header(table, header, rng)
    return _with_columns(table, header, rng)


def sealed(data: bytes) -> bytes:
    """Return a file with the hash of its bytes where its footer has one."""
    found = list(SEAL.finditer(data))
    if len(found) != 1:
        return data
    blank = data[: found[0].start(1)] + NO_HASH.encode() + data[found[0].end(1) :]
    digest = hashlib.sha256(blank).hexdigest().encode()
    return blank[: found[0].start(1)] + digest + blank[found[0].end(1) :]


def written(table: pa.Table, header: str, group_rows: int | None = None, compression: str = "zstd") -> bytes:
    """Return a file of a table under a header's text."""
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, store_schema=False, compression=compression) as writer:
        writer.write_table(table, group_rows)
        writer.add_key_value_metadata({HEADER: header, FILE_HASH: NO_HASH})
    return sealed(sink.getvalue())


@functools.cache
def _bomb_body() -> pa.Table:
    n = BOMB_GROUP_ROWS
    return pa.table({name: np.zeros(n, dtype) for name, dtype in DTYPES.items()})


@functools.lru_cache(maxsize=4)
def bomb(header: str) -> bytes:
    """Return a small file of very many moves."""
    table, sink = _bomb_body(), io.BytesIO()
    how = {"compression": "zstd", "use_dictionary": False, "write_statistics": False}
    with pq.ParquetWriter(sink, table.schema, store_schema=False, **how) as writer:
        for _ in range(BOMB_ROWS // BOMB_GROUP_ROWS):
            writer.write_table(table)
        writer.add_key_value_metadata({HEADER: header, FILE_HASH: NO_HASH})
    return sealed(sink.getvalue())


def _bytes_changed(data: bytes, rng: np.random.Generator) -> bytes:
    """Return a file with some bytes changed, mostly of its footer, which holds every size and place."""
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    begin = footer if rng.random() < 0.7 else 4
    found = bytearray(data)
    seal = SEAL.search(data)
    for place in rng.integers(begin, len(found) - 4, size=int(rng.integers(1, 5))):
        if seal is None or not seal.start() <= place < seal.end():
            found[place] = (
                int(rng.integers(256)) if rng.random() < 0.5 else found[place] ^ 1 << int(rng.integers(8))
            )
    return bytes(found)


def content_sha256(header: Any, table: pa.Table) -> str:
    """Return the content hash of a header and its columns, as far as they have one."""
    fields = {key: value for key, value in header.items() if key != "content_sha256"}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode())
    for name, dtype in DTYPES.items():
        values = table.column(name).to_numpy().astype(dtype)
        digest.update(f"\n{name} {dtype} {table.num_rows}\n".encode() + values.tobytes())
    return digest.hexdigest()


def _with_header(table: pa.Table, header: Any, rng: np.random.Generator) -> bytes:
    if rng.random() < 0.1:
        text = json_documents.mutate(json.dumps(header).encode(), rng).decode("utf-8", "replace")
        return written(table, text)
    changed, raw = json_documents.mutated(header, rng)
    if isinstance(changed, dict) and rng.random() < 0.8:
        changed["content_sha256"] = content_sha256(changed, table)
    text = json.dumps(changed)
    for mark, replacement in raw.items():
        text = text.replace(json.dumps(mark), replacement)
    return written(table, text)


def _with_columns(table: pa.Table, header: Any, rng: np.random.Generator) -> bytes:
    columns = {name: table.column(name).combine_chunks() for name in DTYPES}
    names = list(columns)
    name = names[int(rng.integers(len(names)))]
    n, group_rows, compression = table.num_rows, None, "zstd"
    kind = int(rng.integers(9))
    if kind == 0:
        del columns[name]
    elif kind == 1:
        other = [pa.int64(), pa.float64(), pa.string(), pa.uint8(), pa.int8(), pa.bool_()][
            int(rng.integers(6))
        ]
        columns[name] = pa.array([0] * n).cast(other)
    elif kind == 2:
        columns[name] = pa.array([None, *columns[name].to_pylist()[1:]], columns[name].type)
    elif kind == 3:
        columns["extra"] = pa.array(["x" * int(rng.choice([1, 10_000]))] * n)
    elif kind == 4:
        columns[name] = pa.array([[1]] * n) if rng.random() < 0.5 else pa.array([{"a": 1}] * n)
    elif kind == 5:
        length = int(rng.choice([0, 1, n - 1]))
        columns = {each: values.slice(0, length) for each, values in columns.items()}
    elif kind == 6:
        group_rows = int(rng.choice([1, 7]))
        compression = str(rng.choice(["none", "gzip", "brotli", "snappy", "lz4"]))
    elif kind == 7:
        odd = np.array([np.nan, np.inf, -np.inf, 3e38, -1e-45], "<f4")[int(rng.integers(5))]
        reward = columns["reward"].to_numpy().copy()
        reward[int(rng.integers(n))] = odd
        columns["reward"] = pa.array(reward)
    else:
        values = columns[name].to_numpy(zero_copy_only=False).copy()
        values[int(rng.integers(n)) :] = 200 if name == "action" else True
        columns[name] = pa.array(values)
    changed = pa.table(columns)
    if kind in (5, 6, 7, 8):
        if kind == 5 and rng.random() < 0.7:
            header = {**header, "segments": _segments_of(header, changed.num_rows)}
        header = {**header, "content_sha256": content_sha256(header, changed)}
    return written(changed, json.dumps(header), group_rows, compression)


def _segments_of(header: Any, moves: int) -> list[Any]:
    return [{**header["segments"][0], "length": moves}] if moves else []
