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
import sys
from typing import TYPE_CHECKING, Self

from provenance.errors import BusyError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

if sys.platform != "win32":
    import fcntl

MAX_BYTES = 2**30


class Spool:
    """The spool of one writer, open for appending and locked.

    Raises:
        BusyError: another process writes it.
        StorageError: it cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pending: list[bytes] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise StorageError(str(path), str(error)) from error
        if not _lock(self._fd):
            os.close(self._fd)
            raise BusyError(str(path))

    def append(self, payload: bytes) -> None:
        """Take one statement; it is safe once `sync` has returned."""
        self._pending.append(payload + b"\n")

    def sync(self) -> None:
        """Write and flush all statements taken so far.

        Raises:
            StorageError: the disk is full or fails. What was pending stays pending;
                a line that was torn is ignored by readers.
        """
        if not self._pending:
            return
        data = memoryview(b"".join(self._pending))
        try:
            while data:
                data = data[os.write(self._fd, data) :]
            os.fsync(self._fd)
        except OSError as error:
            raise StorageError(str(self.path), str(error)) from error
        self._pending.clear()

    def reset(self) -> None:
        """Forget everything: it is in a segment now."""
        self._pending.clear()
        try:
            os.ftruncate(self._fd, 0)
        except OSError as error:
            raise StorageError(str(self.path), str(error)) from error

    def close(self, *, remove: bool = False) -> None:
        """Let go of the spool, and delete the file when nothing is left in it."""
        if self._fd < 0:
            return
        if remove:
            # While the lock is held: nobody can have taken the file over in between.
            self.path.unlink(missing_ok=True)
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
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(str(path), str(error)) from error
    if len(data) > MAX_BYTES:
        reason = f"larger than {MAX_BYTES:,} bytes"
        raise StorageError(str(path), reason)
    return data.split(b"\n")[:-1]


def _lock(fd: int) -> bool:
    """Take the lock without waiting; return whether it was free."""
    if sys.platform == "win32":
        return True  # there, a file that another process has open cannot be removed
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
