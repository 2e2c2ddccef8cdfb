"""Messages of errors: whole, or their beginning and end."""

import pytest
import safetensors

from understudy.suite import benchmarks
from understudy.suite.errors import MOST_CHARACTERS, InputError
from understudy.suite.histories import provenance


def test_a_message_keeps_its_beginning_and_its_end():
    assert str(InputError("expected 1, found 2; give 1")) == "expected 1, found 2; give 1"
    assert str(InputError("x" * MOST_CHARACTERS)) == "x" * MOST_CHARACTERS
    shown = str(InputError("file: " + "x" * MOST_CHARACTERS + "; fetch it again"))
    assert len(shown) <= MOST_CHARACTERS
    assert shown.startswith("file: xx")
    assert " ... xx" in shown
    assert shown.endswith("; fetch it again")
    assert str(InputError()) == ""


def test_a_damaged_file_that_a_library_quotes_makes_no_long_message(tmp_path):
    path = tmp_path / "network_at_w.safetensors"
    head = b'{"' + b"x" * 100_000 + b'":{"dtype":"F32","shape":[1],"data_offsets":[7,11]}}'
    path.write_bytes(len(head).to_bytes(8, "little") + head + bytes(4))
    with pytest.raises(safetensors.SafetensorError, match="x" * 1_000):
        safetensors.deserialize(path.read_bytes())
    header = benchmarks.read(benchmarks.teacher_runs(benchmarks.load("darkroom-v1"))[0]).header
    with pytest.raises(InputError, match="not a whole safetensors file") as refused:
        provenance.require(path, header, 5_000)
    assert len(str(refused.value)) <= MOST_CHARACTERS
    assert str(refused.value).endswith("fetch it again")
