"""The payload of a release: listed, copied where it must be, each byte read once.

Files that are small enough to be a key are looked at as well: once a private key is
handed over, it cannot be taken back.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from provenance.bundle import parts
from provenance.encoding import paths, private_keys
from provenance.errors import (
    BadNameError,
    ChangedError,
    FileError,
    ReleaseError,
)
from provenance.fingerprint import batches, folders, opening, walk
from provenance.model.fingerprint import FileEntry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO

_PIECE = 2**20
_LARGEST_KEY_FILE = 2**20
"""Files of more bytes are data: nothing looks for a key in them."""


def hash_in_place(
    root: Path, progress: Callable[[int], None] | None
) -> list[FileEntry]:
    """Return the files of a payload that stays where it lies.

    Raises:
        FileError: a file that cannot be part of a release, such as a link.
        BadNameError: a name that is not portable.
        ReleaseError: a file with a private key, or no files at all.
    """
    listed = _listing(root, links="refuse")
    _check_no_keys(root, listed)
    found: list[FileEntry] = []
    for file, digests in batches.hash_listed(root, listed, progress=progress):
        if isinstance(digests, FileError):
            raise digests
        entry = FileEntry(path=file.path, size=digests.size, sha256=digests.sha256)
        found.append(entry)
    return found


def copy(
    root: Path, to: Path, progress: Callable[[int], None] | None
) -> list[FileEntry]:
    """Copy a payload and return its files, hashed on the way.

    Links to files become those files, as in the snapshot folders of model hubs.

    Raises:
        FileError: a file that cannot be read, or changes meanwhile.
        BadNameError: a name that is not portable.
        ReleaseError: a file with a private key, no files at all, or no room for them.
    """
    listed = _listing(root, links="files")
    with folders.under(root) as reach:
        return [_copy_one(reach, file, to, progress) for file in listed]


def size(root: Path) -> int:
    """Return the bytes of a payload, to show progress against."""
    options = walk.WalkOptions(links="files", exclude=_BUNDLE)
    return sum(file.size for file in walk.listing(root, options=options))


_BUNDLE = frozenset({parts.FOLDER.encode()})


def _listing(root: Path, *, links: str) -> list[walk.Listed]:
    options = walk.WalkOptions(links="refuse" if links == "refuse" else "files")
    listed = walk.listing(root, options=options)
    if not listed:
        message = f"{str(root)!r} has no files; nothing to release"
        raise ReleaseError(message)
    names = [paths.spell(file.path) for file in listed]
    for name in names:
        paths.check_portable(name)
        if name.split("/")[0].casefold() == parts.FOLDER:
            reason = "the payload of a release cannot have a part of this name"
            raise BadNameError(name, reason)
    paths.check_collisions(names)
    return listed


def _check_no_keys(root: Path, listed: list[walk.Listed]) -> None:
    """Look into the small files that nothing copies; hashing finds them in memory."""
    with folders.under(root) as reach:
        for file in listed:
            if file.size <= _LARGEST_KEY_FILE:
                name = paths.show(file.path)
                descriptor = reach.open(file.path, follow=file.follow)
                with os.fdopen(descriptor, "rb") as opened:
                    opening.check_regular(os.fstat(descriptor).st_mode, name=name)
                    _check_no_key(_read(opened, _LARGEST_KEY_FILE, name), name)


def _check_no_key(content: bytes, name: str) -> None:
    if private_keys.in_file(content):
        message = (
            f"{name!r} holds a private key; move it out of the payload, and if others "
            "could read it there, use another key from now on"
        )
        raise ReleaseError(message)


def _copy_one(
    reach: folders.Folders,
    file: walk.Listed,
    to: Path,
    progress: Callable[[int], None] | None,
) -> FileEntry:
    name = paths.show(file.path)
    content = hashlib.sha256()
    total = 0
    with (
        os.fdopen(reach.open(file.path, follow=file.follow), "rb") as source,
        _create(to / os.fsdecode(file.path), name) as copied,
    ):
        opening.check_regular(os.fstat(source.fileno()).st_mode, name=name)
        # One byte more than was listed is enough to know that it has grown.
        while piece := _read(source, min(_PIECE, file.size + 1 - total), name):
            if file.size <= _LARGEST_KEY_FILE:
                _check_no_key(piece, name)
            content.update(piece)
            _write(copied, piece, name)
            total += len(piece)
            if progress:
                progress(len(piece))
    if total != file.size:
        reason = "changed while it was copied; try again when nothing writes to it"
        raise ChangedError(name, reason)
    return FileEntry(path=file.path, size=total, sha256=content.hexdigest())


def _read(source: BinaryIO, size: int, name: str) -> bytes:
    try:
        return source.read(size)
    except OSError as error:
        raise opening.explain(name, error) from error


def _create(place: Path, name: str) -> BinaryIO:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered, so that writing fails here and not when the file is closed.
        return place.open("xb", buffering=0)
    except OSError as error:
        raise _no_copy(name, error) from error


def _write(copied: BinaryIO, piece: bytes, name: str) -> None:
    rest = memoryview(piece)
    try:
        while rest:
            rest = rest[copied.write(rest) :]
    except OSError as error:
        raise _no_copy(name, error) from error


def _no_copy(name: str, error: OSError) -> ReleaseError:
    return ReleaseError(f"{name!r} cannot be copied: {error.strerror}")
