"""Opening what should be a regular file, and explaining why it could not be.

A FIFO does not hang, a link is not followed unless asked for, and every refusal of
the operating system becomes a `FileError` that names the file.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from provenance.encoding import paths
from provenance.errors import FileError, NotRegularError, UnreadableError

# Flags that a system lacks count as zero: Windows has neither FIFOs nor O_NOFOLLOW.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
NO_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0)

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_LINK_ERRORS = {errno.ELOOP, errno.EMLINK}
_JUNCTION: int = getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1)


def open_file(
    path: str | bytes, *, name: str, folder: int | None = None, follow: bool = False
) -> int:
    """Open a file for reading, without waiting for anything.

    The descriptor may still be that of a FIFO or a device: whoever reads from it
    looks at its kind first.

    Args:
        path: what to open; relative to `folder`, if that is given.
        name: what errors call it.
        folder: descriptor of an open folder.
        follow: whether the last component may be a symbolic link.

    Raises:
        NotRegularError: it is a link, or a socket.
        UnreadableError: the operating system refused.
    """
    try:
        return os.open(path, _FLAGS | (0 if follow else NO_FOLLOW), dir_fd=folder)
    except OSError as error:
        raise explain(name, error) from error


def open_regular(path: str | os.PathLike[str], *, name: str, follow: bool) -> int:
    """Look at a file, and open it for reading if it is a regular one.

    Opening a device can have effects of its own, so it is looked at first. It could
    be another file by then: whoever reads from it looks at its kind once more.

    Args:
        path: what to open.
        name: what errors call it.
        follow: whether the last component may be a symbolic link.

    Raises:
        NotRegularError: it is something else.
        UnreadableError: the operating system refused.
    """
    try:
        mode = Path(path).stat(follow_symlinks=follow).st_mode
    except OSError as error:
        raise explain(name, error) from error
    check_regular(mode, name=name)
    return open_file(os.fspath(path), name=name, follow=follow)


def check_regular(mode: int, *, name: str) -> None:
    """Refuse everything but a regular file.

    Args:
        mode: what `stat` says.
        name: what errors call it.

    Raises:
        NotRegularError: it is something else.
    """
    if not stat.S_ISREG(mode):
        raise NotRegularError(name, f"is {kind(mode)}, not a regular file")


def kind(mode: int) -> str:
    """Return what `stat` found, in words.

    >>> kind(stat.S_IFIFO)
    'a FIFO'
    """
    return _KINDS.get(stat.S_IFMT(mode), "something else")


def is_link(status: os.stat_result) -> bool:
    """Tell whether `lstat` found a symbolic link, or its like on Windows."""
    junction = getattr(status, "st_reparse_tag", 0) == _JUNCTION
    return stat.S_ISLNK(status.st_mode) or junction


def explain(name: str, error: OSError) -> FileError:
    """Return the error of ours that says what the operating system said."""
    if error.errno in _LINK_ERRORS:
        return NotRegularError(name, "is a symbolic link, which is not followed here")
    if error.errno == errno.ENXIO:
        return NotRegularError(name, "is a socket or a device, not a regular file")
    if error.errno == errno.ENOTDIR:
        return NotRegularError(name, "has a file or a link in place of a folder")
    said = error.strerror or type(error).__name__
    return UnreadableError(name, f"cannot be read: {said}")


def shown(path: str | bytes | os.PathLike[str]) -> str:
    """Return a path as text for messages, whatever bytes it holds."""
    return paths.show(os.fsencode(path))
