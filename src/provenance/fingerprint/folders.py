"""Reaching what lies under a root without following a link on the way.

A path is followed component by component from an open descriptor of the root, so
that nobody who swaps a folder for a link meanwhile leads us out of the tree. How many
descriptors are open at once does not depend on the depth of the tree, and nothing
here recurses.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as root, under(root) as folders:
...     Path(root, "inner").mkdir()
...     [entry.name for entry in folders.entries(b"")]
['inner']

Systems without these calls (Windows) get `PathFolders`: the same answers, but a
folder that is swapped in the very moment of a look can deceive it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from provenance.encoding import paths
from provenance.errors import ChangedError, NotRegularError
from provenance.fingerprint import opening

if TYPE_CHECKING:
    from collections.abc import Iterator

OPEN_FOLDERS = 32
"""How many folders between the root and the current one are kept open."""

_ENTER = (
    os.O_RDONLY
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
)


class Folders(Protocol):
    """A root, and what can be asked about paths under it.

    Paths are raw bytes relative to the root, components joined by `/`; the root
    itself is the empty path. All methods raise `FileError` when something cannot be
    reached, or when a link stands in the way. Use it as a context manager.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None:
        """Close everything that is still open."""

    def entries(self, folder: bytes) -> Iterator[os.DirEntry[str]]:
        """Iterate over a folder; ask each entry before taking the next one."""
        ...

    def status(self, path: bytes, *, follow: bool = False) -> os.stat_result:
        """Return what `lstat` says; with `follow`, what `stat` says."""
        ...

    def target(self, path: bytes) -> bytes:
        """Return where a symbolic link points to."""
        ...

    def open(self, path: bytes, *, follow: bool = False) -> int:
        """Open a file for reading; with `follow`, the last component may be a link."""
        ...


def under(root: str | os.PathLike[str]) -> Folders:
    """Return the folders under a root, in the safest way that this system has.

    The root itself may be a link: whoever names it means where it leads.

    Raises:
        NotRegularError: the root is not a folder.
        UnreadableError: it cannot be opened.
    """
    needed = {os.open, os.stat, os.readlink} <= os.supports_dir_fd
    if needed and os.scandir in os.supports_fd:
        return DescriptorFolders(root)
    return PathFolders(root)


