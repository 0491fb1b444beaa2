"""Hashing one file: every byte once, and never a mixture of two contents.

>>> from pathlib import Path
>>> import tempfile
>>> with tempfile.TemporaryDirectory() as root:
...     _ = Path(root, "a.txt").write_text("hello")
...     hash_file(Path(root, "a.txt")).sha256[:8]
'2cf24dba'

What is hashed is a regular file that did not change meanwhile, as far as the file
system tells: device, inode, size, time of modification and time of change are
compared. A store through a memory map may escape that until it is written back.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from provenance.encoding import paths
from provenance.errors import ChangedError, UnreadableError
from provenance.fingerprint import opening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provenance.fingerprint.folders import Folders

Progress: TypeAlias = Callable[[int], None]
"""Is told how many bytes were read since the last call; from any thread."""

PIECE = 256 * 1024
"""Bytes read at a time: beyond this, size hardly matters for speed."""

_Read: TypeAlias = Callable[[int, int, int], bytes]


class Digests(NamedTuple):
    """What was read from one file.

    Attributes:
        size: bytes of content.
        sha256: their SHA-256, as hex.
        blob: git's id of the same content, as hex, if it was asked for.
    """

    size: int
    sha256: str
    blob: str | None = None


def hash_file(
    path: str | os.PathLike[str],
    *,
    follow: bool = True,
    progress: Progress | None = None,
) -> Digests:
    """Hash the file at a path.

    Args:
        path: the file.
        follow: whether the path itself may be a symbolic link to it.
        progress: is told how many bytes were read.

    Raises:
        NotRegularError: a link (unless followed), folder, FIFO, socket or device.
        ChangedError: the content changed while it was read.
        UnreadableError: the operating system refused.
    """
    name = opening.shown(path)
    descriptor = opening.open_regular(path, name=name, follow=follow)
    try:
        return hash_own(descriptor, name=name, progress=progress)
    finally:
        os.close(descriptor)


def hash_descriptor(
    descriptor: int, *, name: str, progress: Progress | None = None
) -> Digests:
    """Hash the file behind somebody else's descriptor, and leave its offset alone.

    Args:
        descriptor: open for reading; it stays open.
        name: what errors call the file.
        progress: is told how many bytes were read.

    Raises:
        NotRegularError: not the descriptor of a regular file.
        ChangedError: the content changed while it was read.
        UnreadableError: the operating system refused, or cannot read without moving
            the offset (Windows); hash the path instead.
    """
    if not hasattr(os, "pread"):
        reason = "this system cannot read beside an open file; hash it by its path"
        raise UnreadableError(name, reason)
    return hash_own(descriptor, name=name, progress=progress)


def hash_under(
    reach: Folders,
    path: bytes,
    *,
    size: int,
    follow: bool = False,
    blob: str | None = None,
    progress: Progress | None = None,
) -> Digests:
    """Hash a file that was listed, reached once more from the root of the listing.

    Args:
        reach: the folders under that root.
        path: raw bytes of the path relative to it.
        size: what the file was seen to have.
        follow: whether its name may be a symbolic link.
        blob: `sha1` or `sha256` for git's id of the content as well.
        progress: is told how many bytes were read.

    Raises:
        NotRegularError: a link (unless followed), folder, FIFO, socket or device.
        ChangedError: the content changed while it was read, or has another size.
        UnreadableError: the operating system refused.
    """
    descriptor = reach.open(path, follow=follow)
    try:
        return hash_own(
            descriptor, name=paths.show(path), size=size, blob=blob, progress=progress
        )
    finally:
        os.close(descriptor)


def hash_own(
    descriptor: int,
    *,
    name: str,
    size: int | None = None,
    blob: str | None = None,
    progress: Progress | None = None,
) -> Digests:
    """Hash the file behind a descriptor that the caller has just opened.

    Args:
        descriptor: open for reading, at offset 0; it stays open.
        name: what errors call the file.
        size: what the file was seen to have, if it was seen before.
        blob: `sha1` or `sha256` for git's id of the content as well.
        progress: is told how many bytes were read.

    Raises:
        NotRegularError: not the descriptor of a regular file.
        ChangedError: the content changed while it was read, or has another size.
        UnreadableError: the operating system refused.
    """
    try:
        return _hash(descriptor, name=name, size=size, blob=blob, progress=progress)
    except OSError as error:
        raise opening.explain(name, error) from error


def _hash(
    descriptor: int,
    *,
    name: str,
    size: int | None,
    blob: str | None,
    progress: Progress | None,
) -> Digests:
    before = os.fstat(descriptor)
    opening.check_regular(before.st_mode, name=name)
    if size is not None and before.st_size != size:
        reason = f"had {size:,} bytes when it was listed and has {before.st_size:,} now"
        raise ChangedError(name, reason)
    content = hashlib.sha256()
    object_id = _blob_hash(blob, before.st_size) if blob else None
    total = 0
    for piece in _pieces(descriptor, before.st_size):
        content.update(piece)
        if object_id:
            object_id.update(piece)
        total += len(piece)
        if progress:
            progress(len(piece))
    if total != before.st_size or _state(os.fstat(descriptor)) != _state(before):
        reason = "changed while it was read; try again when nothing writes to it"
        raise ChangedError(name, reason)
    return Digests(
        total, content.hexdigest(), object_id.hexdigest() if object_id else None
    )


def _pieces(descriptor: int, size: int) -> Iterator[bytes]:
    """Read at most one byte more than there should be, so that growth shows."""
    total = 0
    while total <= size:
        wanted = min(PIECE, size + 1 - total)
        piece = _read(descriptor, wanted, total)
        if not piece:
            return
        total += len(piece)
        yield piece
        if total == size and len(piece) < wanted:
            return  # a short read at the expected end: nothing follows


def _read_on(descriptor: int, count: int, _offset: int) -> bytes:
    return os.read(descriptor, count)


_read: _Read = getattr(os, "pread", _read_on)


def _state(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _blob_hash(algorithm: str, size: int) -> hashlib._Hash:
    """Return a hash that has read the header which git puts before the content."""
    return hashlib.new(algorithm, b"blob %d\0" % size, usedforsecurity=False)
