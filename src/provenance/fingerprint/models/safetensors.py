"""The header of a safetensors file: which tensors it holds, and nothing of them.

>>> from provenance.fingerprint import reading
>>> text = b'{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}'
>>> data = len(text).to_bytes(8, "little") + text + bytes(24)
>>> found = read_header(reading.from_bytes(data), size=len(data), name="w.safetensors")
>>> str(found.tensors["w"]), found.tensors["w"].elements
('F32 [2, 3]', 6)

The format: the length of the header as 64 bits little-endian, the header in JSON, the
data. The tensors must cover the data exactly, each byte once: a file that parses here
has no place for anything else. This is stricter than the usual reader, which takes the
last of two tensors with one name. Names of tensors are text that somebody chose, never
paths. Only the header is read, and no memory is asked for on the word of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from provenance.errors import FormatError, LimitError
from provenance.fingerprint import reading, strict_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provenance.fingerprint.reading import Read
    from provenance.fingerprint.strict_json import Json

MAX_HEADER = 32 * 2**20
"""Bytes of a header: a bound for what is worth recording. The format allows 100 MB."""

BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
"""The closed list of types, each with the bits of one element."""

_LENGTH = 8
_MAX_COUNT = 2**63 - 1
_METADATA = "__metadata__"
_FIELDS = {"dtype", "shape", "data_offsets"}


@frozen
class Tensor:
    """What a header says about one tensor; `str` gives `F32 [2, 3]`.

    Attributes:
        dtype: type of the elements, one of `BITS`.
        shape: elements along each axis.
        start: offset of the first byte within the data.
        end: offset after the last one.
        elements: how many there are in all.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int
    elements: int

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"


@frozen(kw_only=True)
class Header:
    """What a file holds.

    Attributes:
        tensors: by name, in the order of their data.
        metadata: what else its writer noted, text by text.
        bytes: length of the data of all tensors.
    """

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(factory=dict)
    bytes: int


def read_header(read: Read, *, size: int, name: str) -> Header:
    """Read the header of a file that is open.

    Args:
        read: reads from it.
        size: bytes of the whole file.
        name: what errors call it.

    Raises:
        FormatError: not a safetensors file, or one with something wrong.
        LimitError: a header of more than 32 MiB.
        UnreadableError: the operating system refused.
    """
    length = _length(read, size, name)
    text = reading.exactly(read, _LENGTH, length, name=name)
    if not text.startswith(b"{"):
        raise _wrong(name, "the header does not begin with an opening brace")
    parsed = strict_json.parse(text, name=name)
    if not isinstance(parsed, dict):  # pragma: no cover (it began with a brace)
        raise _wrong(name, "the header is not an object")
    metadata = _metadata(parsed.pop(_METADATA, {}), name)
    tensors = {key: _tensor(key, value, name) for key, value in parsed.items()}
    ordered = sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end))
    data = size - _LENGTH - length
    _check_cover(ordered, data, name)
    return Header(tensors=dict(ordered), metadata=metadata, bytes=data)


def _wrong(name: str, reason: str) -> FormatError:
    message = f"{name!r} is not a safetensors file that can be trusted: {reason}"
    return FormatError(message)


def _length(read: Read, size: int, name: str) -> int:
    if size < _LENGTH:
        raise _wrong(name, f"it has {size} bytes, and the length of a header takes 8")
    found = reading.exactly(read, 0, _LENGTH, name=name)
    length = int.from_bytes(found, "little")
    if length > size - _LENGTH:
        raise _wrong(name, "the header is said to be longer than the file")
    if length > MAX_HEADER:
        what = f"header of {name!r} in bytes"
        raise LimitError(what, MAX_HEADER)
    return length


def _metadata(value: Json, name: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _wrong(name, f"{_METADATA} is not an object")
    found: dict[str, str] = {}
    for key, text in value.items():
        if not isinstance(text, str):
            raise _wrong(name, f"{_METADATA} has something else than text")
        found[key] = text
    return found


def _tensor(key: str, value: Json, name: str) -> Tensor:
    where = f"the tensor {key[:100]!r}"
    if not isinstance(value, dict) or value.keys() != _FIELDS:
        raise _wrong(name, f"{where} needs dtype, shape and data_offsets, no others")
    dtype = value["dtype"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise _wrong(name, f"{where} has the unknown type {str(dtype)[:40]!r}")
    shape = _counts(value["shape"])
    offsets = _counts(value["data_offsets"])
    if shape is None or offsets is None or len(offsets) != 2:  # noqa: PLR2004 (a pair)
        raise _wrong(name, f"{where} has a shape or offsets that are no counts")
    elements = 1
    for axis in shape:
        elements *= axis
        # Also on the way: other readers overflow before they meet a zero.
        if elements > _MAX_COUNT:
            raise _wrong(name, f"{where} has more elements than can be counted")
    start, end = offsets
    if (end - start) * 8 != elements * BITS[dtype]:
        raise _wrong(name, f"{where} has another number of bytes than its shape needs")
    return Tensor(dtype, shape, start, end, elements)


def _counts(value: Json) -> tuple[int, ...] | None:
    if not isinstance(value, list):
        return None
    found = [item for item in value if type(item) is int and 0 <= item <= _MAX_COUNT]
    return tuple(found) if len(found) == len(value) else None


def _check_cover(ordered: list[tuple[str, Tensor]], data: int, name: str) -> None:
    """Check that each byte of the data belongs to exactly one tensor."""
    at = 0
    for key, tensor in ordered:
        if tensor.start != at:
            what = "a hole before" if tensor.start > at else "an overlap with"
            raise _wrong(name, f"there is {what} the tensor {key[:100]!r}")
        at = tensor.end
    if at != data:
        raise _wrong(name, f"the tensors have {at:,} bytes, the file has {data:,}")
