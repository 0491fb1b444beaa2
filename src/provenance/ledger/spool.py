"""The spool: statements that are safe on disk before they are in a segment.

One statement a line, appended and flushed in groups. What `sync` has returned for
survives a killed process and a power cut. A spool is locked while its writer lives,
so that a reader can tell the tail of a killed run from one that is still going on.

>>> import tempfile, pathlib
>>> path = pathlib.Path(tempfile.mkdtemp()) / "spool" / "a.jsonl"
>>> with Spool(path) as spool:
...     spool.append(b'{"a":1}')
...     spool.sync()
...     lines(path)
[b'{"a":1}']
"""

from __future__ import annotations

import os
import stat
import sys
import time
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from provenance.errors import BusyError, StorageError
from provenance.storage.local import sync_folder

if TYPE_CHECKING:
    from pathlib import Path

if sys.platform != "win32":
    import fcntl

MAX_BYTES = 2**30

# Without O_BINARY, Windows would turn line feeds into two bytes.
_SAFE = (
    getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_FLAGS = os.O_RDWR | os.O_APPEND | _SAFE
_PAUSES = (0.02,) * 50  # seconds; how long a new writer waits for its lock


class Spool:
    """The spool of one writer, open for appending and locked.

    Args:
        path: where it lies.
        new: make it when it is not there, and wait a second for the lock: who looks
            for the spools of killed writers may hold a new one for a moment.

    Attributes:
        path: where it lies.
        locked: whether others can see that it is taken. False where the file system
            has no locks: then nobody can tell a killed writer from a living one.

    Raises:
        BusyError: another process writes it, or has just removed it.
        StorageError: it cannot be opened.
    """

    def __init__(self, path: Path, *, new: bool = True) -> None:
        self.path = path
        self._pending: list[bytes] = []
        self._torn = False
        self._fd = -1
        try:
            if new:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._fd, self.locked = _open_locked(path, new=new)
            if new:
                # A file is only as durable as the names that lead to it.
                sync_folder(path.parent)
                sync_folder(path.parent.parent)
        except OSError as error:
            self.forget()
            raise StorageError(str(path), str(error)) from error
        _open_spools.add(self)

    @property
    def empty(self) -> bool:
        """Whether the file holds nothing at all."""
        return os.fstat(self._fd).st_size == 0

    def append(self, payload: bytes) -> None:
        """Take one statement; it is safe once `sync` has returned."""
        self._pending.append(payload + b"\n")

    def sync(self) -> None:
        """Write and flush all statements taken so far.

        Raises:
            StorageError: the disk is full or fails. What was pending stays pending
                and is written again by the next `sync`.
        """
        if not self._pending:
            return
        # What an attempt that failed has left is of no use, not even what it wrote
        # whole: the disk may have lost it. A line feed parts it from what follows.
        start = [b"\n"] if self._torn else []
        data = memoryview(b"".join(start + self._pending))
        self._torn = True
        try:
            while data:
                data = data[os.write(self._fd, data) :]
            os.fsync(self._fd)
        except OSError as error:
            raise StorageError(str(self.path), str(error)) from error
        self._torn = False
        self._pending.clear()

    def reset(self) -> None:
        """Forget everything: it is in a segment now.

        Raises:
            StorageError: the file cannot be emptied. Readers know what is in a
                segment already, so nothing is lost or counted twice.
        """
        self._pending.clear()
        try:
            os.ftruncate(self._fd, 0)
        except OSError as error:
            raise StorageError(str(self.path), str(error)) from error
        self._torn = False

    def close(self, *, remove: bool = False) -> None:
        """Let go of the spool, and delete the file when nothing is left in it."""
        if self._fd < 0:
            return
        if remove and sys.platform != "win32":
            # While the lock is held: nobody can have taken the file over in between.
            self.path.unlink(missing_ok=True)
        self.forget()
        if remove and sys.platform == "win32":  # not while it is open
            self.path.unlink(missing_ok=True)

    def forget(self) -> None:
        """Close the file and nothing else; its lock goes with the last who closes."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def lines(path: Path) -> list[bytes]:
    """Return the whole lines of a spool; a torn last one is not among them.

    Raises:
        StorageError: the file cannot be read, or is larger than 1 GiB.
    """
    try:
        fd = os.open(path, os.O_RDONLY | _SAFE)
        with os.fdopen(fd, "rb") as file:
            _check_own(fd)
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(str(path), str(error)) from error
    if len(data) > MAX_BYTES:
        reason = f"larger than {MAX_BYTES:,} bytes"
        raise StorageError(str(path), reason)
    return [line for line in data.split(b"\n")[:-1] if line]


def is_taken(path: Path) -> bool:
    """Whether a writer that lives has this spool; true as well where nobody can tell.

    It is not when there is none: it goes when its writer ends.
    """
    try:
        fd, locked = _try_open(path, _FLAGS)
    except (BusyError, OSError):
        return path.exists()
    os.close(fd)
    return not locked


def _check_own(fd: int) -> None:
    """Refuse what is not a file of its own: a spool is cut short and removed later.

    Raises:
        OSError: a FIFO or a device, or a file that has another name as well.
    """
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        message = "is no file of its own; remove it, it is not part of a store"
        raise OSError(message)


_open_spools: weakref.WeakSet[Spool] = weakref.WeakSet()


def _after_fork() -> None:
    """Close in a child what it inherited, or it would hold its parent's locks."""
    for spool in _open_spools:
        spool.forget()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


def _open_locked(path: Path, *, new: bool) -> tuple[int, bool]:
    """Open a spool; return its descriptor and whether it could be locked.

    Raises:
        BusyError: another process has the lock, or removed the file.
        OSError: the file cannot be opened.
    """
    for pause in _PAUSES if new else ():
        with suppress(BusyError):
            return _try_open(path, _FLAGS | os.O_CREAT)
        time.sleep(pause)
    return _try_open(path, _FLAGS | (os.O_CREAT if new else 0))


def _try_open(path: Path, flags: int) -> tuple[int, bool]:
    try:
        fd = os.open(path, flags, 0o666)
    except FileNotFoundError as error:
        raise BusyError(str(path)) from error
    try:
        _check_own(fd)
    except OSError:
        os.close(fd)
        raise
    try:
        locked = _lock(fd)
        replaced = not os.path.samestat(os.fstat(fd), path.lstat())
    except (BlockingIOError, FileNotFoundError) as error:
        os.close(fd)
        raise BusyError(str(path)) from error
    if replaced:
        os.close(fd)
        raise BusyError(str(path))
    return fd, locked


def _lock(fd: int) -> bool:
    """Take the lock without waiting; return whether there are locks at all.

    Raises:
        BlockingIOError: another process has it.
    """
    if sys.platform == "win32":  # pragma: no cover
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False  # some network file systems have none
    return True
