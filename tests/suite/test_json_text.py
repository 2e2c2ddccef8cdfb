"""JSON that others wrote: the values of RFC 8259, and one error for everything else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.suite import json_text
from understudy.suite.errors import InputError
from understudy.suite.io import files

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**38), 10**38)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(VALUES, st.booleans())
def test_every_value_that_is_written_is_read(value, ascii_only):
    assert json_text.values(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"NaN", "the number NaN"),
        (b"[1e999]", "the number 1e999"),
        (b"-Infinity", "the number -Infinity"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b"1" * 41, "a number of 41 digits"),
        (b"1" * 5_000, "a number of 5,000 digits"),
        (b'{"a":1,"b":2,"a":3}', "the key 'a' stands twice"),
        (rb'"\ud800"', "half a character"),
        (rb'{"\udc00": 1}', "half a character"),
        (b"\xff", "invalid start byte"),
        ("1".encode("utf-16"), "invalid start byte"),
        (b"\xef\xbb\xbf1", "BOM"),
        (b"", "Expecting value"),
        (b"1 2", "Extra data"),
    ],
)
def test_everything_else_is_one_error(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        json_text.values(text)
    path = tmp_path / "a.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match=message) as refused:
        files.read_json(path)
    assert len(str(refused.value).splitlines()) == 1


def test_a_pair_of_halves_is_a_character():
    assert json_text.values(rb'"\ud83d\ude00"') == "\N{GRINNING FACE}"


def test_a_key_that_stands_twice_is_found_among_very_many():
    """A search that compares each with each takes hours for as many as 16 MiB hold."""
    keys = ",".join(f'"{number}":0' for number in range(400_000))
    with pytest.raises(ValueError, match="the key '399999' stands twice"):
        json_text.values(f'{{{keys},"399999":1}}'.encode())
