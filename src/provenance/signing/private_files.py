"""Files that only their owner may read: written once, and refused when others may.

>>> import tempfile
>>> from pathlib import Path
>>> with tempfile.TemporaryDirectory() as folder:
...     path = Path(folder, "secret")
...     write_new(path, b"nobody else may know")
...     read(path, 6, follow=False, check=lambda _: None)
b'nobody'

Windows has no such modes: there, files and folders inherit the access rules of the
folder around them, and nothing is checked. What went wrong with a key and what with
another secret is said by those who keep them.
"""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING

from provenance.errors import UnsafeKeyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IS_POSIX = os.name == "posix"

# Flags that a system lacks count as zero.
_BINARY: int = getattr(os, "O_BINARY", 0)
_NO_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)


def write_new(path: Path, content: bytes) -> None:
    """Write a new file for its owner alone; nothing is left behind if that fails.

    When this returns, the file will survive a loss of power.

    Raises:
        FileExistsError: something is there already, be it a link; it is left alone.
        OSError: the operating system refused.
        ValueError: no file can have such a name.
    """
    # O_EXCL follows no link either.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
    descriptor = os.open(path, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        flush_folder(path.parent)
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise


def read(
    path: Path,
    most: int,
    *,
    follow: bool,
    check: Callable[[os.stat_result], None],
) -> bytes:
    """Read the first bytes of a file, if it passes a check.

    Args:
        path: the file.
        most: how many bytes.
        follow: whether the last component may be a symbolic link.
        check: raises for a file that shall not be used.

    Raises:
        OSError: the operating system refused.
        ValueError: no file can have such a name.
    """
    # What was opened is what is checked and read: a path could change in between.
    # Opening a FIFO would wait for a writer.
    flags = os.O_RDONLY | _BINARY | _NO_WAIT | (0 if follow else _NO_FOLLOW)
    descriptor = os.open(path, flags)
    try:
        check(os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, as far as they are missing, for their owner.

    Raises:
        OSError: the operating system refused.
        ValueError: no folder can have such a name.
    """
    # With `parents`, mkdir would give its mode to the last one only.
    if not folder.exists() and folder != folder.parent:
        make_folders(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def check_owner(path: Path, status: os.stat_result) -> None:
    """Check that what lies at a path was made by this user.

    Raises:
        UnsafeKeyError: it belongs to another one.
    """
    if IS_POSIX and status.st_uid != os.geteuid():
        message = f"{path} belongs to another user; it is not used"
        raise UnsafeKeyError(message)


def check_mode(path: Path, status: os.stat_result, *, close: str) -> None:
    """Check that only its owner may do anything with what lies at a path.

    Args:
        path: a file or a folder.
        status: what `stat` says about it.
        close: the mode that it should have, in octal digits.

    Raises:
        UnsafeKeyError: others may.
    """
    if IS_POSIX and status.st_mode & 0o077:
        message = (
            f"{path} is open to others than its owner; if nobody else has read it, "
            f"close it: chmod {close} {shlex.quote(str(path))}"
        )
        raise UnsafeKeyError(message)


def flush_folder(folder: Path) -> None:
    """Make the name of a new file survive a loss of power; Windows does so itself.

    Raises:
        OSError: the operating system refused.
    """
    if not IS_POSIX:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cannot(do: str, what: str, path: Path, error: Exception) -> str:
    """Say what could not be done, and why.

    >>> from pathlib import Path
    >>> cannot("read", "key", Path("key.pem"), OSError(5, "Input/output error"))
    'cannot read the key key.pem: Input/output error'
    """
    reason = (isinstance(error, OSError) and error.strerror) or error
    return f"cannot {do} the {what} {path}: {reason}"
