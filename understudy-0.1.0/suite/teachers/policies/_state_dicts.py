"""Read PyTorch's saved state dicts without unpickling: opcodes are interpreted, nothing is called.

Such a file is a zip with `<name>/data.pkl` and the tensors' bytes, `<name>/data/<key>`. Only the opcodes and
globals that `torch.save` writes for a flat dict of tensors are allowed; an error names any other.
Sources: torch/serialization.py in https://github.com/pytorch/pytorch; the opcodes in Python's pickletools
"""

from __future__ import annotations

import math
import pickletools
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from understudy.suite.errors import InputError
from understudy.suite.io import git_lfs, module_wrappers
from understudy.suite.teachers.policies import _zips

ZIP = b"PK\x03\x04"
PICKLE_BYTES = 2**20  # a state dict of some ten tensors takes 2 kB
TENSOR_BYTES = 512 * 2**20  # of all tensors together
STORAGES: dict[str, np.dtype[Any]] = {
    "torch FloatStorage": np.dtype("<f4"),
    "torch DoubleStorage": np.dtype("<f8"),
    "torch HalfStorage": np.dtype("<f2"),
    "torch LongStorage": np.dtype("<i8"),
    "torch IntStorage": np.dtype("<i4"),
    "torch ShortStorage": np.dtype("<i2"),
    "torch CharStorage": np.dtype("i1"),
    "torch ByteStorage": np.dtype("u1"),
    "torch BoolStorage": np.dtype("?"),
}
ORDERED_DICT, REBUILD = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"
ADVICE = "load it where you trust it and torch.save(model.state_dict(), ...) again"


def read(data: bytes, where: object) -> dict[str, np.ndarray]:
    """Return the tensors of a state dict by name, in their order.

    Names are those of the module without the wrappers that `torch.compile` and data-parallel training add.
    Raises InputError if `data` is no such zip, asks for or holds anything else, or is too large, or if two
    names differ in wrappers only.
    """
    git_lfs.refuse_pointer_bytes(data, where)
    if not data.startswith(ZIP):
        raise InputError(
            f"{where}: expected PyTorch's zip format; if a PyTorch before 1.6 wrote it, {ADVICE}"
        )
    with _zips.opened(data, where) as archive:
        return _unwrapped(_tensors(archive, where), where)


