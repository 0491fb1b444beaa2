"""What a store promises, wherever it keeps its bytes.

A store holds files under relative paths. Each is written once, as a whole, under a
name that did not exist. Nothing is ever changed or removed, but for ERASURE: `erase`
and `sweep` are for `ledger/erase.py`, and nobody else may call them.

>>> check_path("runs/0a/head-000001.json")
>>> check_path("../secrets")
Traceback (most recent call last):
provenance.errors.BadNameError: '../secrets': it is not a relative path of a store
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol, TypeAlias

from provenance.errors import (
    BadNameError,
    ConflictError,
    LimitError,
    NotFoundError,
    StorageError,
)

if TYPE_CHECKING:
    from pathlib import Path

Paths: TypeAlias = list[str]
"""Paths inside a store, sorted. (`list` is a method here.)"""

# A leading full stop covers `.` and `..`, and keeps temporary files apart. A colon
# would name a drive or a stream on Windows.
_COMPONENT = re.compile(r"[^./\\:\x00-\x1f\x7f][^/\\:\x00-\x1f\x7f]*")
_MAX_COMPONENT = 255
_MAX_PATH = 4_096


class Store(Protocol):
    """A place for files that never change, unless somebody must be forgotten.

    *Atomic* is: `put_new` either stores all the bytes or fails, and of several
    writers of different bytes under one path exactly one succeeds. A reader never
    sees a part of a file. Implementations say where they promise less.

    Paths are relative, with `/` between components; no component is empty, begins
    with a full stop, or has a backslash, a colon or a control character.
    """

    @property
    def url(self) -> str:
        """Where the store is, to be shown in messages; no password in it."""

    @property
    def local(self) -> Path | None:
        """The store's folder on this machine, or None when it is elsewhere."""

    def get(self, path: str, *, limit: int) -> bytes:
        """Return the bytes stored under a path.

        Args:
            path: the path inside the store.
            limit: largest number of bytes to accept; no more are read.

        Raises:
            BadNameError: not a path of a store.
            NotFoundError: nothing is stored there.
            LimitError: there are more bytes than `limit`.
            StorageError: the store cannot be read, or holds something else than a
                regular file there.
        """

    def put_new(self, path: str, data: bytes) -> None:
        """Store bytes under a path that does not exist yet.

        The bytes have reached the disk (or the service) when this returns. Storing
        the same bytes again succeeds, so a caller that is unsure may repeat a call.

        Raises:
            BadNameError: not a path of a store.
            ConflictError: other bytes are stored there; they stay.
            StorageError: the store cannot be written.
        """

    def list(self, prefix: str) -> Paths:
        """Return the paths of all files under a folder, sorted; `""` is the store.

        Raises:
            BadNameError: not a path of a store.
            StorageError: the store cannot be read.
        """

    def erase(self, path: str, *, instead: bytes | None = None) -> None:
        """FOR ERASURE ONLY: remove a file, or put other bytes in its place.

        A reader sees the old file or what comes after it, never a part, and so does
        everybody after a crash. Afterwards no file of the store holds the old bytes,
        not even one that a crashed writer of them has left. Removing what is not
        there succeeds, so a call may be repeated.

        Args:
            path: the path inside the store.
            instead: the bytes that take the place of the old ones; None to remove.

        Raises:
            BadNameError: not a path of a store.
            NotFoundError: nothing is there whose place the bytes could take.
            StorageError: the store cannot be written, or holds something else than a
                regular file there.
        """

    def sweep(self, folder: str) -> None:
        """FOR ERASURE ONLY: remove what crashed writers have left in a folder.

        The caller knows that nobody is writing right in that folder. What lies in the
        folders below it is left alone.

        Raises:
            BadNameError: not a path of a store.
            StorageError: the store cannot be written.
        """


def check_path(path: str) -> None:
    """Refuse everything but a relative path that means the same in every store.

    Raises:
        BadNameError: it is not one.
    """
    if not is_path(path):
        raise BadNameError(path, "it is not a relative path of a store")


def is_path(path: str) -> bool:
    """Tell whether a store could hold a file under this path."""
    try:
        components = path.encode("utf-8").split(b"/")
    except UnicodeEncodeError:
        return False
    return (
        sum(len(component) + 1 for component in components) <= _MAX_PATH + 1
        and all(len(component) <= _MAX_COMPONENT for component in components)
        and all(_COMPONENT.fullmatch(component) for component in path.split("/"))
    )


def settle(store: Store, path: str, data: bytes) -> None:
    """Decide what an exclusive creation means that found something already there.

    The same bytes mean success: an earlier attempt of ours, or another writer with
    the same content.

    Raises:
        ConflictError: other bytes are stored under the path.
        StorageError: what is there cannot be read.
    """
    try:
        stored = store.get(path, limit=len(data))
    except LimitError as error:
        raise ConflictError(path) from error
    except NotFoundError as error:
        reason = "something else is in the way of this file; look at its folders"
        raise StorageError(path, reason) from error
    if stored != data:
        raise ConflictError(path)
