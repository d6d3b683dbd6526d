"""Pickles of arrays and plain containers, and of nothing else: a pickle is a program, and none is let to call anything.

- The opcodes are looked over before anything is built; what a pickle names must be on a short list, and stands there
  for classes of this file. Neither numpy nor the pickle's own code ever sees a state that the file made up: arrays are
  built here, from bytes whose number was checked.
- What may be in it: None, truth values, numbers, text, bytes, list, tuple, dict, set, OrderedDict, and numpy arrays and
  scalars of truth values, numbers and text.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ....core.errors import CorruptFileError, InputError, first_line

_MOST_BYTES = 1 << 33
_REFUSED = {"PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"}
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
_DTYPE = re.compile(r"[biufSU][1-9][0-9]{0,4}")


def load_pickle(path: Path) -> Any:
    """The content of a pickle file, arrays as np.ndarray.

    Raises InputError when the file holds anything but arrays and plain containers, which is then not executed, and
    CorruptFileError when it is no pickle or ends early.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError("pickle is too large", source=path, expected=f"at most {_MOST_BYTES >> 30} GiB")
        raw = path.read_bytes()
    except OSError as error:
        raise CorruptFileError("cannot be read", source=path, got=error.strerror) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of strange escapes in text
            _look_over(raw)
            return _plain(_Unpickler(raw).load(), {})
    except InputError as error:
        raise type(error)(error.what, source=path, got=error.got, expected=error.expected, fix=error.fix) from error
    except Exception as error:  # a broken pickle can fail in any way
        raise CorruptFileError("no readable pickle", source=path, got=first_line(error)) from error


def _look_over(raw: bytes) -> None:
    """Refuse opcodes that arrays and containers do not need, and places in the memo that nobody has numbered yet: the
    interpreter would make room for all below."""
    stored = 0
    for opcode, argument, _ in pickletools.genops(raw):
        if opcode.name in _REFUSED:
            raise _forbidden(opcode.name)
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            place = int(argument or 0)
            if not 0 <= place <= stored:
                raise CorruptFileError("no readable pickle", got=f"memo {place} after {stored}")
            stored = max(stored, place + 1)
        elif opcode.name == "MEMOIZE":
            stored += 1


class _DType:
    """A numpy dtype as a pickle describes it; `state` may only say the byte order."""

    def __init__(self, code: str, *_: Any) -> None:
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            raise _forbidden("an array of objects or records")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order, nested, names, fields = state[1:5]
        if nested is not None or names is not None or fields is not None:
            raise _forbidden("an array of records")
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """An array to be filled by its state."""

    array: np.ndarray | None = None

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        self.array = _array(raw, dtype, shape, "F" if fortran else "C")


class _Unpickler(pickle.Unpickler):
    """Names on the list become classes and functions of this file."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(io.BytesIO(raw))

    def find_class(self, module: str, name: str) -> Any:
        found = _ALLOWED.get((module, name))
        if found is None:
            raise _forbidden(f"{module}.{name}")
        return found


def _array(raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """What numpy's own functions would build, after a look at the numbers."""
    if not isinstance(dtype, _DType) or not isinstance(raw, bytes | bytearray) or order not in ("C", "F"):
        raise _forbidden("an array of objects")
    shape = tuple(shape)
    if not all(isinstance(size, int) and size >= 0 for size in shape) or len(shape) > 32:
        raise CorruptFileError("no readable pickle", got=f"array of shape {shape}")
    if math.prod(shape) * dtype.dtype.itemsize != len(raw):
        raise CorruptFileError(
            "no readable pickle", got=f"{len(raw)} bytes", expected=f"{dtype.dtype} of shape {shape}"
        )
    if not len(raw):
        return np.zeros(shape, dtype.dtype)
    return np.frombuffer(raw, dtype.dtype).reshape(shape, order=order)


class _Call:
    """A function that a pickle may call and cannot write to: `BUILD` sets attributes of whatever it is given."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, _: Any) -> None:
        raise _forbidden("a change to a function")


def _buffer_array(raw: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    found = _Array()
    found.array = _array(raw, dtype, shape, order)
    return found


def _scalar(dtype: Any, raw: Any) -> Any:
    return _array(raw, dtype, (), "C")[()]


def _encode(text: str, encoding: str) -> bytes:
    """How protocols below 3 write bytes."""
    if encoding != "latin1":
        raise _forbidden("an unusual encoding")
    return text.encode("latin1")


def _bytes(raw: bytes = b"") -> bytes:
    """Of bytes only: a number would be a length to be allocated."""
    return raw[:]


def _bytearray(raw: bytes = b"") -> bytearray:
    return bytearray(raw[:])


_CALLS = {
    **{(module, "scalar"): _scalar for module in _MULTIARRAY},
    **{(module, "_frombuffer"): _buffer_array for module in _NUMERIC},
    ("_codecs", "encode"): _encode,
    ("builtins", "bytes"): _bytes,
    ("__builtin__", "bytes"): _bytes,
    ("builtins", "bytearray"): _bytearray,
    ("__builtin__", "bytearray"): _bytearray,
}
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    **{(module, "_reconstruct"): _Array for module in _MULTIARRAY},
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    **{name: _Call(function) for name, function in _CALLS.items()},
}


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """The same containers with arrays in place of `_Array`; one that was reached before is not walked again."""
    if isinstance(value, _Array):
        if value.array is None:
            raise CorruptFileError("no readable pickle", got="array without content")
        return value.array
    if callable(value) or isinstance(value, _DType):
        raise _forbidden("a type")
    if id(value) in done:  # a few references can unfold to more than there is memory
        return done[id(value)]
    if isinstance(value, dict | list):
        done[id(value)] = value
        for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
            value[key] = _plain(inner, done)
    elif isinstance(value, tuple):
        done[id(value)] = tuple(_plain(inner, done) for inner in value)
    return done.get(id(value), value)


def _forbidden(got: str) -> InputError:
    return InputError(
        "the pickle holds more than arrays and plain containers and was not executed", got=got,
        fix="save keypoints as numpy arrays, lists and dicts, or convert the file to npz where you trust it",
    )  # fmt: skip