class DescriptorFolders:
    """Folders reached from descriptor to descriptor."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        try:
            self._root = os.open(root, _ENTER)
        except OSError as error:
            raise opening.explain(opening.shown(root), error) from error
        self._parts: list[bytes] = []
        self._open: dict[int, int] = {}  # level -> descriptor, along _parts
        self._here: tuple[bytes, int] = (b"", self._root)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave(0)
        os.close(self._root)

    def entries(self, folder: bytes) -> Iterator[os.DirEntry[str]]:
        """Iterate over a folder."""
        descriptor = self._enter(folder)
        try:
            with os.scandir(descriptor) as found:
                yield from found
        except OSError as error:
            raise opening.explain(paths.show(folder) or ".", error) from error

    def status(self, path: bytes, *, follow: bool = False) -> os.stat_result:
        """Return what `lstat` or `stat` says."""
        folder, _, last = path.rpartition(b"/")
        inside = self._enter(folder)
        try:
            return os.stat(last or b".", dir_fd=inside, follow_symlinks=follow)
        except OSError as error:
            raise opening.explain(paths.show(path), error) from error

    def target(self, path: bytes) -> bytes:
        """Return where a symbolic link points to."""
        folder, _, last = path.rpartition(b"/")
        inside = self._enter(folder)
        try:
            return os.readlink(last, dir_fd=inside)
        except OSError as error:
            raise opening.explain(paths.show(path), error) from error

    def open(self, path: bytes, *, follow: bool = False) -> int:
        """Open a file for reading."""
        folder, _, last = path.rpartition(b"/")
        inside = self._enter(folder)
        name = paths.show(path)
        return opening.open_file(last, name=name, folder=inside, follow=follow)

    def _enter(self, folder: bytes) -> int:
        """Return a descriptor of a folder, which belongs to this object."""
        if folder == self._here[0]:
            return self._here[1]
        parts = folder.split(b"/") if folder else []
        self._leave(_common(parts, self._parts))
        level, descriptor = next(reversed(self._open.items()), (0, self._root))
        # Whatever happens next: what is open lies along these parts.
        self._parts = parts
        self._here = (b"", self._root)
        for part in parts[level:]:
            level += 1
            try:
                inner = os.open(part, _ENTER | opening.NO_FOLLOW, dir_fd=descriptor)
            except OSError as error:
                name = paths.show(b"/".join(parts[:level]))
                raise opening.explain(name, error) from error
            descriptor = self._open[level] = inner
            if len(self._open) > OPEN_FOLDERS:
                os.close(self._open.pop(next(iter(self._open))))
        self._here = (folder, descriptor)
        return descriptor

    def _leave(self, level: int) -> None:
        """Close what lies deeper than a level."""
        while self._open and next(reversed(self._open)) > level:
            os.close(self._open.popitem()[1])


class PathFolders:
    """Folders reached by path, each component looked at before it is used."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = Path(root)
        self._here: tuple[bytes, Path] = (b"", self._root)
        try:
            os.scandir(self._root).close()
        except OSError as error:
            raise opening.explain(opening.shown(root), error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open between two questions."""

    def entries(self, folder: bytes) -> Iterator[os.DirEntry[str]]:
        """Iterate over a folder."""
        try:
            with os.scandir(self._enter(folder)) as found:
                yield from found
        except OSError as error:
            raise opening.explain(paths.show(folder) or ".", error) from error

    def status(self, path: bytes, *, follow: bool = False) -> os.stat_result:
        """Return what `lstat` or `stat` says."""
        full = self._full(path)
        try:
            return full.stat(follow_symlinks=follow)
        except OSError as error:
            raise opening.explain(paths.show(path), error) from error

    def target(self, path: bytes) -> bytes:
        """Return where a symbolic link points to."""
        full = self._full(path)
        try:
            return os.fsencode(full.readlink())
        except OSError as error:
            raise opening.explain(paths.show(path), error) from error

    def open(self, path: bytes, *, follow: bool = False) -> int:
        """Open a file for reading."""
        name = paths.show(path)
        seen = self.status(path, follow=follow)
        if opening.is_link(seen):
            raise NotRegularError(name, "is a link, which is not followed here")
        full = self._full(path)
        descriptor = opening.open_file(str(full), name=name, follow=follow)
        if not os.path.samestat(seen, os.fstat(descriptor)):
            os.close(descriptor)
            raise ChangedError(name, "was replaced in the moment of opening it")
        return descriptor

    def _full(self, path: bytes) -> Path:
        folder, _, last = path.rpartition(b"/")
        return self._enter(folder) / os.fsdecode(last)

    def _enter(self, folder: bytes) -> Path:
        if folder == self._here[0]:
            return self._here[1]
        full = self._root
        parts = folder.split(b"/") if folder else []
        for level, part in enumerate(parts, 1):
            full /= os.fsdecode(part)
            name = paths.show(b"/".join(parts[:level]))
            try:
                seen = full.lstat()
            except OSError as error:
                raise opening.explain(name, error) from error
            if opening.is_link(seen):
                raise NotRegularError(name, "is a link in place of a folder")
        self._here = (folder, full)
        return full


def _common(some: list[bytes], others: list[bytes]) -> int:
    """Return how many leading parts two paths have in common."""
    shorter = min(len(some), len(others))
    if some[:shorter] == others[:shorter]:
        return shorter
    pairs = zip(some, others, strict=False)
    return next(at for at, (one, other) in enumerate(pairs) if one != other)
