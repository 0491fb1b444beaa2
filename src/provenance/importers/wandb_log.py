"""The log of a run of W&B, `run-….wandb`: records in a file, and fields in a record.

The file is a log in the manner of LevelDB, with a header of its own; a record is one
message of Protocol Buffers. Of both, only as much is read here as an import needs.
Every length is compared with what is there before anything is taken.

>>> list(fields(bytes([0x08, 0x96, 0x01])))
[(1, 150)]
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, TypeAlias

from provenance.errors import FormatError, LimitError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_RECORDS = 5_000_000
"""Records in one log."""

_HEADER = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
_BLOCK = 32_768
_FRAME = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_LONGEST = 10
"""Bytes of the longest number."""

Field: TypeAlias = "tuple[int, int | bytes]"
"""Number of a field, and what it holds: a number as it is spelled, or bytes."""


def records(data: bytes, *, name: str) -> Iterator[bytes]:
    """Yield the records of a log, until it ends.

    Args:
        data: the whole file; the caller bounds its length.
        name: what errors call it.

    Raises:
        FormatError: it is no log of W&B; or it is damaged or ends within a record,
            which is said when all that stands before was yielded.
        LimitError: there are too many records.
    """
    if not data.startswith(_HEADER):
        message = f"{name!r} is no log of W&B that this version can read"
        raise FormatError(message)
    pieces: list[bytes] = []
    count = 0
    for kind, piece in _frames(data, name):
        if (kind in (_MIDDLE, _LAST)) != bool(pieces) or kind not in range(1, 5):
            message = f"{name!r} has a part of a record where none belongs"
            raise FormatError(message)
        pieces.append(piece)
        if kind in (_FULL, _LAST):
            count += 1
            if count > MAX_RECORDS:
                what = f"number of records in {name!r}"
                raise LimitError(what, MAX_RECORDS)
            yield b"".join(pieces)
            pieces.clear()
    if pieces:
        message = f"{name!r} ends within a record: the run was cut short"
        raise FormatError(message)


def _frames(data: bytes, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and the content of each frame; a record may be several."""
    at = len(_HEADER)
    while at < len(data):
        left = _BLOCK - at % _BLOCK
        if left < _FRAME.size:
            at += left  # what is too short for a frame is filled up
            continue
        if at + _FRAME.size > len(data):
            break
        checksum, length, kind = _FRAME.unpack_from(data, at)
        start = at + _FRAME.size
        if not kind and not length and not any(data[at:]):
            return  # room that was reserved and not used
        if length > left - _FRAME.size or start + length > len(data):
            break
        piece = data[start : start + length]
        if zlib.crc32(bytes([kind]) + piece) != checksum:
            message = f"{name!r} is damaged at byte {at:,}"
            raise FormatError(message)
        yield kind, piece
        at = start + length
    if at < len(data):
        message = f"{name!r} ends within a record: the run was cut short"
        raise FormatError(message)


def fields(message: bytes) -> Iterator[Field]:
    """Yield the fields of one message.

    Raises:
        FormatError: it is none.
    """
    at = 0
    while at < len(message):
        key, at = _number(message, at)
        number, kind = key >> 3, key & 7
        match kind:
            case 0:
                value, at = _number(message, at)
                yield number, value
            case 1 | 5:
                end = at + (8 if kind == _FIXED_64 else 4)
                yield number, _cut(message, at, end)
                at = end
            case 2:
                length, at = _number(message, at)
                yield number, _cut(message, at, at + length)
                at += length
            case _:
                refused = f"a field of kind {kind} is not read here"
                raise FormatError(refused)


def _number(message: bytes, at: int) -> tuple[int, int]:
    """Read a number of seven bits in each byte; return it, and where it ends."""
    value = 0
    for position in range(_LONGEST):
        if at + position >= len(message):
            break
        byte = message[at + position]
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:  # noqa: PLR2004 (the bit that says that more follow)
            return value, at + position + 1
    refused = "a number in a message does not end"
    raise FormatError(refused)


def _cut(message: bytes, start: int, end: int) -> bytes:
    if end > len(message):
        refused = "a field is longer than its message"
        raise FormatError(refused)
    return message[start:end]
