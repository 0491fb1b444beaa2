"""Reading a file that is open: its beginning, or parts of it at any place.

>>> read = from_bytes(b"0123456789")
>>> exactly(read, 2, 3, name="digits.txt")
b'234'

Whoever reads this way decides how much: nothing here takes a length from the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

from provenance.errors import FileError, FormatError, LimitError
from provenance.fingerprint import opening

Read: TypeAlias = Callable[[int, int], bytes]
"""Takes an offset and a number of bytes; returns fewer only at the end of the file."""


def from_bytes(data: bytes) -> Read:
    """Read from bytes in memory."""
    return lambda offset, count: data[offset : offset + count]


def from_descriptor(descriptor: int) -> Read:
    """Read from an open descriptor.

    Its own offset stays where it is, except where the system has no `pread`
    (Windows): there, hand over only a descriptor that nobody else uses.
    """
    if hasattr(os, "pread"):
        return lambda offset, count: os.pread(descriptor, count, offset)
    return lambda offset, count: _seek_and_read(descriptor, offset, count)


def _seek_and_read(descriptor: int, offset: int, count: int) -> bytes:
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, count)


def exactly(read: Read, offset: int, count: int, *, name: str) -> bytes:
    """Read so many bytes, and no fewer.

    Args:
        read: where from.
        offset: of the first byte.
        count: how many bytes.
        name: what errors call the file.

    Raises:
        FormatError: the file ends before that.
        UnreadableError: the operating system refused.
    """
    found = up_to(read, offset, count, name=name)
    if len(found) < count:
        message = f"{name!r} ends within {count:,} bytes that should be there"
        raise FormatError(message)
    return found


def up_to(read: Read, offset: int, count: int, *, name: str) -> bytes:
    """Read so many bytes, or what there is before the end of the file.

    Raises:
        UnreadableError: the operating system refused.
    """
    pieces: list[bytes] = []
    left = count
    try:
        # One call may return less than asked, also before the end.
        while left and (piece := read(offset + count - left, left)):
            pieces.append(piece)
            left -= len(piece)
    except OSError as error:
        raise opening.explain(name, error) from error
    return b"".join(pieces)


def beginning(descriptor: int, most: int, *, name: str) -> bytes:
    """Read the first bytes of what should be a regular file, and close it.

    Args:
        descriptor: open for reading, at its beginning; it is closed in any case.
        most: how many bytes.
        name: what errors call the file.

    Raises:
        NotRegularError: it is something else.
        UnreadableError: the operating system refused.
    """
    try:
        opening.check_regular(os.fstat(descriptor).st_mode, name=name)
        return up_to(from_descriptor(descriptor), 0, most, name=name)
    except OSError as error:
        raise opening.explain(name, error) from error
    finally:
        os.close(descriptor)


def whole(descriptor: int, limit: int, *, name: str, what: str) -> bytes:
    """Read all of what should be a regular file, and close it.

    Args:
        descriptor: open for reading, at its beginning; it is closed in any case.
        limit: how many bytes there may be.
        name: what errors call the file.
        what: what the error about the limit calls its size.

    Raises:
        LimitError: there are more bytes.
        NotRegularError: it is something else.
        UnreadableError: the operating system refused.
    """
    data = beginning(descriptor, limit + 1, name=name)
    if len(data) > limit:
        raise LimitError(what, limit)
    return data


def if_possible(path: str | os.PathLike[str], limit: int) -> bytes | None:
    """Read all of the file at a path, which may be a link to it.

    Returns:
        Its bytes; None if it cannot be read, is no regular file, or has more bytes
        than the limit.
    """
    name = opening.shown(path)
    try:
        descriptor = opening.open_regular(path, name=name, follow=True)
        return whole(descriptor, limit, name=name, what=f"size of {name!r}, in bytes,")
    except (FileError, LimitError):
        return None
