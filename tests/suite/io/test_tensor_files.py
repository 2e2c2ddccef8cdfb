"""Safetensors files are read, or refused in one line, whatever their dtypes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import torch

from understudy.suite.errors import InputError
from understudy.suite.io import tensor_files

BYTES = {"BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F16": 2, "I64": 8, "BOOL": 1, "C64": 8}


def file_of(dtype: str) -> bytes:
    """Return a file of one number, written by hand: the length of the header, the header, the number."""
    header = json.dumps({"a": {"dtype": dtype, "shape": [1], "data_offsets": [0, BYTES[dtype]]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(BYTES[dtype])


def is_known(dtype: str) -> bool:
    """Whether the installed safetensors has a dtype: older versions refuse the whole file."""
    try:
        safetensors.deserialize(file_of(dtype))
    except safetensors.SafetensorError:
        return False
    return True


KNOWN = {dtype for dtype in BYTES if is_known(dtype)}


def test_what_is_written_is_read():
    data = safetensors.numpy.save({"a": np.arange(3.0), "b": np.array([True])})
    assert tensor_files.arrays(data, "x")["a"].tolist() == [0.0, 1.0, 2.0]
    assert torch.equal(tensor_files.tensors(data, "x")["b"], torch.tensor([True]))


LACKING = {  # found by reading the libraries' tables of dtypes
    tensor_files.arrays: {"BF16", "F8_E4M3", "F8_E5M2", "F8_E8M0"},
    tensor_files.tensors: {"F8_E8M0"},
}


@pytest.mark.parametrize("read", LACKING)
@pytest.mark.parametrize("dtype", BYTES)
def test_every_dtype_is_read_or_refused(read, dtype):
    if dtype not in KNOWN:
        with pytest.raises(InputError, match=r"^the file: not a whole safetensors file \("):
            read(file_of(dtype), "the file")
    elif dtype not in LACKING[read]:
        assert list(read(file_of(dtype), "the file")) == ["a"]
    else:
        with pytest.raises(InputError, match=rf"^the file: not a whole safetensors file \('{dtype}'\); make"):
            read(file_of(dtype), "the file")


def test_a_dtype_that_numpy_lacks_is_named():
    with pytest.raises(InputError, match=r"x: not a whole safetensors file \('BF16'\); fetch it"):
        tensor_files.arrays(file_of("BF16"), "x", "fetch it")


HEAD = b'{"a":{"dtype":"I64","shape":[0,9223372036854775808],"data_offsets":[0,0]}}'
NO_TENSOR = len(HEAD).to_bytes(8, "little") + HEAD  # of no element, and a size beyond int64


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"\xff" * 100,
        file_of("I64")[:-1],
        NO_TENSOR,
        b"version https://git-lfs.github.com/spec/v1\n",
    ],
)
def test_damage_is_one_line(data):
    for read in (tensor_files.arrays, tensor_files.tensors):
        with pytest.raises(InputError, match=r"not a whole safetensors file|git lfs pull"):
            read(data, "x")
