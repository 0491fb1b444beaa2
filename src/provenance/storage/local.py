"""A store in a folder of this machine.

A file is written under a temporary name, flushed to the disk, and then linked to its
final name, which fails when that name exists. Then the folders are flushed. So a
crash at any moment leaves the whole file or none, and at worst a temporary file that
is never listed.

Where a file system has no hard links (FAT, some network shares), the final name is
created exclusively and then written. There too nothing is overwritten and one writer
wins, but a reader or a losing writer may meet a half-written file, and a crash may
leave one behind; whoever reads must check digests, as this library always does.

Folders of the store may be links, since they are its owner's; files may not.

>>> import tempfile
>>> from pathlib import Path
>>> with tempfile.TemporaryDirectory() as folder:
...     store = LocalStore(Path(folder))
...     store.put_new("tables/a.parquet", b"PAR1")
...     store.list("tables"), store.get("tables/a.parquet", limit=10)
(['tables/a.parquet'], b'PAR1')
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from typing import TYPE_CHECKING

from attrs import frozen

from provenance.errors import LimitError, NotFoundError, StorageError
from provenance.storage.store import Paths, check_path, is_path, settle

if TYPE_CHECKING:
    from pathlib import Path

# Not every system has every flag; a missing one is made up for where it is used.
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_COMMON = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | _NOFOLLOW
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _COMMON
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _COMMON

_NO_LINKS = frozenset(
    {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
)
_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.tmp")
_PIECE = 1 << 20
_NOT_REGULAR = "it is a link or no regular file; a store holds only regular files"


@frozen
class LocalStore:
    """A store in a local folder; see `Store` for what its methods promise.

    Attributes:
        folder: the folder, which must exist.
    """

    folder: Path

    @property
    def url(self) -> str:
        """The folder, as text."""
        return str(self.folder)

    @property
    def local(self) -> Path | None:
        """The folder."""
        return self.folder

    def get(self, path: str, *, limit: int) -> bytes:
        """Return the bytes stored under a path; see `Store.get`."""
        place = self._place(path)
        try:
            return _read(place, path, limit)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFoundError(path) from error
        except OSError as error:
            raise StorageError(path, _reason(error)) from error

    def put_new(self, path: str, data: bytes) -> None:
        """Store bytes under a new path, durably; see `Store.put_new`."""
        place = self._place(path)
        try:
            self._make_folders(place)
            _create(place, data)
        except FileExistsError:
            settle(self, path, data)
        except OSError as error:
            raise StorageError(path, _reason(error)) from error
        # Also when the file was there: its writer may not have come so far yet.
        self._sync_folders(path)

    def list(self, prefix: str) -> Paths:
        """Return the paths of all files under a folder; see `Store.list`."""
        if prefix:
            check_path(prefix)
        found: Paths = []
        waiting = [prefix]
        while waiting:
            folder = waiting.pop()
            folders, files = self._scan(folder)
            waiting += folders
            found += files
        return sorted(found)

    def erase(self, path: str, *, instead: bytes | None = None) -> None:
        """FOR ERASURE ONLY: remove or replace a file, durably; see `Store.erase`."""
        place = self._place(path)
        try:
            _check_regular(place, path)
            # First, so that whoever was interrupted here finds them again.
            for leftover in _leftovers(place.parent):
                if _begins_like(leftover, place):
                    leftover.unlink(missing_ok=True)
            if instead is None:
                place.unlink()
            else:
                _replace(place, instead)
        except (FileNotFoundError, NotADirectoryError) as error:
            if instead is not None:
                raise NotFoundError(path) from error
            return
        except OSError as error:
            raise StorageError(path, _reason(error)) from error
        self._sync_folders(path)

    def sweep(self, folder: str) -> None:
        """FOR ERASURE ONLY: remove what crashes left; see `Store.sweep`."""
        place = self._place(folder)
        try:
            for leftover in _leftovers(place):
                leftover.unlink(missing_ok=True)
            sync_folder(place)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise StorageError(folder, _reason(error)) from error

    def _place(self, path: str) -> Path:
        check_path(path)
        return self.folder.joinpath(*path.split("/"))

    def _scan(self, folder: str) -> tuple[Paths, Paths]:
        """Return the paths of the folders and of the files right under a folder.

        A link counts as a file, so that reading it says what is wrong with it.
        """
        folders: Paths = []
        files: Paths = []
        try:
            with os.scandir(self.folder / folder) as entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if not is_path(path):
                        continue
                    is_folder = entry.is_dir(follow_symlinks=False)
                    (folders if is_folder else files).append(path)
        except (FileNotFoundError, NotADirectoryError):
            return [], []
        except OSError as error:
            raise StorageError(folder or self.url, _reason(error)) from error
        return folders, files

    def _make_folders(self, place: Path) -> None:
        """Make the folders above a file, from the top: `parents=True` recurses."""
        folder = self.folder
        for name in place.parent.relative_to(self.folder).parts:
            folder /= name
            folder.mkdir(exist_ok=True)

    def _sync_folders(self, path: str) -> None:
        """Flush every folder from the file up to the store, whoever made them."""
        folder = self._place(path).parent
        try:
            sync_folder(folder)
            while folder != self.folder:
                folder = folder.parent
                sync_folder(folder)
        except OSError as error:
            raise StorageError(path, _reason(error)) from error


def _read(place: Path, path: str, limit: int) -> bytes:
    if not _NOFOLLOW and place.is_symlink():
        raise StorageError(path, _NOT_REGULAR)
    try:
        # Without O_NONBLOCK, opening a FIFO would wait for its writer.
        descriptor = os.open(place, _READ)
    except OSError as error:
        # FreeBSD says EMLINK for a link; a socket cannot be opened at all.
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):
            raise StorageError(path, _NOT_REGULAR) from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StorageError(path, _NOT_REGULAR)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(min(status.st_size, limit) + 1)
    finally:
        os.close(descriptor)
    if len(data) > limit:
        what = f"size of {path} in bytes"
        raise LimitError(what, limit)
    return data


def _temporary(place: Path) -> Path:
    return place.with_name(f".{secrets.token_hex(16)}.tmp")


def _create(place: Path, data: bytes) -> None:
    """Write the file as a whole, or raise FileExistsError and leave what is there."""
    temporary = _temporary(place)
    _write(temporary, data)
    try:
        os.link(temporary, place)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _write(place, data)
    finally:
        temporary.unlink()


def _replace(place: Path, data: bytes) -> None:
    """Put a whole new file in the place of another one."""
    temporary = _temporary(place)
    _write(temporary, data)
    try:
        temporary.replace(place)
    except BaseException:
        temporary.unlink()
        raise


def _check_regular(place: Path, path: str) -> None:
    """Refuse a link: the bytes that must go would stay where it leads to."""
    if not stat.S_ISREG(place.lstat().st_mode):
        raise StorageError(path, _NOT_REGULAR)


def _leftovers(folder: Path) -> list[Path]:
    """Return the temporary files in a folder: of a crash, or in use just now."""
    return [path for path in folder.iterdir() if _TEMPORARY.fullmatch(path.name)]


def _begins_like(part: Path, whole: Path) -> bool:
    """Whether one file is the beginning of another one, and not empty."""
    try:
        with part.open("rb") as some, whole.open("rb") as other:
            size = os.fstat(some.fileno()).st_size
            while piece := some.read(_PIECE):
                if other.read(len(piece)) != piece:
                    return False
    except FileNotFoundError:
        return False  # it was in use, and is not any more
    return size > 0


def _write(place: Path, data: bytes) -> None:
    """Create a file exclusively and flush it; on failure there is none."""
    descriptor = os.open(place, _CREATE, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        place.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk.

    Raises:
        OSError: it cannot be opened or flushed.
    """
    if os.name == "nt":  # Windows cannot open a folder, and keeps names itself
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
