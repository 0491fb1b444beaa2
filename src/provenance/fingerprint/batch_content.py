"""What a batch holds, as one digest (docs: formats/fingerprints, order-1).

Arrays of numpy and tensors of torch count by type, shape and bytes, so that the same
numbers are the same whoever holds them. Neither library is imported, and what lies on
an accelerator is refused: reading it would make the training wait.

>>> digest_of({"x": [1, 2]}) == digest_of({"x": (1, 2)})
True
>>> digest_of([1]) == digest_of([1.0])
False
"""

from __future__ import annotations

import ctypes
import hashlib
import sys
from collections.abc import Mapping
from typing import Any

from provenance.encoding.fields import fields
from provenance.errors import FormatError, LimitError

MAX_DEPTH = 32


def digest_of(batch: Any) -> bytes:
    """Return the SHA-256 over the content of a batch.

    Raises:
        FormatError: it holds something whose content this cannot read; the message
            says what and where.
        LimitError: it is nested too deeply.
    """
    return _digest(batch, "batch", 0)


def _digest(value: Any, where: str, depth: int) -> bytes:
    if depth > MAX_DEPTH:
        what = "nesting of a batch"
        raise LimitError(what, MAX_DEPTH)
    match value:
        case None:
            return _hash(b"null")
        case bool():
            return _hash(b"bool", b"true" if value else b"false")
        case int() if type(value) is int:
            return _hash(b"int", str(value).encode())
        case float() if type(value) is float:
            return _hash(b"float", repr(value).encode())
        case str() if type(value) is str:
            return _hash(b"str", value.encode("utf-8", "surrogatepass"))
        case bytes() | bytearray():
            return _hash(b"bytes", value)
        case Mapping():
            items = sorted((str(key), item) for key, item in value.items())
            parts = [
                part
                for key, item in items
                for part in (
                    key.encode("utf-8", "surrogatepass"),
                    _digest(item, f"{where}[{key!r}]", depth + 1),
                )
            ]
            return _hash(b"dict", *parts)
        case list() | tuple():
            found = [
                _digest(item, f"{where}[{at}]", depth + 1)
                for at, item in enumerate(value)
            ]
            return _hash(b"list", *found)
        case _:
            return _array(value, where)


def _hash(*parts: bytes | bytearray) -> bytes:
    return hashlib.sha256(fields(*map(bytes, parts))).digest()


def _array(value: Any, where: str) -> bytes:
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and isinstance(value, torch.Tensor):
        return _tensor(torch, value, where)
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        return _ndarray(numpy, value, where)
    kind = type(value)
    message = f"{where} is a {kind.__module__}.{kind.__qualname__}, which is not read"
    raise FormatError(message)


def _tensor(torch: Any, value: Any, where: str) -> bytes:
    if value.device.type != "cpu" or value.layout is not torch.strided:
        place = f"{value.device.type}, {value.layout}"
        message = f"{where} is a tensor of torch ({place}), which is not read"
        raise FormatError(message)
    plain = value.detach().resolve_conj().resolve_neg().contiguous()
    size = plain.numel() * plain.element_size()
    # The memory itself: not every type of torch is one of numpy, nor is numpy needed.
    data: Any = b""
    if size:
        data = (ctypes.c_char * size).from_address(plain.data_ptr())
    return _hashed(str(plain.dtype).removeprefix("torch."), tuple(plain.shape), data)


def _ndarray(numpy: Any, value: Any, where: str) -> bytes:
    if value.dtype.hasobject:
        message = f"{where} is an array of objects of Python, which is not read"
        raise FormatError(message)
    order = value.dtype.newbyteorder("<")
    plain = numpy.ascontiguousarray(value, dtype=order)
    data = plain.reshape(-1).view(numpy.uint8) if plain.size else b""
    return _hashed(value.dtype.name, tuple(value.shape), data)


def _hashed(kind: str, shape: tuple[int, ...], data: Any) -> bytes:
    """Hash an array; its bytes stand last, so they need no length of their own."""
    spelled = ",".join(map(str, shape))
    hashed = hashlib.sha256(fields(b"array", kind.encode(), spelled.encode()))
    hashed.update(data)
    return hashed.digest()