def _tensors(archive: zipfile.ZipFile, where: object) -> dict[str, np.ndarray]:
    sizes = {info.filename: info.file_size for info in archive.infolist()}
    pickles = [name for name in sizes if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise InputError(f"{where}: expected one data.pkl, found {len(pickles)}; {ADVICE}")
    prefix = pickles[0].removesuffix("data.pkl")
    if sizes[pickles[0]] > PICKLE_BYTES or sum(sizes.values()) > TENSOR_BYTES + PICKLE_BYTES:
        raise InputError(
            f"{where}: {sum(sizes.values()):,} bytes unpacked, far more than a network's; {ADVICE}"
        )
    if f"{prefix}byteorder" in sizes and archive.read(f"{prefix}byteorder") != b"little":
        raise InputError(f"{where}: expected little-endian tensors; {ADVICE}")
    state = _StackMachine(where).run(archive.read(pickles[0]))
    size_bytes = sum(math.prod(t.shape) * t.storage.dtype.itemsize for t in state.values())
    if size_bytes > TENSOR_BYTES:  # possible in a small file: many views of one storage
        raise InputError(f"{where}: tensors of {size_bytes:,} bytes, far more than a network's; {ADVICE}")
    return {name: _array(archive, prefix, sizes, name, found, where) for name, found in state.items()}


def _unwrapped(state: dict[str, np.ndarray], where: object) -> dict[str, np.ndarray]:
    """Return a state dict with each name as it is without wrappers; InputError if two names become one."""
    originals: dict[str, str] = {}
    for original in state:
        name = module_wrappers.unwrapped(original)
        if name in originals:
            raise InputError(
                f"{where}: {originals[name]!r} and {original!r} are both {name!r} without the wrappers "
                f"{' and '.join(module_wrappers.WRAPPERS)}; expected one of them, so save one network only"
            )
        originals[name] = original
    return {name: state[original] for name, original in originals.items()}


class _Storage(NamedTuple):
    dtype: np.dtype[Any]
    key: str  # of the file below data/
    length: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in items


@dataclass(frozen=True)
class _Name:
    """A global that the pickle names; it is never imported."""

    text: str


class _Mark:
    """The stack item that MARK pushes."""


class _Disallowed(Exception):
    """The pickle asks for something that is not allowed."""


class _StackMachine:
    """Interprets the few opcodes of a state dict; all values are plain data."""

    def __init__(self, where: object) -> None:
        self._where = where
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, data: bytes) -> dict[str, _Tensor]:
        """Return the state dict that a pickle describes."""
        try:
            for opcode, argument, _ in pickletools.genops(data):
                self._do(opcode.name, argument)
            return self._result()
        except _Disallowed as error:
            raise InputError(f"{self._where}: not a plain state dict ({error}); {ADVICE}") from None
        except (ValueError, IndexError, KeyError, TypeError, UnicodeDecodeError) as error:
            raise InputError(f"{self._where}: damaged pickle ({error}); fetch it again") from error

    def _result(self) -> dict[str, _Tensor]:
        (state,) = self._stack
        if type(state) is not dict or not state:
            raise _Disallowed(f"it holds {_kind(state)}, expected names and tensors")
        for name, value in state.items():
            if type(name) is not str or not isinstance(value, _Tensor):
                raise _Disallowed(f"its entry {name!r:.80} is {_kind(value)}, expected a tensor")
        return state

    def _do(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in ("PROTO", "FRAME", "STOP"):
            return
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            text = argument if name == "GLOBAL" else " ".join(reversed([stack.pop(), stack.pop()]))
            if text not in (ORDERED_DICT, REBUILD, *STORAGES):
                raise _Disallowed(f"it asks for {text.replace(' ', '.')!r:.120}")
            stack.append(_Name(text))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name == "BINPERSID":
            stack.append(_storage(stack.pop()))
        elif name in _TUPLES:
            count = _TUPLES[name]
            stack[len(stack) - count :] = [tuple(stack[len(stack) - count :])]
        elif name == "TUPLE":
            stack.append(tuple(self._since_mark()))
        elif name == "SETITEM":
            self._fill([*reversed([stack.pop(), stack.pop()])])
        elif name == "SETITEMS":
            self._fill(self._since_mark())
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_called(function, arguments))
        elif name == "BUILD":  # sets an OrderedDict's attribute _metadata, versions of modules: not needed
            attributes = stack.pop()
            if (
                type(stack[-1]) is not dict
                or type(attributes) is not dict
                or set(attributes) != {"_metadata"}
            ):
                raise _Disallowed(f"it sets attributes of {_kind(stack[-1])}")
        else:
            raise _Disallowed(f"opcode {name}")

    def _since_mark(self) -> list[Any]:
        place = max(i for i, item in enumerate(self._stack) if isinstance(item, _Mark))
        items = self._stack[place + 1 :]
        del self._stack[place:]
        return items

    def _fill(self, items: list[Any]) -> None:
        """Set alternating keys and values in the dict on top of the stack."""
        target = self._stack[-1]
        if type(target) is not dict:
            raise _Disallowed(f"it sets items of {_kind(target)}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) is not str:
                raise _Disallowed(f"a key that is {_kind(key)}")
            target[key] = value


_LITERALS = {"BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "MARK": _Mark,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def _storage(persistent: Any) -> _Storage:
    """Return the storage of a persistent id: ("storage", type, key, device, items)."""
    match persistent:
        case ("storage", _Name(text), str(key), str(), int(length)) if text in STORAGES and length >= 0:
            return _Storage(STORAGES[text], key, length)
    raise _Disallowed("a persistent id that is not of a known storage of tensors")


def _called(function: Any, arguments: Any) -> Any:
    """Return the value of one of the two allowed calls."""
    match function, arguments:
        case _Name(text), () if text == ORDERED_DICT:
            return {}
        case _Name(text), (
            _Storage() as storage,
            int(offset),
            tuple(shape),
            tuple(strides),
            bool(),
            {},
            *_,
        ) if text == REBUILD:
            numbers = (offset, *shape, *strides)
            if len(shape) == len(strides) <= 8 and all(type(n) is int and 0 <= n < 2**40 for n in numbers):
                return _Tensor(storage, offset, shape, strides)
    raise _Disallowed(f"a call of {_kind(function)}")


def _array(
    archive: zipfile.ZipFile, prefix: str, sizes: dict[str, int], name: str, tensor: _Tensor, where: object
) -> np.ndarray:
    """Return a copy of one tensor's numbers; InputError if they don't lie within its storage."""
    storage = tensor.storage
    member = f"{prefix}data/{storage.key}"
    expected = storage.length * storage.dtype.itemsize
    if sizes.get(member) != expected:
        raise InputError(
            f"{where}: {name}: expected {expected} bytes in {member}, found {sizes.get(member)}; "
            "fetch it again"
        )
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    size = math.prod(tensor.shape)
    if size and (last >= storage.length or size > storage.length):
        raise InputError(f"{where}: {name}: {list(tensor.shape)} lies beyond its {storage.length} numbers")
    items = np.frombuffer(archive.read(member), storage.dtype)
    if not size:
        return np.empty(tensor.shape, storage.dtype)
    strides = [step * storage.dtype.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(items[tensor.offset :], tensor.shape, strides).copy()


def _kind(value: Any) -> str:
    """Return a value's type in words, for a message."""
    if isinstance(value, _Name):
        return value.text.replace(" ", ".")
    return "a tensor" if isinstance(value, _Tensor) else f"a {type(value).__name__}"
