"""PyTorch files read without unpickling: equal to what torch reads, and nothing in them is executed."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from support.torch_files import Evil, saved
from torch import nn

from understudy.suite.errors import InputError
from understudy.suite.teachers.policies import _state_dicts


def tensors() -> dict[str, torch.Tensor]:
    base = torch.arange(24, dtype=torch.float32)
    return OrderedDict(
        a=base.reshape(2, 3, 4),
        view=base.reshape(4, 6).T[1:4, ::2],
        same=base[5:],
        scalar=torch.tensor(3.5, dtype=torch.float64),
        empty=torch.zeros(0, 3),
        half=torch.ones(2, dtype=torch.float16),
        whole=torch.tensor([2**40, -1]),
        ints=torch.tensor([1, -2], dtype=torch.int32),
        small=torch.tensor([-3], dtype=torch.int8),
        short=torch.tensor([300], dtype=torch.int16),
        bytes=torch.tensor([0, 255], dtype=torch.uint8),
        flags=torch.tensor([True, False]),
    )


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_saved_tensors_read_back_equal(protocol, kind):
    expected = kind(tensors())
    found = _state_dicts.read(saved(expected, pickle_protocol=protocol), "here")
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())
        assert found[name].dtype == tensor.numpy().dtype


def test_module_states_with_metadata_and_many_entries_read_back_equal():
    module = nn.Sequential(*[nn.Linear(2, 2) for _ in range(300)])
    found = _state_dicts.read(saved(module.state_dict()), "here")
    assert len(found) == 600
    for name, tensor in module.state_dict().items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


class Fires:
    """Sets state on an object where it is unpickled."""

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("was unpickled")

    def __getstate__(self) -> Any:
        return {"x": 1}


def refused(state: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        _state_dicts.read(state if isinstance(state, bytes) else saved(state), "here")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["value", "key's neighbour", "whole", "attribute"])
def test_malicious_pickles_are_refused_and_not_executed(place, tmp_path):
    marker = tmp_path / "ran"
    states: dict[str, Any] = {
        "value": {"a": Evil(marker)},
        "key's neighbour": {"a": torch.zeros(1), "b": [Evil(marker)]},
        "whole": Evil(marker),
        "attribute": OrderedDict(a=torch.zeros(1)),
    }
    state = states[place]
    if place == "attribute":
        state._metadata = Evil(marker)
    refused(state, r"not a plain state dict \((it asks for '(posix|nt).system'|opcode EMPTY_LIST)")
    assert not marker.exists()
    torch.load(io.BytesIO(saved(Evil(marker))), weights_only=False)  # the pickle does work
    assert marker.exists()


def test_objects_and_odd_values_are_refused():
    refused({"a": Fires()}, "it asks for '.*Fires'")
    refused(nn.Linear(1, 1), "it asks for 'torch.nn.modules.linear.Linear'")
    refused({"a": 3}, "its entry 'a' is a int, expected a tensor")
    refused({"a": {"b": torch.zeros(1)}}, "its entry 'a' is a dict")
    refused({1: torch.zeros(1)}, "a key that is a int")
    refused({(1, 2): torch.zeros(1)}, "a key that is a tuple")
    refused({}, "it holds a dict, expected names and tensors")
    refused(torch.zeros(2), "it holds a tensor")
    refused({"a": torch.zeros(1).to(torch.bfloat16)}, "it asks for 'torch.BFloat16Storage'")
    refused({"a": nn.Parameter(torch.zeros(1))}, "it asks for 'torch._utils._rebuild_parameter'")


@pytest.mark.parametrize(
    "wrapped",
    ["_orig_mod.a.0.weight", "module.a.0.weight", "module._orig_mod.a.0.weight", "a._orig_mod.0.weight"],
)
def test_wrappers_of_compiled_and_data_parallel_modules_are_removed_from_names(wrapped):
    found = _state_dicts.read(saved({wrapped: torch.arange(3.0), "module": torch.ones(1)}), "here")
    assert list(found) == ["a.0.weight", "module"]
    np.testing.assert_array_equal(found["a.0.weight"], [0, 1, 2])


def test_names_of_real_wrappers_are_those_of_the_module():
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    partly = nn.Sequential(torch.compile(nn.Linear(2, 2)), nn.ReLU(), nn.DataParallel(nn.Linear(2, 1)))
    for wrapper in (
        torch.compile(module),
        nn.DataParallel(module),
        torch.compile(nn.DataParallel(module)),
        partly,
    ):
        assert list(wrapper.state_dict()) != list(module.state_dict())
        assert list(_state_dicts.read(saved(wrapper.state_dict()), "here")) == list(module.state_dict())


def test_two_names_that_differ_in_wrappers_only_are_refused():
    refused(
        {"a.weight": torch.zeros(1), "_orig_mod.a.weight": torch.zeros(1)},
        r"^here: 'a.weight' and '_orig_mod.a.weight' are both 'a.weight' without the wrappers _orig_mod and "
        "module; expected one of them, so save one network only$",
    )


def repacked(change: Callable[[dict[str, bytes]], Any], state: Any = None) -> bytes:
    """Return a state dict's zip with altered members."""
    members = {}
    with zipfile.ZipFile(io.BytesIO(saved(state or {"a": torch.zeros(4)}))) as archive:
        for name in archive.namelist():
            members[name] = archive.read(name)
    change(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def with_pickle(data: bytes) -> bytes:
    return repacked(lambda members: members.update({"archive/data.pkl": data}))


def patched(old: bytes, new: bytes) -> bytes:
    def change(members: dict[str, bytes]) -> None:
        assert members["archive/data.pkl"].count(old) == 1
        members["archive/data.pkl"] = members["archive/data.pkl"].replace(old, new)

    return repacked(change)


def test_damaged_files_are_refused():
    whole = saved({"a": torch.zeros(4)})
    refused(whole[:-30], "not a whole zip .*fetch it again")
    refused(b"hello", "expected PyTorch's zip format")
    flipped = bytearray(whole)
    flipped[whole.index(b"data.pkl") + 80] ^= 255
    refused(bytes(flipped), "not a whole zip")
    refused(repacked(lambda members: members.pop("archive/data.pkl")), "expected one data.pkl, found 0")
    refused(repacked(lambda members: members.update({"x/data.pkl": b""})), "expected one data.pkl, found 2")
    refused(
        repacked(lambda members: members.pop("archive/data/0")),
        "expected 16 bytes in archive/data/0, found None",
    )
    refused(
        repacked(lambda members: members.update({"archive/data/0": b"123"})), "expected 16 bytes .* found 3"
    )
    refused(repacked(lambda members: members.update({"archive/byteorder": b"big"})), "little-endian")
    refused(with_pickle(b""), "damaged pickle")
    refused(with_pickle(pickle.dumps([1])), "opcode EMPTY_LIST")
    refused(with_pickle(b"\x80\x02u."), "damaged pickle")
    refused(with_pickle(b"\x80\x02}}."), "damaged pickle")


def test_shapes_beyond_the_storage_are_refused():
    refused(patched(b"K\x04\x85", b"K\x05\x85"), r"a: \[5\] lies beyond its 4 numbers")
    refused(patched(b"K\x01\x85", b"K\x09\x85"), r"a: \[4\] lies beyond its 4 numbers")
    refused(patched(b"K\x01\x85", b"J\xff\xff\xff\xff\x85"), "a call of torch._utils._rebuild_tensor_v2")
    refused(patched(b"K\x01\x85", b")"), "a call of torch._utils._rebuild_tensor_v2")


def test_pickles_that_exhaust_are_refused():
    refused(with_pickle(b"\x80\x02" + b")" + b"\x85" * 30_000 + b"."), "it holds a tuple")
    refused(with_pickle(b"\x80\x02}" + b")" + b"\x85" * 30_000 + b"K\x01s."), "a key that is a tuple")
    refused(with_pickle(b"\x80\x02)" + b"\x85" * 30_000 + b"Q."), "a persistent id")
    refused(with_pickle(b"0" * (_state_dicts.PICKLE_BYTES + 1)), "far more than a network's")


def test_views_that_expand_to_too_many_bytes_are_refused(monkeypatch):
    monkeypatch.setattr(_state_dicts, "TENSOR_BYTES", 2**16)
    base = torch.zeros(2**12)  # 16 kB, with four views
    assert len(_state_dicts.read(saved({str(k): base[: 2**12] for k in range(4)}), "here")) == 4
    refused({str(k): base[: 2**12] for k in range(5)}, "tensors of 81,920 bytes, far more than a network's")
    refused({"a": torch.zeros(2**16)}, "far more than a network's")
    refused({"a": torch.zeros(1).expand(2**20)}, "(far more|lies beyond)")


def test_the_format_before_the_zip_is_refused_with_advice():
    legacy = saved({"a": torch.zeros(1)}, _use_new_zipfile_serialization=False)
    refused(
        legacy, r"expected PyTorch's zip format; if a PyTorch before 1.6 wrote it, load it where you trust it"
    )


def test_every_damaged_byte_is_read_or_refused():
    """A changed byte gives a state dict or InputError, never another exception."""
    whole = bytearray(saved({"network.0.weight": torch.arange(3.0)}))
    rng = np.random.default_rng(0)
    for _ in range(600):
        data = bytearray(whole)
        data[rng.integers(len(data))] = rng.integers(256)
        try:
            _state_dicts.read(bytes(data), "here")
        except InputError:
            continue
    with zipfile.ZipFile(io.BytesIO(bytes(whole))) as archive:
        original = archive.read("archive/data.pkl")
    for place in range(len(original)):
        for value in (46, 82, 255):
            altered = original[:place] + bytes([value]) + original[place + 1 :]
            try:
                _state_dicts.read(with_pickle(altered), "here")
            except InputError:
                continue
